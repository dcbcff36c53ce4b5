"""The README's table: `python -m bench.table reference.json [more.json ...]` prints Markdown.

The first file is the reference and gives the figures; of the others only the ratio is shown.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench import results
from bench.report import against, asked, quantity, times
from bench.results import PINNED, UNPINNED, CaseResult, Run, by_placement, ratio_to_std
from bench.sides import PEERS, STD, TRESS


def markdown(runs: list[Run], *, targets_only: bool = True) -> str:
    """A Markdown table, one line a case of the first run."""
    reference, *others = runs
    unpinned, pinned = by_placement(reference, UNPINNED), by_placement(reference, PINNED)
    peers = [peer for peer in PEERS if any(peer in one["sides"] for one in unpinned.values())]
    many = any(len(one["rivals"]) > 1 for one in unpinned.values())
    heading = ["case", "at least", "standard library", "tress", "ratio", "pinned"]
    heading += ["best rival", "p99"] if many else []
    heading += [_short_version(other) for other in others]
    heading += peers
    lines = [_line(heading), _line(["---"] + ["--:"] * (len(heading) - 1))]
    for name, result in unpinned.items():
        if targets_only and result["target"] is None:
            continue
        cells = [
            result["title"],
            asked(result),
            _figure(result, STD),
            _figure(result, TRESS),
            _judged(result),
            times(_ratio(pinned.get(name))),
        ]
        cells += [against(result), times(result["latency_ratio"])] if many else []
        cells += [times(_ratio(by_placement(other, UNPINNED).get(name))) for other in others]
        cells += [times(ratio_to_std(result, peer)) for peer in peers]
        lines.append(_line(cells))
    return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _figure(result: CaseResult, side: str) -> str:
    found = result["sides"].get(side)
    return "-" if found is None else quantity(found["best"], result["unit"])


def _ratio(result: CaseResult | None) -> float | None:
    return None if result is None else result["ratio"]


def _judged(result: CaseResult) -> str:
    shown = times(result["ratio"])
    return f"**{shown}**" if result["met"] else f"{shown} (missed)" if result["ratio"] else shown


def _short_version(run: Run) -> str:
    return "on " + ".".join(run["machine"]["python"].split()[-1].split(".")[:2])


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.table", description=__doc__)
    parser.add_argument("run", nargs="+", type=Path, help="a JSON file of `python -m bench`")
    parser.add_argument("--all", action="store_true", help="cases without a target as well")
    parsed = parser.parse_args(arguments)
    print(markdown([results.load(path) for path in parsed.run], targets_only=not parsed.all))
    return 0


if __name__ == "__main__":
    sys.exit(main())
