"""Contexts: what a start method comes with. The names of the standard `multiprocessing.context`.

Each class is a subclass of the standard one. The start method that a program chooses is one for
both libraries, whichever of them it is chosen in: what a new process is told comes from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from multiprocessing import context as _std
from multiprocessing.context import (
    AuthenticationError as AuthenticationError,
    BufferTooShort as BufferTooShort,
    ProcessError as ProcessError,
    TimeoutError as TimeoutError,  # noqa: A004 - the standard module's name
    assert_spawning as assert_spawning,
    get_spawning_popen as get_spawning_popen,
    set_spawning_popen as set_spawning_popen,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, overload

    from tress.multiprocessing import pool, queues, synchronize
    from tress.multiprocessing.connection import Connection
    from tress.multiprocessing.managers import SyncManager
    from tress.multiprocessing.synchronize import Robust

__all__ = ()


class Process(_std.Process):
    """A process, started by the start method that was chosen."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        return _default_context.get_context().Process._Popen(process_obj)


class ForkProcess(_std.ForkProcess):
    """A process that is a copy of the one that starts it."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        from tress.multiprocessing.popen_fork import Popen

        return Popen(process_obj)


class SpawnProcess(_std.SpawnProcess):
    """A process in a fresh interpreter."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        from tress.multiprocessing.popen_spawn_posix import Popen

        return Popen(process_obj)


class ForkServerProcess(_std.ForkServerProcess):
    """A process that a fork server starts: by a child that waits for that, ahead of the request."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        from tress.multiprocessing.popen_forkserver import Popen

        return Popen(process_obj)


class BaseContext(_std.BaseContext):
    """What the contexts have in common; the standard one, with tress's locks, pipes and queues."""

    def Lock(self, *, robust: Robust = "warn") -> synchronize.Lock:
        """Returns a lock.

        `robust` is what becomes of the news that its holder has ended: "warn" takes the lock and
        emits a `tress.OwnerDiedWarning`, "raise" raises `tress.OwnerDiedError` and leaves it free.
        """
        from tress.multiprocessing.synchronize import Lock

        return Lock(ctx=self.get_context(), robust=robust)

    def RLock(self, *, robust: Robust = "warn") -> synchronize.RLock:
        """Returns a recursive lock. `robust` is as for `Lock`."""
        from tress.multiprocessing.synchronize import RLock

        return RLock(ctx=self.get_context(), robust=robust)

    def Semaphore(self, value: int = 1, *, robust: Robust = "warn") -> synchronize.Semaphore:
        """Returns a semaphore of `value` permits. `robust` is as for `Lock`."""
        from tress.multiprocessing.synchronize import Semaphore

        return Semaphore(value, ctx=self.get_context(), robust=robust)

    def BoundedSemaphore(
        self, value: int = 1, *, robust: Robust = "warn"
    ) -> synchronize.BoundedSemaphore:
        """Returns a semaphore of `value` permits at most. `robust` is as for `Lock`."""
        from tress.multiprocessing.synchronize import BoundedSemaphore

        return BoundedSemaphore(value, ctx=self.get_context(), robust=robust)

    def Condition(self, lock: Any = None) -> synchronize.Condition:
        """Returns a condition around `lock`, a Lock or RLock of this module, or a new RLock."""
        from tress.multiprocessing.synchronize import Condition

        return Condition(lock, ctx=self.get_context())

    def Event(self) -> synchronize.Event:
        """Returns an event."""
        from tress.multiprocessing.synchronize import Event

        return Event(ctx=self.get_context())

    def Barrier(
        self,
        parties: int,
        action: Callable[..., object] | None = None,
        timeout: float | None = None,
    ) -> synchronize.Barrier:
        """Returns a barrier for `parties` processes; `timeout` is the default of its waits, in
        seconds.
        """
        from tress.multiprocessing.synchronize import Barrier

        return Barrier(parties, action, timeout, ctx=self.get_context())

    def Manager(self) -> SyncManager:
        """Returns a manager with a server process of its own, which is running."""
        from tress.multiprocessing.managers import SyncManager

        manager = SyncManager(ctx=self.get_context())
        manager.start()
        return manager

    def Pipe(self, duplex: bool = True) -> tuple[Connection, Connection]:
        """Returns two connections, each of which receives what the other sends.

        With `duplex` false the first one only receives, and the second only sends.
        """
        from tress.multiprocessing.connection import Pipe

        return Pipe(duplex)

    def Queue(self, maxsize: int = 0) -> queues.Queue[Any]:
        """Returns a queue of at most `maxsize` objects, of any number if that is not positive."""
        from tress.multiprocessing.queues import Queue

        return Queue(maxsize, ctx=self.get_context())

    def JoinableQueue(self, maxsize: int = 0) -> queues.JoinableQueue[Any]:
        """Returns a queue that can be joined. `maxsize` is as for `Queue`."""
        from tress.multiprocessing.queues import JoinableQueue

        return JoinableQueue(maxsize, ctx=self.get_context())

    def SimpleQueue(self) -> queues.SimpleQueue[Any]:
        """Returns a queue whose `put()` waits while there is no room."""
        from tress.multiprocessing.queues import SimpleQueue

        return SimpleQueue(ctx=self.get_context())

    def Pool(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
        *,
        on_worker_lost: str = "fail_task",
        max_retries: int = 3,
        max_worker_memory: int | None = None,
        log_to_parent: bool = False,
    ) -> pool.Pool:
        """Returns a pool of worker processes: see `tress.multiprocessing.pool.Pool`."""
        from tress.multiprocessing.pool import Pool

        return Pool(
            processes,
            initializer,
            initargs,
            maxtasksperchild,
            context=self.get_context(),
            on_worker_lost=on_worker_lost,
            max_retries=max_retries,
            max_worker_memory=max_worker_memory,
            log_to_parent=log_to_parent,
        )

    if TYPE_CHECKING:

        @overload  # type: ignore[override]
        def get_context(self, method: None = None) -> BaseContext: ...
        @overload
        def get_context(self, method: Literal["fork"]) -> ForkContext: ...
        @overload
        def get_context(self, method: Literal["spawn"]) -> SpawnContext: ...
        @overload
        def get_context(self, method: Literal["forkserver"]) -> ForkServerContext: ...
        @overload
        def get_context(self, method: str | None) -> BaseContext: ...

    def get_context(self, method: str | None = None) -> Any:
        """Returns the context of a start method, "fork", "spawn" or "forkserver"; this one without.

        ValueError for another method.
        """
        return self if method is None else _concrete(method)


