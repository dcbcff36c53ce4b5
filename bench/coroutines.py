"""How a case of coroutines is made: one coroutine on the side's own loop, alone in its process."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from bench.case import Case, Unit
from bench.loops import ASYNCIO, NEW_EVENT_LOOP, RIVALS
from bench.sides import Side

# Runs so many operations on the loop that it is on; returns nanoseconds, or bytes, for all of them.
Main = Callable[[Side, int], Coroutine[Any, Any, int]]


def case(
    name: str,
    title: str,
    main: Main,
    operations: int,
    target: float,
    *,
    unit: Unit = "ns",
    more_rounds: int = 1,
) -> Case:
    """A case that runs `main`, against the best of the loops."""

    def run(side: Side, count: int) -> int:
        with side.asyncio.Runner(loop_factory=side.new_event_loop) as runner:
            result: int = runner.run(main(side, count))
            return result

    return Case(
        name=name,
        title=title,
        run=run,
        operations=operations,
        needs=(ASYNCIO, NEW_EVENT_LOOP),
        target=target,
        rivals=RIVALS,
        unit=unit,
        fresh_process=True,
        warm_up=unit == "ns",
        more_rounds=more_rounds,
    )
