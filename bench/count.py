"""What an operation is made of: instructions by library and function, counted under callgrind.

`python -m bench.count lock_with` runs the case twice on each side, with N and 3N operations, and
shows the difference divided by 2N: start-up, imports and warm-up cancel out. Counts are user-space
only, and callgrind runs one thread at a time, so for hand-overs they say what the code does and not
what the kernel's wake-up costs; the switches and the processor time that `python -m bench --json`
records say that.
"""

from __future__ import annotations

import argparse
import collections
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import cases, sides
from bench.run import ROOT

# A tenth of the case's operations is enough: counts have next to no noise.
DEFAULT_PART = 20
SHOWN = 14

Costs = dict[tuple[str, str], int]


def main(arguments: list[str] | None = None) -> int:
    """Count and print; 2 when valgrind is not there."""
    known = cases.load("names")
    parser = argparse.ArgumentParser(prog="python -m bench.count", description=__doc__)
    parser.add_argument("case", nargs="+", choices=sorted(known), metavar="CASE")
    parser.add_argument("--sides", default=f"{sides.STD},{sides.TRESS}")
    parser.add_argument("--operations", type=int, help="N (default: a part of the case's)")
    parser.add_argument("--functions", type=int, default=SHOWN, help="how many to show")
    parser.add_argument("--table", action="store_true", help="one Markdown line a case and side")
    parsed = parser.parse_args(arguments)
    if shutil.which("valgrind") is None:
        print("valgrind is not installed; it is what counts the instructions", file=sys.stderr)
        return 2
    if parsed.table:
        print("| case | side | instructions | interpreter | tress | C library and others |")
        print("| --- | --- | --: | --: | --: | --: |")
    for name in parsed.case:
        operations = parsed.operations or max(20, known[name].operations // DEFAULT_PART)
        for side in parsed.sides.split(","):
            few = _run(name, side, operations)
            many = _run(name, side, 3 * operations)
            costs = subtract(many, few)
            if parsed.table:
                print(line(known[name].title, side, costs, 2 * operations), flush=True)
            else:
                _print(name, side, costs, 2 * operations, parsed.functions)
    return 0


def subtract(many: Costs, few: Costs) -> Costs:
    """What the further operations cost."""
    return {key: cost - few.get(key, 0) for key, cost in many.items() if cost > few.get(key, 0)}


def _run(case: str, side: str, operations: int) -> Costs:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind.out"
        command = [
            *("valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"),
            *("--compress-strings=yes", "--compress-pos=no", "--fair-sched=yes"),
            *(sys.executable, "-m", "bench.measure", "--case", case, "--sides", side),
            *("--operations", str(operations), "--no-warm-up"),
        ]
        done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
        if done.returncode != 0 or not out.is_file():
            raise SystemExit(f"{case} on {side} under valgrind failed:\n{done.stderr[-3000:]}")
        return parse(out.read_text(encoding="utf-8", errors="replace"))


_NAMED = re.compile(r"\((\d+)\)(?: (.*))?")


def parse(text: str) -> Costs:
    """Exclusive cost by (object file, function) from a callgrind file.

    Names are given once and referred to by number after that; the line after `calls=` is the
    callee's inclusive cost and belongs to nobody here.
    """
    objects: dict[str, str] = {}
    functions: dict[str, str] = {}
    costs: collections.Counter[tuple[str, str]] = collections.Counter()
    here_object = here_function = "?"
    skip = False
    for line in text.splitlines():
        if line.startswith("ob="):
            here_object = _name(line[3:], objects)
        elif line.startswith("cob="):
            _name(line[4:], objects)
        elif line.startswith("fn="):
            here_function = _name(line[3:], functions)
        elif line.startswith("cfn="):
            _name(line[4:], functions)
        elif line.startswith("calls="):
            skip = True
        elif line[:1].isdigit() or line[:1] in "+-*":
            if skip:
                skip = False
                continue
            fields = line.split()
            if len(fields) > 1:
                costs[here_object, here_function] += int(fields[1])
    return dict(costs)


def _name(text: str, known: dict[str, str]) -> str:
    match = _NAMED.match(text)
    if match is None:
        return text
    number, name = match.groups()
    if name is not None:
        known[number] = name
    return known.get(number, number)


def line(title: str, side: str, costs: Costs, operations: int) -> str:
    """One line of the table: who executes the instructions of an operation."""
    parts = {"interpreter": 0, "tress": 0, "others": 0}
    for (object_file, _), cost in costs.items():
        if Path(object_file).name.startswith("_native."):
            parts["tress"] += cost
        elif "python" in object_file:  # its own extension modules lie in a folder of that name
            parts["interpreter"] += cost
        else:
            parts["others"] += cost
    figures = (sum(parts.values()), *parts.values())
    cells = [title, side, *(f"{figure / operations:.0f}" for figure in figures)]
    return "| " + " | ".join(cells) + " |"


def _print(case: str, side: str, costs: Costs, operations: int, shown: int) -> None:
    by_object: collections.Counter[str] = collections.Counter()
    for (object_file, _), cost in costs.items():
        by_object[Path(object_file).name] += cost
    total = sum(by_object.values())
    print(f"\n{case} on {side}: {total / operations:.0f} instructions an operation")
    for name, cost in by_object.most_common(5):
        print(f"  {cost / operations:10.1f}  {100 * cost / total:5.1f}%  {name}")
    print("  of which")
    for (object_file, function), cost in sorted(costs.items(), key=lambda one: -one[1])[:shown]:
        where = Path(object_file).name
        print(f"  {cost / operations:10.1f}  {100 * cost / total:5.1f}%  {function} [{where}]")


if __name__ == "__main__":
    sys.exit(main())
