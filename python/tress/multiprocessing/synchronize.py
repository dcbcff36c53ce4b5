"""Locks that processes share: the names of the standard `multiprocessing.synchronize`.

Each class is a subclass of the standard one. What waits is tress's: in memory without a name, which
goes with the last process that has it, so that nothing is left behind by one that is killed.
"""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import context as _context, synchronize as _std
from multiprocessing.context import BaseContext
from multiprocessing.synchronize import RECURSIVE_MUTEX, SEM_VALUE_MAX, SEMAPHORE  # type: ignore[attr-defined]

from tress import _native
from tress.multiprocessing import _sharing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, TypeAlias

    Robust: TypeAlias = Literal["warn", "raise"]
    """What an `acquire()` does that gets what a process held when it ended: warn of it, or raise an
    error and not take it.
    """

    _State = tuple[int, int, str | None, bool, Robust, _sharing.Description]

__all__ = ["BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore"]


class SemLock(_native.OnSemLock, _std.SemLock):
    """What locks and semaphores are made of, as `multiprocessing.synchronize.SemLock`."""

    _is_fork_ctx: bool
    _robust: Robust

    def __init__(
        self,
        kind: int,
        value: int,
        maxvalue: int,
        *,
        ctx: BaseContext | None,
        robust: Robust = "warn",
    ) -> None:
        if robust not in ("warn", "raise"):
            raise ValueError(f'robust must be "warn" or "raise", not {robust!r}')
        if ctx is None:
            ctx = _context._default_context.get_context()
        self._is_fork_ctx = ctx.get_start_method() == "fork"
        self._begin(_native.SemLock(kind, value, maxvalue, "", True), robust)

    def _begin(self, semlock: _native.SemLock, robust: Robust) -> None:
        self._semlock = semlock
        self._robust = robust
        semlock._raise_owner_died(robust == "raise")
        self._make_methods()

    def _make_methods(self) -> None:
        self.acquire = self._semlock.acquire  # type: ignore[method-assign]
        self.release = self._semlock.release  # type: ignore[method-assign]

    def __getstate__(self) -> _State:
        # Refuses what may not travel; what it returns is for the standard class to rebuild.
        super().__getstate__()
        one = self._semlock
        described = _sharing.describe(one.slot)
        return (one.kind, one.maxvalue, one.name, one.is_lock, self._robust, described)

    def __setstate__(self, state: _State) -> None:
        kind, maxvalue, name, is_lock, robust, described = state
        slot = _sharing.find(described)
        self._is_fork_ctx = False
        self._begin(_native.SemLock._rebuild(slot, kind, maxvalue, name, is_lock), robust)


class Semaphore(SemLock, _std.Semaphore):
    """A counter of permits, as `multiprocessing.Semaphore`.

    The permits of a process that has ended come back to those who wait, and the first of them is
    told (`robust`). That holds as long as permits are given back by the processes that took them:
    a semaphore on which one process releases what another acquired is a signal, which does not
    come back.
    """

    def __init__(self, value: int = 1, *, ctx: BaseContext, robust: Robust = "warn") -> None:
        SemLock.__init__(self, SEMAPHORE, value, SEM_VALUE_MAX, ctx=ctx, robust=robust)


class BoundedSemaphore(Semaphore, _std.BoundedSemaphore):
    """A semaphore whose value may not pass its initial one, as
    `multiprocessing.BoundedSemaphore`.
    """

    def __init__(self, value: int = 1, *, ctx: BaseContext, robust: Robust = "warn") -> None:
        SemLock.__init__(self, SEMAPHORE, value, value, ctx=ctx, robust=robust)


class Lock(SemLock, _std.Lock):
    """A lock, as `multiprocessing.Lock`: any process may release it.

    When the process that holds it ends, in whatever way, one of those who wait for it gets it, and
    is told (`robust`). A call that does not wait finds it held until then.
    """

    def __init__(self, *, ctx: BaseContext, robust: Robust = "warn") -> None:
        SemLock.__init__(self, SEMAPHORE, 1, 1, ctx=ctx, robust=robust)


class RLock(SemLock, _std.RLock):
    """A lock that its owner may acquire again, as `multiprocessing.RLock`.

    When the process that holds it ends, one of those who wait for it gets it, as for `Lock`.
    """

    def __init__(self, *, ctx: BaseContext, robust: Robust = "warn") -> None:
        SemLock.__init__(self, RECURSIVE_MUTEX, 1, 1, ctx=ctx, robust=robust)


