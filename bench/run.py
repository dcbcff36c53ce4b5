"""Run the suite: every case in processes of its own, a table on standard output, JSON in a file.

A case that crashes or hangs is reported as failed, with what it said last, and the others go on.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import subprocess
import sys
from pathlib import Path

from bench import cases, generator, machine, report, results, sides
from bench.case import Case
from bench.measure import Measured
from bench.results import PINNED, UNPINNED, CaseResult, Run

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_ROUNDS = 7
QUICK_ROUNDS = 3
QUICK_PART = 10
# What a hung process gets beyond its own limit to write its stacks before it is killed.
GRACE_S = 10.0


class CaseFailed(Exception):
    """A measuring process ended without figures; the message says how."""


def main(arguments: list[str] | None = None) -> int:
    """Parse the arguments and run; 1 when a case failed, with --strict when a target was missed."""
    parsed = _parser().parse_args(arguments)
    chosen = _choose(parsed.case)
    if not chosen:
        print(f"no case matches {parsed.case}; there are:", *cases.load("names"), file=sys.stderr)
        return 2
    if parsed.list:
        for case in chosen:
            target = f"{case.target:g}x" if case.target is not None else "-"
            print(f"{case.name:26} {target:>5}  {case.title}")
        return 0
    rounds = parsed.rounds or (QUICK_ROUNDS if parsed.quick else DEFAULT_ROUNDS)
    side_names = parsed.sides.split(",") if parsed.sides is not None else []
    unknown = set(side_names) - set(sides.NAMES)
    if unknown:
        print(f"unknown sides: {sorted(unknown)}; known: {list(sides.NAMES)}", file=sys.stderr)
        return 2
    if any(case.placed for case in chosen):  # those that are under load
        _progress("building the load generator")
        try:
            generator.build()
        except (OSError, subprocess.CalledProcessError) as why:
            print(
                f"the load generator, crates/tress-load, is not to be had: {why}", file=sys.stderr
            )
            return 2
    run = Run(
        schema=results.SCHEMA, machine=machine.facts(), rounds=rounds, quick=parsed.quick, cases=[]
    )
    for case in chosen:
        for placement in _placements(parsed.placement, case):
            _progress(f"{case.name}, {placement}")
            taking_part = side_names or _sides_of(case, parsed.peers)
            result = run_case(case, placement, taking_part, rounds, parsed.quick, parsed.limit)
            run["cases"].append(result)
    _progress("")
    if parsed.json is not None:
        results.save(run, parsed.json)
    report.print_run(run, plain=parsed.plain)
    failed = any(case["error"] is not None for case in run["cases"])
    missed = any(case["met"] is False and case["placement"] == UNPINNED for case in run["cases"])
    return 1 if failed or (parsed.strict and missed) else 0


def _progress(what: str) -> None:
    """What is being measured, on one line that is overwritten; nothing where nobody looks."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="tress beside the standard library, in one run."
    )
    add = parser.add_argument
    add(
        "--case", action="append", metavar="PATTERN", help="case names (shell patterns); may repeat"
    )
    add("--list", action="store_true", help="list the cases and stop")
    add("--rounds", type=_positive, help=f"rounds a side (default {DEFAULT_ROUNDS})")
    add("--quick", action="store_true", help="fewer rounds, a tenth of the operations: a look")
    add("--json", type=Path, metavar="FILE", help="write all rounds there")
    add("--sides", help="which (default: tress, and what each case compares it with)")
    add("--peers", action="store_true", help="the peers too, where installed")
    add("--limit", type=float, default=120.0, help="seconds a measuring process may take")
    add("--plain", action="store_true", help="plain text even where rich is installed")
    add("--strict", action="store_true", help="exit with 1 when a target is missed")
    where = parser.add_mutually_exclusive_group()
    for name, text in (
        (UNPINNED, "the system places the threads"),
        (PINNED, "the whole process on one CPU"),
        ("both", "one after the other (default)"),
    ):
        where.add_argument(
            f"--{name}", dest="placement", action="store_const", const=name, help=text
        )
    parser.set_defaults(placement="both")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value


def _choose(patterns: list[str] | None) -> list[Case]:
    return [
        case
        for name, case in cases.load("names").items()
        if patterns is None or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    ]


