"""The table of a run, for a terminal."""

from __future__ import annotations

import importlib
import sys
from typing import Any, TextIO

from bench.results import P99, PINNED, UNPINNED, CaseResult, Run, by_placement, ratio_to_std
from bench.sides import PEERS, STD, TRESS

# A load generator that is on its CPU for more of the time may be what the server waits for.
BUSY = 0.95


def quantity(value: float, unit: str) -> str:
    """A figure with a unit that keeps it readable."""
    if unit == "bytes":
        return f"{value:.0f} B"
    for size, name in ((1e9, "s"), (1e6, "ms"), (1e3, "us")):
        if value >= size:
            return f"{value / size:.3g} {name}"
    return f"{value:.3g} ns"


def times(ratio: float | None) -> str:
    """A ratio."""
    return "-" if ratio is None else f"{ratio:.2f}x" if ratio < 10 else f"{ratio:.1f}x"


def verdict(result: CaseResult) -> str:
    """Whether the target is met."""
    if result["error"] is not None:
        return "FAILED"
    return {None: "-", True: "yes", False: "NO"}[result["met"]]


def target(result: CaseResult) -> str:
    """The target."""
    return "-" if result["target"] is None else f"{result['target']:g}x"


def asked(result: CaseResult) -> str:
    """The targets; that of the floor after the other."""
    floor = result["floor_target"]
    return target(result) if floor is None else f"{target(result)}, {floor:g}x"


def against(result: CaseResult) -> str:
    """The best rival, where there is more than one to choose from."""
    return (result["best_rival"] or "-") if len(result["rivals"]) > 1 else STD


def _latency(result: CaseResult) -> list[str]:
    found = result["sides"].get(TRESS)
    p99 = None if found is None else found["latency_ns"].get(P99)
    shown = "-" if p99 is None else quantity(p99, "ns")
    return [shown, times(result["latency_ratio"]), times(result["floor_ratio"])]


def _figure(result: CaseResult | None, side: str) -> str:
    if result is None or side not in result["sides"]:
        return "-"
    return quantity(result["sides"][side]["best"], result["unit"])


def _processor_time(result: CaseResult, side: str) -> str:
    if side not in result["sides"] or result["unit"] == "bytes":
        return "-"
    return quantity(result["sides"][side]["cpu_ns"], "ns")


def rows(run: Run) -> tuple[list[str], list[list[str]]]:
    """Heading and rows: the first placement in full, the pinned ratio beside it, then the peers."""
    unpinned, pinned = by_placement(run, UNPINNED), by_placement(run, PINNED)
    peers = [peer for peer in PEERS if any(peer in case["sides"] for case in run["cases"])]
    first = unpinned or pinned
    heading = ["case", "std", "tress", "ratio", "median", "target", "met"]
    heading += ["cpu std", "cpu tress"]
    many = any(len(result["rivals"]) > 1 for result in first.values())
    if many:
        heading += ["rival", "cpu ratio"]
    under_load = any(
        side["latency_ns"] for result in first.values() for side in result["sides"].values()
    )
    if under_load:
        heading += ["p99 tress", "p99 ratio", "floor ratio"]
    if unpinned and pinned:
        heading += ["pinned std", "pinned tress", "ratio"]
    for peer in peers:
        heading += [peer, "ratio"]
    table: list[list[str]] = []
    for name, result in first.items():
        row = [
            result["title"],
            _figure(result, STD),
            _figure(result, TRESS),
            times(result["ratio"]),
            times(result["median_ratio"]),
            asked(result),
            verdict(result),
            *(_processor_time(result, side) for side in (STD, TRESS)),
        ]
        row += [against(result), times(result["cpu_ratio"])] if many else []
        row += _latency(result) if under_load else []
        if unpinned and pinned:
            other = pinned.get(name)
            failed = other is not None and other["error"] is not None
            row += [
                _figure(other, STD),
                _figure(other, TRESS),
                "FAILED" if failed else times(other["ratio"] if other is not None else None),
            ]
        for peer in peers:
            row += [_figure(result, peer), times(ratio_to_std(result, peer))]
        table.append(row)
    return heading, table


def print_run(run: Run, *, plain: bool = False, file: TextIO | None = None) -> None:
    """Facts, table, what failed, what was missed."""
    out = sys.stdout if file is None else file
    facts = run["machine"]
    print(f"{facts['python']}, profile-guided build: {facts['profile_guided']}", file=out)
    print(
        f"{facts['cpu']}, {facts['cores']} cores; {facts['date']}; load {facts['load_average']}",
        file=out,
    )
    print("best of", run["rounds"], "rounds, sides in turn; ratio = best rival / tress", file=out)
    heading, table = rows(run)
    rich = None if plain else _rich()
    if rich is not None:
        _print_rich(rich, heading, table, out)
    else:
        _print_plain(heading, table, out)
    judged = [one for one in by_placement(run, UNPINNED).values() if one["target"] is not None]
    if judged:
        met = sum(case["met"] is True for case in judged)
        print(f"targets met: {met} of {len(judged)}", file=out)
    slow = [
        f"{case['name']} ({side})"
        for case in run["cases"]
        for side, found in case["sides"].items()
        if found["generator_busy"] > BUSY
    ]
    if slow:
        print("limited by the load generator as well:", ", ".join(slow), file=out)
    failures: dict[str, list[str]] = {}
    for case in run["cases"]:
        if case["error"] is not None:
            where = f"{case['name']} ({case['placement']})"
            failures.setdefault(case["error"], []).append(where)
    for error, where_all in failures.items():
        print(f"\nFAILED: {', '.join(where_all)}\n{error}", file=out)


def _rich() -> Any | None:
    try:
        return importlib.import_module("rich.table"), importlib.import_module("rich.console")
    except ImportError:
        return None


def _print_rich(rich: Any, heading: list[str], table: list[list[str]], out: TextIO) -> None:
    table_module, console_module = rich
    shown = table_module.Table()
    for column, title in enumerate(heading):
        shown.add_column(title, justify="left" if column == 0 else "right", no_wrap=True)
    for row in table:
        shown.add_row(*row, style="red" if {"NO", "FAILED"} & set(row) else None)
    # Never narrower than its contents: cut figures are none.
    width = sum(max(len(row[i]) for row in [heading, *table]) + 3 for i in range(len(heading))) + 1
    console_module.Console(file=out, width=width).print(shown)


def _print_plain(heading: list[str], table: list[list[str]], out: TextIO) -> None:
    widths = [max(len(row[column]) for row in [heading, *table]) for column in range(len(heading))]
    for row in [heading, ["-" * width for width in widths], *table]:
        cells = [
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip(), file=out)
