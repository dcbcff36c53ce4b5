"""One case in a process of its own: `python -m bench.measure --case NAME --sides std,tress ...`.

The sides take turns (std, tress, std, tress, ...), each round on fresh objects, and every round is
written out as JSON on standard output. Pinning comes first of all, before there is a second thread.
A case that hangs ends itself after its limit with the stacks of all threads on standard error.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import json
import os
import sys
from typing import TypedDict

from bench import cases, sides
from bench.case import Case, Sample, empty_loop_ns
from bench.usage import of_this_process

# Before the first round a case runs this part of a round, uncounted: imports, caches, first pages.
WARM_UP_PART = 10


class Round(TypedDict):
    """One round of one side, for all its operations; times are nanoseconds.

    Processor time and switches are those of the process and of the children that it has waited for
    in the round, their start and end included; of a server that is under load, its own alone.
    """

    total: int
    """Nanoseconds, or bytes for a memory case."""
    user_ns: int
    system_ns: int
    voluntary_switches: int
    involuntary_switches: int
    latency_ns: dict[str, int]
    """Percentiles of the time from a request to its answer; empty where nobody asked."""
    generator_ns: int
    """Processor time of who asked; 0 where nobody did."""


class Measured(TypedDict):
    """What a measuring process says on its standard output."""

    operations: int
    rounds: dict[str, list[Round]]
    missing: dict[str, str]
    """Sides that could not be imported, and why."""
    not_offered: list[str]
    """Sides that do not offer what the case needs."""
    empty_loop_ns: float


def measure(
    case_name: str,
    side_names: list[str],
    rounds: int,
    operations: int | None = None,
    *,
    warm_up: bool = True,
) -> Measured:
    """Run the rounds of one case, the sides in turn, in this process."""
    taking_part: list[tuple[sides.Side, Case]] = []
    missing: dict[str, str] = {}
    not_offered: list[str] = []
    count = 0
    for name in side_names:
        try:
            side = sides.load(name)
        except ImportError as why:
            missing[name] = str(why)
            continue
        case = cases.load(name)[case_name]
        if not side.offers(case.needs):
            not_offered.append(name)
            continue
        count = operations if operations is not None else case.operations
        taking_part.append((side, case))
    results: dict[str, list[Round]] = {side.name: [] for side, _ in taking_part}
    if warm_up:
        for side, case in taking_part:
            if case.warm_up:
                case.run(side, max(1, count // WARM_UP_PART))
    for _ in range(rounds):
        for side, case in taking_part:
            results[side.name].append(_one_round(side, case, count))
    return Measured(
        operations=count,
        rounds=results,
        missing=missing,
        not_offered=not_offered,
        empty_loop_ns=empty_loop_ns(),
    )


def _one_round(side: sides.Side, case: Case, operations: int) -> Round:
    gc.collect()
    before = of_this_process()
    result = case.run(side, operations)
    sample = result if isinstance(result, Sample) else Sample(result)
    used = of_this_process().since(before) if sample.usage is None else sample.usage
    return Round(
        total=sample.total,
        user_ns=used.user_ns,
        system_ns=used.system_ns,
        voluntary_switches=used.voluntary_switches,
        involuntary_switches=used.involuntary_switches,
        latency_ns=dict(sample.latency_ns),
        generator_ns=sample.generator_ns,
    )


def pin_to_one_cpu() -> int:
    """Pin the calling process to the last CPU it may use, and say which; before any thread."""
    cpu = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpu})
    return cpu


def main() -> int:
    """Read the arguments, measure, print JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.measure", description=__doc__)
    parser.add_argument("--case", required=True)
    parser.add_argument("--sides", required=True, help="comma-separated")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--operations", type=int, help="operations a round (default: the case's)")
    parser.add_argument("--limit", type=float, default=0.0, help="seconds; 0 is none")
    parser.add_argument("--pinned", action="store_true")
    parser.add_argument("--no-warm-up", action="store_true")
    arguments = parser.parse_args()
    if arguments.pinned:
        pin_to_one_cpu()
    if arguments.limit > 0:
        faulthandler.dump_traceback_later(arguments.limit, exit=True)
    measured = measure(
        arguments.case,
        arguments.sides.split(","),
        arguments.rounds,
        arguments.operations,
        warm_up=not arguments.no_warm_up,
    )
    faulthandler.cancel_dump_traceback_later()
    json.dump(measured, sys.stdout)
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
