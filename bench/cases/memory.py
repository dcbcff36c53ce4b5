"""Bytes an idle object takes, native memory included.

tracemalloc sees Python's allocator only, so the figure is the growth of the process's anonymous
resident memory over many objects, in a fresh process each time. `malloc_trim` first gives back what
earlier work left free, and huge pages are off, since they would be counted whole. The list that
holds the objects is made before.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from bench import resident
from bench.case import Case, Runner
from bench.sides import Side

OBJECTS = 50_000


def _memory_runner(kind: str, use: Callable[[Any], object] | None = None) -> Runner:
    def run(side: Side, operations: int) -> int:
        resident.without_huge_pages()
        make = getattr(side, kind)
        # A few first: what a class needs once is not an object's.
        held: list[Any] = [make() for _ in range(100)]
        for one in held:
            if use is not None:
                use(one)
        held = [None] * operations
        resident.trim()
        before = resident.anonymous_bytes()
        for index in range(operations):
            held[index] = one = make()
            if use is not None:
                use(one)
        gc.collect()
        after = resident.anonymous_bytes()
        if any(one is None for one in held):
            raise RuntimeError(f"{side.name}: an object is missing")
        return after - before

    return run


def use_queue(queue: Any) -> None:
    """One item through, so that it is empty again."""
    queue.put(None)
    queue.get()


def use_event(event: Any) -> None:
    """Set and cleared again."""
    event.set()
    event.clear()


def use_condition(condition: Any) -> None:
    """Taken, notified, left."""
    with condition:
        condition.notify()


def use_future(future: Any) -> None:
    """Completed."""
    future.set_result(None)


_KINDS: tuple[tuple[str, Callable[[Any], None]], ...] = (
    ("Queue", use_queue),
    ("Event", use_event),
    ("Condition", use_condition),
    ("Future", use_future),
)

CASES = tuple(
    Case(
        name=f"memory_{kind.lower()}{suffix}",
        title=f"memory of an idle {kind}{remark}",
        run=_memory_runner(kind, use),
        operations=OBJECTS,
        needs=(kind,),
        target=target,
        unit="bytes",
        fresh_process=True,
        warm_up=False,
    )
    for suffix, remark, target, used in (("", "", 3.0, False), ("_used", ", once used", None, True))
    for kind, use in ((kind, use if used else None) for kind, use in _KINDS)
)
