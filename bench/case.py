"""What a case is, and the one way in which short statements are timed."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from time import perf_counter_ns
from typing import Any, Literal

from bench.sides import STD, Side
from bench.usage import Usage

# A statement is written out this many times in the body of the timed loop, so that the loop itself
# costs a tenth of an iteration an operation. Nothing is subtracted.
UNROLLED = 10

Unit = Literal["ns", "bytes"]


@dataclass(frozen=True)
class Sample:
    """One round of a case that knows more of it than the time."""

    total: int
    """Nanoseconds, or bytes, for all operations."""
    usage: Usage | None = None
    """What the round used, where it was not the measuring process that worked."""
    latency_ns: Mapping[str, int] = field(default_factory=dict)
    """Percentiles of the time from a request to its answer."""
    generator_ns: int = 0
    """Processor time of who asked."""


# Runs so many operations on fresh objects of the side; returns nanoseconds, or bytes, for all of
# them.
Runner = Callable[[Side, int], int | Sample]


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
    """The least ratio of the best rival's figure to tress's that is asked for."""
    rivals: tuple[str, ...] = (STD,)
    """The sides that tress is compared with: they take part without being asked for."""
    floor: str | None = None
    """A side beyond which nobody is expected to get: it takes part too, and is no rival."""
    floor_target: float | None = None
    """The least ratio of the floor's figure to tress's that is asked for."""
    unit: Unit = "ns"
    fresh_process: bool = False
    """Each round of each side needs a process to itself."""
    warm_up: bool = True
    """An uncounted part of a round comes first in each process."""
    placed: bool = False
    """The case says itself on which CPUs it runs: there is one placement."""
    more_rounds: int = 1
    """So many times the usual rounds: where threads land is luck, and the best must not be."""


def statement_runner(
    statement: str, make: Callable[[Side], dict[str, Any]] | None = None
) -> Callable[[Side, int], int]:
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
