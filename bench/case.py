"""What a case is, and the one way in which short statements are timed."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from time import perf_counter_ns
from typing import Any, Literal

from bench.sides import Side

# A statement is written out this many times in the body of the timed loop, so that the loop itself
# costs a tenth of an iteration an operation. Nothing is subtracted.
UNROLLED = 10

Unit = Literal["ns", "bytes"]
# Runs so many operations on fresh objects of the side; returns nanoseconds, or bytes, for all of
# them.
Runner = Callable[[Side, int], int]


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    name: str
    title: str
    run: Runner
    operations: int
    """How many operations one round has."""
    needs: tuple[str, ...]
    """What a side must offer to take part."""
    target: float | None = None
    """The least ratio of the standard library's figure to tress's that is asked for."""
    unit: Unit = "ns"
    fresh_process: bool = False
    """Each round of each side needs a process to itself."""
    more_rounds: int = 1
    """So many times the usual rounds: where threads land is luck, and the best must not be."""


def statement_runner(
    statement: str, make: Callable[[Side], dict[str, Any]] | None = None
) -> Runner:
    """Time `statement`, unrolled, in a function whose locals are what `make` returns."""
    compiled: list[Callable[..., int]] = []

    def run(side: Side, operations: int) -> int:
        names = make(side) if make is not None else {}
        if not compiled:
            compiled.append(_compile_loop(statement, tuple(names)))
        turns = max(1, operations // UNROLLED)
        return compiled[0](perf_counter_ns, repeat(None, turns), **names)

    return run


def _compile_loop(statement: str, names: tuple[str, ...]) -> Callable[..., int]:
    body = textwrap.indent(textwrap.dedent(statement).strip() + "\n", " " * 8) * UNROLLED
    source = (
        f"def loop({', '.join(('clock', 'turns', *names))}):\n"
        f"    start = clock()\n"
        f"    for _ in turns:\n"
        f"{body}"
        f"    return clock() - start\n"
    )
    namespace: dict[str, Any] = {}
    exec(compile(source, f"<timed: {statement}>", "exec"), namespace)  # noqa: S102 - our own text
    loop: Callable[..., int] = namespace["loop"]
    return loop


def empty_loop_ns(operations: int = 100_000) -> float:
    """What the timed loop itself costs an operation: part of every figure of a statement."""
    run = statement_runner("pass")
    side = Side("nothing", {})
    return min(run(side, operations) for _ in range(5)) / operations
