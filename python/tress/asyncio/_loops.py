"""The loops that there are, for whoever looks at the program."""

from __future__ import annotations

import weakref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tress.asyncio._event_loop import EventLoop

# Of weak references: a list of it is made in one step, whatever other threads do meanwhile.
_loops: set[weakref.ref[EventLoop]] = set()


def add(loop: EventLoop) -> None:
    """A loop has been made."""
    _loops.add(weakref.ref(loop, _loops.discard))


def running() -> Iterator[tuple[int, EventLoop]]:
    """The loops that run, in any thread, each with the identifier of that thread."""
    for reference in list(_loops):
        loop = reference()
        if loop is not None and loop._thread_id is not None:
            yield loop._thread_id, loop