class _Gauge:
    """A number that the standard class keeps in a semaphore."""

    def __init__(self, get_value: Callable[[], int]) -> None:
        self.get_value = get_value


class Condition(_std.Condition):
    """A condition around a lock, as `multiprocessing.Condition`.

    `notify()` waits for nobody. A process that is killed while it waits loses the notification that
    it would have had, and no other. However `wait()` ends, the lock is held again.
    """

    _lock: Any

    def __init__(self, lock: Any = None, *, ctx: BaseContext) -> None:
        self._lock = lock or ctx.RLock()
        self._waiters = _native.SharedCondition()
        self._make_methods()

    def _make_methods(self) -> None:
        self.acquire = self._lock.acquire  # type: ignore[method-assign]
        self.release = self._lock.release  # type: ignore[method-assign]

    def __getstate__(self) -> tuple[Any, _sharing.Description]:
        _context.assert_spawning(self)
        return self._lock, _sharing.describe(self._waiters.slot)

    def __setstate__(self, state: tuple[Any, _sharing.Description]) -> None:
        self._lock, described = state
        self._waiters = _native.SharedCondition(_sharing.find(described))
        self._make_methods()

    @property
    def _sleeping_count(self) -> _Gauge:
        return _Gauge(self._waiters.waiting)

    @property
    def _woken_count(self) -> _Gauge:
        return _Gauge(lambda: 0)

    @property
    def _wait_semaphore(self) -> _Gauge:
        return _Gauge(self._waiters.under_way)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}({self._lock}, {self._waiters.waiting()})>"

    def wait(self, timeout: float | None = None) -> bool:
        """Release the lock, wait until notified, and acquire it again. AssertionError when the
        calling thread does not hold it.

        False when `timeout` seconds passed first. A timeout takes no notification; nor does an
        exception of a signal handler, after which one that had come goes to another waiter.
        """
        semlock = self._lock._semlock
        assert semlock._is_mine(), "must acquire() condition before using wait()"
        waiters = self._waiters
        ticket = waiters.enrol()
        count = semlock._count()
        for _ in range(count):
            self._lock.release()
        notified = False
        try:
            notified = waiters.wait(ticket, timeout)
        except BaseException:
            self._acquire_again(count)
            if waiters.leave(ticket):
                waiters.notify(1)
            raise
        self._acquire_again(count)
        return notified or waiters.leave(ticket)

    def _acquire_again(self, count: int) -> None:
        if isinstance(self._lock._semlock, _native.SemLock):
            self._lock._semlock._reacquire(count)
            return
        for _ in range(count):
            self._lock.acquire()

    def notify(self, n: int = 1) -> None:
        """Wake `n` waiters, or all if there are fewer. AssertionError when the calling thread does
        not hold the lock.
        """
        assert self._lock._semlock._is_mine(), "lock is not owned"
        self._waiters.notify(n)

    def notify_all(self) -> None:
        """Wake all waiters. AssertionError when the calling thread does not hold the lock."""
        self.notify(SEM_VALUE_MAX)


class Event(_std.Event):
    """A flag that processes wait for, as `multiprocessing.Event`.

    It needs no lock, so that no killed process leaves one behind. A `wait()` that has begun before
    `set()` returns True even if `clear()` follows at once.
    """

    def __init__(self, *, ctx: BaseContext) -> None:
        self._is_fork_ctx = ctx.get_start_method() == "fork"
        self._event = _native.SharedEvent()

    def __getstate__(self) -> _sharing.Description:
        _context.assert_spawning(self)
        if self._is_fork_ctx:
            raise RuntimeError(
                "an Event created in a fork context is being shared with a process that is not "
                "forked: create it in the context of that process"
            )
        return _sharing.describe(self._event.slot)

    def __setstate__(self, described: _sharing.Description) -> None:
        self._is_fork_ctx = False
        self._event = _native.SharedEvent(_sharing.find(described))

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._event.is_set()

    def set(self) -> None:
        """Set it: everybody who waits goes on, and later waits return at once."""
        self._event.set()

    def clear(self) -> None:
        """Clear it: later waits wait."""
        self._event.clear()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set; False when `timeout` seconds passed first."""
        return self._event.wait(timeout)


class Barrier(_std.Barrier):
    """A meeting point for a fixed number of processes, as `multiprocessing.Barrier`.

    Its condition is tress's. A party that is killed does not arrive: give `wait()` a timeout.
    """
