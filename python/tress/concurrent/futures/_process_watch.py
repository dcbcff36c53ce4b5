"""Calls that are to be ended together with the worker that makes them.

A call's time counts from the moment at which a worker begins it, which the worker notes in shared
memory and tells nobody. So the collector looks when the time would be up if the call had begun as
soon as it could, and again when it is really up: it sleeps until then, and never polls.

A worker is condemned for one call (`ProcessPool.condemn`); if it has left that, it lives.
"""

from __future__ import annotations

import itertools
import signal
from collections import deque
from heapq import heapify, heappop, heappush
from math import inf
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tress import _native
    from tress.concurrent.futures._process_future import ProcessFuture

# A call that has just been taken, or just been answered, is looked at again after so many seconds.
_MOMENT = 0.005

# So many that have finished are left alone.
_FEW = 100

_Entry = tuple[float, int, "ProcessFuture", bool]


class Watch:
    """The calls of a pool that are watched. All but `limit` and `kill` is the collector's."""

    def __init__(self, pool: _native.ProcessPool, workers: dict[int, tuple[Any, int]]) -> None:
        # By pidfd, what the engine has: its process and its seat. The engine itself is not held,
        # so that its memory goes as soon as nobody has it.
        self._pool = pool
        self._workers = workers
        # When, in which order, what, and whether it is to be killed without more ado.
        self._added: deque[_Entry] = deque()
        self._heap: list[_Entry] = []
        self._numbers = itertools.count()
        # Whoever adds something that is due before this wakes the collector.
        self._next = inf
        # The task for which the worker of a seat was killed, and whether by `kill`.
        self._condemned: dict[int, tuple[int, bool]] = {}

    def limit(self, future: ProcessFuture, seconds: float) -> None:
        """Has the call of `future`, which has just been offered, end after that time."""
        self._add(monotonic() + seconds, future, False)

    def kill(self, future: ProcessFuture) -> None:
        """Has the call of `future`, which a worker has begun, end at once."""
        self._add(0.0, future, True)

    def _add(self, due: float, future: ProcessFuture, kills: bool) -> None:
        self._added.append((due, next(self._numbers), future, kills))
        if due < self._next:
            self._next = due
            self._pool.wake_collector()

    def patience(self) -> float | None:
        """How many seconds the collector may sleep, None for ever."""
        # Whoever adds something from here on wakes the collector.
        self._next = inf
        while self._added:
            heappush(self._heap, self._added.popleft())
        if len(self._heap) > 2 * self._pool.unfinished + _FEW:
            # Most have finished long before their time.
            self._heap = [entry for entry in self._heap if not entry[2].done()]
            heapify(self._heap)
        if not self._heap:
            return None
        self._next = self._heap[0][0]
        return max(self._next - monotonic(), 0)

    def look(self) -> None:
        """Kills the workers of the calls that are due."""
        while self._heap and self._heap[0][0] <= monotonic():
            _, number, future, kills = heappop(self._heap)
            if not future.done():
                due = self._judge(future, kills)
                if due is not None:
                    heappush(self._heap, (due, number, future, kills))

    def _judge(self, future: ProcessFuture, kills: bool) -> float | None:
        """Ends a call that is due; when to look again, if it is not."""
        task, options, pool = future._task, future._options, self._pool
        if task is None:
            # It is in line once more, and is watched again when it is offered.
            return None
        limit = inf if options is None or options.timeout is None else options.timeout
        for pidfd, (_, seat) in list(self._workers.items()):
            current = pool.current(seat)
            if current is None or current[0] != task:
                continue
            due = current[1] / 1e9 + limit
            if not kills and due > monotonic():
                return due
            if pool.condemn(seat, task):
                self._condemned[seat] = (task, kills)
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            return None
        if pool.is_begun(task):
            return monotonic() + _MOMENT
        if kills:
            future.cancel()
            return None
        return monotonic() + limit

    def sentence(self, seat: int) -> tuple[int, bool] | None:
        """For which task the worker of a seat, which has ended, was killed, and whether by
        `kill`; None if it was not."""
        return self._condemned.pop(seat, None)
