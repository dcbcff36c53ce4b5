"""The plot of `bench.scaling`: four panels, both axes logarithmic. Plain SVG, written here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

PANELS = {
    "calls": ("an executor's calls a second, by workers", 1.0),
    "argument": ("bytes as an argument, MiB/s, by size", 2.0**20),
    "queue": ("bytes through a Queue, MiB/s, by size", 2.0**20),
    "pipe": ("bytes through a Pipe, MiB/s, by size", 2.0**20),
}
COLOURS = {"std": "#8a8a8a", "tress": "#2f6f9f", "loky": "#c2571a"}
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 440, 270, 60, 20, 34, 34


def _size(at: int) -> str:
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if at >= unit:
            return f"{at // unit} {name}"
    return str(at)


def svg(points: Sequence[dict[str, Any]]) -> str:
    """The plot of all points that have a figure."""
    shown = [what for what in PANELS if any(_known(points, what))]
    rows = -(-len(shown) // 2)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {rows * HEIGHT + 24}">',
        '<g font-family="Helvetica, Arial, sans-serif" font-size="12">',
        f'<rect width="{2 * WIDTH}" height="{rows * HEIGHT + 24}" fill="white"/>',
    ]
    for index, (side, colour) in enumerate(COLOURS.items()):
        x = LEFT + index * 90
        out.append(
            f'<path d="M{x} 14h20" stroke="{colour}" stroke-width="3"/>'
            f'<text x="{x + 26}" y="18">{side}</text>'
        )
    for number, what in enumerate(shown):
        x, y = number % 2 * WIDTH, 24 + number // 2 * HEIGHT
        out.append(f'<g transform="translate({x} {y})">')
        out += _panel(what, _known(points, what))
        out.append("</g>")
    return "\n".join([*out, "</g>", "</svg>"]) + "\n"


def _known(points: Sequence[dict[str, Any]], what: str) -> list[dict[str, Any]]:
    return [one for one in points if one["what"] == what and one["a_second"]]


def _panel(what: str, points: list[dict[str, Any]]) -> list[str]:
    title, unit = PANELS[what]
    ats = sorted({one["at"] for one in points})
    values = [one["a_second"] / unit for one in points]
    low = 10 ** math.floor(math.log10(min(values)))
    high = max(10 ** math.ceil(math.log10(max(values))), 10 * low)

    def place(at: int, value: float) -> tuple[float, float]:
        span = math.log(ats[-1] / ats[0]) or 1.0
        x = LEFT + math.log(at / ats[0]) / span * (WIDTH - LEFT - RIGHT)
        y = HEIGHT - BOTTOM - math.log(value / low) / math.log(high / low) * (HEIGHT - TOP - BOTTOM)
        return round(x, 1), round(y, 1)

    out = [f'<text x="{LEFT}" y="{TOP - 12}" font-weight="bold">{title}</text>']
    tick = low
    while tick <= high:
        _, y = place(ats[0], tick)
        out.append(
            f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="#ddd"/>'
            f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{tick:g}</text>'
        )
        tick *= 10
    for at in ats:
        x, _ = place(at, low)
        label = str(at) if what == "calls" else _size(at)
        out.append(f'<text x="{x}" y="{HEIGHT - 12}" text-anchor="middle">{label}</text>')
    for side, colour in COLOURS.items():
        line = sorted((one["at"], one["a_second"] / unit) for one in points if one["side"] == side)
        if line:
            path = " ".join("{},{}".format(*place(at, value)) for at, value in line)
            out.append(
                f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            )
    return out