def _sides_of(case: Case, peers: bool) -> list[str]:
    """The standard library first and tress next, as they are shown."""
    wanted = [*case.rivals, *([] if case.floor is None else [case.floor])]
    wanted += sides.PEERS if peers else ()
    return list(dict.fromkeys([sides.STD, sides.TRESS, *wanted]))


def _placements(asked: str, case: Case) -> list[str]:
    # Memory does not depend on where threads run.
    if case.unit == "bytes" or case.placed:
        return [UNPINNED]
    return [UNPINNED, PINNED] if asked == "both" else [asked]


def no_result(case: Case, placement: str, operations: int) -> CaseResult:
    """The case before it has been measured."""
    return CaseResult(
        name=case.name,
        title=case.title,
        unit=case.unit,
        placement=placement,
        target=case.target,
        operations=operations,
        empty_loop_ns=0.0,
        sides={},
        rivals=list(case.rivals),
        best_rival=None,
        ratio=None,
        median_ratio=None,
        cpu_ratio=None,
        latency_ratio=None,
        floor=case.floor,
        floor_target=case.floor_target,
        floor_ratio=None,
        met=None,
        not_offered=[],
        error=None,
    )


def run_case(
    case: Case,
    placement: str,
    side_names: list[str],
    rounds: int,
    quick: bool = False,
    limit: float = 120.0,
) -> CaseResult:
    """Measure one case in one placement; a failure is in the result's `error`, never raised."""
    operations = max(1, case.operations // QUICK_PART) if quick else case.operations
    result = no_result(case, placement, operations)
    try:
        repeats = rounds if quick else rounds * case.more_rounds
        if case.fresh_process:
            # Memory hardly differs from process to process.
            repeats = min(repeats, QUICK_ROUNDS) if case.unit == "bytes" else repeats
            parts = _in_fresh_processes(
                case.name, placement, side_names, repeats, operations, limit
            )
        else:
            parts = [_measure(case.name, placement, side_names, repeats, operations, limit)]
    except CaseFailed as failure:
        result["error"] = str(failure)
        return result
    for name in side_names:
        collected = [one for part in parts for one in part["rounds"].get(name, [])]
        if collected:
            result["sides"][name] = results.side_result(collected, operations)
    result["not_offered"] = sorted({name for part in parts for name in part["not_offered"]})
    missing = {name: why for part in parts for name, why in part["missing"].items()}
    required = [name for name in missing if name not in sides.PEERS]
    if required:
        result["error"] = "; ".join(f"{name}: {missing[name]}" for name in required)
    result["empty_loop_ns"] = min(part["empty_loop_ns"] for part in parts)
    results.judge(result)
    return result


def _in_fresh_processes(
    case_name: str,
    placement: str,
    side_names: list[str],
    rounds: int,
    operations: int,
    limit: float,
) -> list[Measured]:
    """One process a side and round, still in turn; a side that takes no part is asked once."""
    parts: list[Measured] = []
    left = list(side_names)
    for _ in range(rounds):
        for name in list(left):
            part = _measure(case_name, placement, [name], 1, operations, limit)
            parts.append(part)
            if name not in part["rounds"]:
                left.remove(name)
    return parts


def _measure(
    case_name: str,
    placement: str,
    side_names: list[str],
    rounds: int,
    operations: int,
    limit: float,
) -> Measured:
    command = [
        *(sys.executable, "-m", "bench.measure", "--case", case_name),
        *("--sides", ",".join(side_names), "--rounds", str(rounds)),
        *("--operations", str(operations), "--limit", str(limit)),
    ]
    if placement == PINNED:
        command.append("--pinned")
    try:
        done = subprocess.run(
            command,
            check=False,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit + GRACE_S,
        )
    except subprocess.TimeoutExpired as expired:
        raise CaseFailed(f"killed after {expired.timeout:.0f} s") from None
    if done.returncode != 0:
        how = (
            f"ended by signal {-done.returncode}"
            if done.returncode < 0
            else f"exit code {done.returncode}"
        )
        raise CaseFailed(f"{how}\n{_shortened(done.stderr.strip())}")
    measured: Measured = json.loads(done.stdout)
    return measured


def _shortened(text: str, kept: int = 2000) -> str:
    """Head and tail: stacks begin with the reason, a traceback ends with it."""
    return text if len(text) <= 2 * kept else f"{text[:kept]}\n[...]\n{text[-kept:]}"
