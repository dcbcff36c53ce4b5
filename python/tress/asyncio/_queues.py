"""Queues."""

from __future__ import annotations

from asyncio import queues as _std

from tress import _native
from tress.asyncio._coroutine_function import coroutine_function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

# Installed, the names mean the classes below.
_StandardQueue: Any = _std.Queue
_StandardPriorityQueue: Any = _std.PriorityQueue
_StandardLifoQueue: Any = _std.LifoQueue

QueueEmpty, QueueFull = _std.QueueEmpty, _std.QueueFull

if hasattr(_std, "QueueShutDown"):
    QueueShutDown = _std.QueueShutDown
else:

    class QueueShutDown(Exception):  # type: ignore[no-redef]
        """Nothing more goes into the queue, or comes out of it."""

        __module__ = "tress.asyncio"


class Queue(_native.LoopQueue, _StandardQueue):  # type: ignore[misc]
    """A queue between the tasks of a loop that gives out the oldest item first, as `asyncio.Queue`.

    `maxsize` is the most items that it holds; 0 and less mean any number.
    """

    __module__ = "tress.asyncio"

    _get_nowait_standard = _StandardQueue.get_nowait
    _put_nowait_standard = _StandardQueue.put_nowait

    def __init__(self, maxsize: int = 0) -> None:
        self._know_class(type(self) in _OWN, type(self) is Queue)
        super().__init__(maxsize)

    @coroutine_function
    def get(self) -> Coroutine[Any, Any, Any]:
        """Waits until there is an item, takes it out, and returns it.

        QueueShutDown when there will be none.
        """
        return self._begin_to_get()

    @coroutine_function
    def put(self, item: Any) -> Coroutine[Any, Any, None]:
        """Waits until there is room, and puts an item in.

        QueueShutDown when the queue takes none any more.
        """
        return self._begin_to_put(item)

    # The rest is for a class of the program's: it may have overridden anything.

    async def _get_in_python(self) -> Any:
        while self.empty():
            if self._is_shutdown and self.empty():
                raise QueueShutDown
            await self._wait_among(self._getters, self.empty)
        return self.get_nowait()

    async def _put_in_python(self, item: Any) -> None:
        while self.full():
            if self._is_shutdown:
                raise QueueShutDown
            await self._wait_among(self._putters, self.full)
        self.put_nowait(item)

    async def _wait_among(self, waiters: Any, is_hopeless: Any) -> None:
        """Wait for a turn; whoever is cancelled with it in hand passes it on."""
        turn = self._get_loop().create_future()
        waiters.append(turn)
        try:
            await turn
        except BaseException:
            turn.cancel()
            try:
                waiters.remove(turn)
            except ValueError:
                pass  # it has been called
            if not (is_hopeless() or turn.cancelled()):
                self._wakeup_next(waiters)
            raise

    def shutdown(self, immediate: bool = False) -> None:
        """Take no more items; `get` raises QueueShutDown once the queue is empty.

        With `immediate` it is emptied, and its items count as done.
        """
        self._is_shutdown = True
        if immediate:
            while not self.empty():
                self._get()
                if self._unfinished_tasks > 0:
                    self._unfinished_tasks -= 1
            if self._unfinished_tasks == 0:
                self._finished.set()
        for waiters in (self._getters, self._putters):
            while waiters:
                waiter = waiters.popleft()
                if not waiter.done():
                    waiter.set_result(None)


class PriorityQueue(Queue, _StandardPriorityQueue):  # type: ignore[misc]
    """A queue that gives out the least item first, as `asyncio.PriorityQueue`."""

    __module__ = "tress.asyncio"


class LifoQueue(Queue, _StandardLifoQueue):  # type: ignore[misc]
    """A queue that gives out the youngest item first, as `asyncio.LifoQueue`."""

    __module__ = "tress.asyncio"


_OWN = (Queue, PriorityQueue, LifoQueue)
