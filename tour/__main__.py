"""`python -m tour`: runs the programs on both sides and prints the table.

The exit code is 1 when an output differs or tress does not see the deadlock, and 2 for bad usage.
"""

from __future__ import annotations

import argparse
import platform
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tour.catalog import DEADLOCK, PROGRAMS, PROGRAMS_FOLDER, Program
from tour.run import Comparison, compare, compile_package, run_once, start_up

PATIENCE_S = 2.0
"""How long plain Python gets to come out of the deadlock."""


def main(
    arguments: Sequence[str] | None = None,
    *,
    programs: Sequence[Program] = PROGRAMS,
    folder: Path = PROGRAMS_FOLDER,
    console: Console | None = None,
) -> int:
    """Give the tour; the exit code says whether every output was the same."""
    # A shell starts what runs in its background with Ctrl-C ignored, and programs inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    options = _parse(arguments, programs)
    console = console or Console()
    compile_package()
    chosen = [program for program in programs if options.only in program.name]
    table = _new_table(options.rounds)
    _add_row(table, "(nothing: start and end)", None, start_up(max(options.rounds, 3)))
    comparisons = []
    with console.status("") as status:
        for program in chosen:
            status.update(f"{program.name} on plain Python and on tress")
            comparison = compare(program, folder=folder, rounds=options.rounds)
            comparisons.append(comparison)
            _add_row(table, program.name, comparison.difference is None, comparison.seconds)
    console.print(table)
    _explain(console, comparisons)
    good = all(comparison.difference is None for comparison in comparisons)
    if not options.only and programs is PROGRAMS:
        good = _show_deadlock(console, folder) and good
    return 0 if good else 1


def _parse(arguments: Sequence[str] | None, programs: Sequence[Program]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tour", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--rounds", type=int, default=5, help="runs of each program on each side (default 5)"
    )
    parser.add_argument("--only", default="", help="only programs whose name has this in it")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, not {options.rounds}")
    if not any(options.only in program.name for program in programs):
        parser.error(f"--only: no program has {options.only!r} in its name")
    return options


def _new_table(rounds: int) -> Table:
    runs = "one run" if rounds == 1 else f"best of {rounds}"
    table = Table(
        title="The same programs on plain Python and on tress",
        caption=f"Python {platform.python_version()}, ms from start to end, {runs}",
    )
    table.add_column("program", no_wrap=True)
    table.add_column("same output")
    for heading in ("plain", "tress", "ratio"):
        table.add_column(heading, justify="right")
    return table


def _add_row(table: Table, name: str, same: bool | None, seconds: dict[str, float]) -> None:
    plain, tress = seconds["plain"], seconds["tress"]
    verdict = {None: "", True: "[green]yes[/]", False: "[bold red]NO[/]"}[same]
    # How long it took to give another output says nothing.
    ratio = "" if same is False else f"{plain / tress:.2f}"
    table.add_row(escape(name), verdict, f"{plain * 1e3:.0f}", f"{tress * 1e3:.0f}", ratio)


def _explain(console: Console, comparisons: Sequence[Comparison]) -> None:
    for comparison in comparisons:
        if comparison.difference is not None:
            console.print(f"{comparison.program.name}: {comparison.difference}", markup=False)
    same = sum(comparison.difference is None for comparison in comparisons)
    console.print(f"{same} of {len(comparisons)} programs gave the same output on both.\n")


def _show_deadlock(console: Console, folder: Path) -> bool:
    """Run the program that cannot end; tell whether tress found its deadlock."""
    console.print(
        f"[bold]{escape(DEADLOCK.path)}[/]: two threads, two locks, taken in opposite order"
    )
    plain = run_once(DEADLOCK, "plain", folder=folder, limit_s=PATIENCE_S)
    if plain.code is None:
        console.print(f"plain: still waiting after {PATIENCE_S:.0f} s, killed")
    else:
        console.print(f"plain: ended with exit code {plain.code}")
    tress = run_once(DEADLOCK, "tress", folder=folder)
    found = tress.code == 0 and "DeadlockError" in tress.stderr
    how = "killed" if tress.code is None else f"exit code {tress.code}"
    console.print(f"tress: ended after {tress.seconds * 1e3:.0f} ms, {how}")
    output = (tress.stdout + tress.stderr).rstrip()
    console.print(output, markup=False, highlight=False, soft_wrap=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
