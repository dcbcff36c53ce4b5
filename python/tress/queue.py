"""Queues between threads: the names of the standard `queue`, on tress's engine.

A queue is native until somebody reaches into it: see docs/queue.md for what that means.
"""

from __future__ import annotations

import queue as _std
from queue import Empty, Full

from tress import _native
from tress._native import SimpleQueue
from tress._open_queue import ShutDown

__all__ = ["Empty", "Full", "LifoQueue", "PriorityQueue", "Queue", "ShutDown", "SimpleQueue"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    from _typeshed import SupportsRichComparison

    _T = TypeVar("_T")
    _Sortable = TypeVar("_Sortable", bound=SupportsRichComparison)
else:
    # What stands in the brackets of a base class is for type checkers alone.
    _T = _Sortable = object


class Queue(_native.Queue[_T], _std.Queue[_T]):
    """A queue between threads that gives out the oldest item first, as `queue.Queue`.

    `maxsize` is the most items that it holds; 0 and less mean any number.
    """

    __slots__ = ()


class LifoQueue(Queue[_T], _std.LifoQueue[_T]):
    """A queue between threads that gives out the youngest item first, as `queue.LifoQueue`."""

    __slots__ = ()


class PriorityQueue(Queue[_Sortable], _std.PriorityQueue[_Sortable]):
    """A queue between threads that gives out the least item first, as `queue.PriorityQueue`.

    Items are compared by `<`, most often tuples `(priority, data)`. A comparison that raises in
    `get` leaves the queue as it was; one that raises in `put` leaves the item in the queue, not
    counted as unfinished, as in the standard library.
    """

    __slots__ = ()


for _class in (Queue, LifoQueue, PriorityQueue):
    _native.own_methods(_class, _native.Queue)
del _class
