"""The plot: `python -m bench.plot -o speed.svg reference.json [more.json ...]`.

Ratio to the standard library, for coroutines to the best rival, on a logarithmic axis, one group of
bars a case and one bar a run (an interpreter), a ring for the pinned figure, a diamond for a peer,
a stroke for the target. Plain SVG, written here: nothing to install, small enough to read as a
diff.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import escape

from bench import results
from bench.results import PINNED, UNPINNED, CaseResult, Run, by_placement, ratio_to_std
from bench.sides import AIOLOGIC, CULSANS

LEFT, RIGHT, TOP, BOTTOM = 250, 30, 64, 44
WIDTH = 900
TITLE = "times as fast (or as small) as the standard library of the same interpreter"
TITLE_OF_LOOPS = "times as fast (or as small) as the best of asyncio, uvloop and rloop"
BAR = 9
GAP = 8
BAR_COLOURS = ("#2f6f9f", "#8db7d3", "#c9dce9")
PEER_COLOURS = {CULSANS: "#c2571a", AIOLOGIC: "#6b4fa0"}
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


class _Axis:
    """Places a ratio on the logarithmic axis."""

    def __init__(self, values: Iterable[float]) -> None:
        known = [value for value in values if value > 0]
        low, high = min([0.5, *known]), max([10.0, *known])
        self.low = max(tick for tick in TICKS if tick <= max(low, TICKS[0]))
        self.high = min((tick for tick in TICKS if tick >= high), default=high)

    def __call__(self, value: float) -> float:
        share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return LEFT + min(share, 1.0) * (WIDTH - LEFT - RIGHT)

    def ticks(self) -> list[float]:
        return [tick for tick in TICKS if self.low <= tick <= self.high]


def svg(runs: list[Run]) -> str:
    """The plot of one or more runs; the cases with a target, in the first run's order."""
    first = by_placement(runs[0], UNPINNED)
    shown = {name: one for name, one in first.items() if one["ratio"] and one["target"]}
    tables = [(by_placement(run, UNPINNED), by_placement(run, PINNED)) for run in runs]
    peers = [peer for peer in PEER_COLOURS if any(peer in c["sides"] for c in shown.values())]
    axis = _Axis(_values(runs, peers))
    step = BAR * len(runs) + GAP
    height = TOP + step * len(shown) + BOTTOM
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}">',
        '<g font-family="Helvetica, Arial, sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="14">{_title(shown.values())}</text>',
    ]
    out += _legend(runs, peers)
    for tick in axis.ticks():
        x, dash = axis(tick), "" if tick == 1 else ' stroke-dasharray="2 3"'
        colour = "#444" if tick == 1 else "#bbb"
        out.append(
            f'<path d="M{x:.1f} {TOP}V{height - BOTTOM}" stroke="{colour}"{dash}/>'
            f'<text x="{x:.1f}" y="{height - BOTTOM + 16}" text-anchor="middle">{tick:g}x</text>'
        )
    for row, (name, case) in enumerate(shown.items()):
        top = TOP + row * step + GAP / 2
        middle = top + BAR * len(runs) / 2
        out.append(
            f'<text x="{LEFT - 8}" y="{middle + 4:.1f}" text-anchor="end">'
            f"{escape(case['title'])}</text>"
        )
        for index, (unpinned, pinned) in enumerate(tables):
            y = top + index * BAR
            ratio = unpinned[name]["ratio"] if name in unpinned else None
            if ratio is not None:
                out.append(_bar(axis, y, ratio, BAR_COLOURS[index % len(BAR_COLOURS)]))
            other = pinned[name]["ratio"] if name in pinned else None
            if other is not None:
                out.append(
                    f'<circle cx="{axis(other):.1f}" cy="{y + BAR / 2 - 0.5:.1f}" r="3"'
                    ' fill="white" stroke="#222"/>'
                )
        for peer in peers:
            ratio = ratio_to_std(case, peer)
            if ratio is not None:
                out.append(_diamond(axis(ratio), middle, PEER_COLOURS[peer]))
        if case["target"] is not None:
            x = axis(case["target"])
            out.append(
                f'<path d="M{x:.1f} {top - 2:.1f}v{BAR * len(runs) + 3}"'
                ' stroke="#d0021b" stroke-width="2.5"/>'
            )
    machine = runs[0]["machine"]
    out.append(
        f'<text x="{LEFT}" y="{height - 8}" fill="#555">{escape(machine["cpu"])},'
        f" {machine['cores']} cores; {escape(machine['date'][:10])}</text>"
    )
    out.append("</g>\n</svg>")
    return "\n".join(out) + "\n"


def _title(shown: Iterable[CaseResult]) -> str:
    """What the ratios are to."""
    kinds = {len(case["rivals"]) > 1 for case in shown}
    if kinds == {True}:
        return TITLE_OF_LOOPS
    return TITLE if True not in kinds else f"{TITLE}; coroutines: as the best of the loops"


def _values(runs: list[Run], peers: list[str]) -> Iterable[float]:
    for run in runs:
        for case in run["cases"]:
            for peer in peers:
                yield ratio_to_std(case, peer) or 0.0
            yield case["ratio"] or 0.0
            yield case["target"] or 0.0


def _bar(axis: _Axis, y: float, ratio: float, colour: str) -> str:
    """From 1x, to the right where we are faster and to the left where we are slower."""
    start, end = sorted((axis(1.0), axis(ratio)))
    return (
        f'<rect x="{start:.1f}" y="{y:.1f}" width="{max(end - start, 1.0):.1f}"'
        f' height="{BAR - 1}" fill="{colour}"/>'
    )


def _diamond(x: float, y: float, colour: str) -> str:
    return f'<path d="M{x - 4:.1f} {y:.1f}l4 -4l4 4l-4 4z" fill="{colour}"/>'


def _legend(runs: list[Run], peers: list[str]) -> list[str]:
    out: list[str] = []
    x = float(LEFT)

    def entry(mark: str, text: str) -> None:
        nonlocal x
        out.append(f'{mark}<text x="{x + 16:.0f}" y="40">{escape(text)}</text>')
        x += 30 + 6.6 * len(text)

    for index, run in enumerate(runs):
        colour = BAR_COLOURS[index % len(BAR_COLOURS)]
        mark = f'<rect x="{x:.0f}" y="31" width="12" height="{BAR}" fill="{colour}"/>'
        entry(mark, run["machine"]["python"])
    entry(f'<circle cx="{x + 6:.0f}" cy="36" r="3" fill="white" stroke="#222"/>', "on one CPU")
    entry(f'<path d="M{x + 6:.0f} 30v12" stroke="#d0021b" stroke-width="2.5"/>', "target")
    for peer in peers:
        entry(_diamond(x + 6, 36, PEER_COLOURS[peer]), peer)
    return out


def main(arguments: list[str] | None = None) -> int:
    """Write the plot."""
    parser = argparse.ArgumentParser(prog="python -m bench.plot", description=__doc__)
    parser.add_argument("run", nargs="+", type=Path, help="a JSON file of `python -m bench`")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the SVG file")
    parsed = parser.parse_args(arguments)
    parsed.output.write_text(svg([results.load(path) for path in parsed.run]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