class ForkContext(BaseContext, _std.ForkContext):
    """Starts processes by a fork."""

    Process = ForkProcess


class SpawnContext(BaseContext, _std.SpawnContext):
    """Starts processes by a fresh interpreter."""

    Process = SpawnProcess


class ForkServerContext(BaseContext, _std.ForkServerContext):
    """Starts processes by a fork of a server without threads."""

    Process = ForkServerProcess


class DefaultContext(BaseContext, _std.DefaultContext):
    """The context of the start method that was chosen, or of the platform's."""

    Process = Process

    def __init__(self) -> None:
        """One for the whole process, as the standard one."""

    @property
    def _actual_context(self) -> BaseContext | None:
        name = _std._default_context.get_start_method(allow_none=True)
        return None if name is None else _concrete(name)

    @_actual_context.setter
    def _actual_context(self, context: _std.BaseContext | None) -> None:
        method = None if context is None else context.get_start_method()
        _std._default_context.set_start_method(method, force=True)

    def get_context(self, method: str | None = None) -> Any:
        """Returns the context of a start method, the chosen one without. ValueError for another."""
        return _concrete(_std._default_context.get_start_method() if method is None else method)

    def set_start_method(self, method: str | None, force: bool = False) -> None:
        """Chooses the start method, once; None with `force` forgets it.

        RuntimeError for a second time without `force`, ValueError for a method that there is not.
        """
        _std._default_context.set_start_method(method, force)

    def get_start_method(self, allow_none: bool = False) -> str:
        """Returns the start method that was chosen; else the platform's, which is chosen thereby,
        or None if `allow_none` is true.
        """
        return _std._default_context.get_start_method(allow_none)

    def get_all_start_methods(self) -> list[str]:
        """Returns the start methods, in the standard library's order."""
        return _std._default_context.get_all_start_methods()


_concrete_contexts: dict[str, BaseContext] = {
    "fork": ForkContext(),
    "spawn": SpawnContext(),
    "forkserver": ForkServerContext(),
}
_default_context = DefaultContext()


def _concrete(method: str) -> BaseContext:
    try:
        context = _concrete_contexts[method]
    except KeyError:
        raise ValueError(f"cannot find context for {method!r}") from None
    context._check_available()
    return context
