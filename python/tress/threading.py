"""Threads and what they share: the names of the standard `threading`, on tress's engine.

What is not defined here is the standard library's own object: see docs/coverage.md for each name
and the reason.
"""

from __future__ import annotations

import sys
import threading as _std
from collections.abc import Callable
from threading import (
    TIMEOUT_MAX,
    BrokenBarrierError,
    ExceptHookArgs,
    ThreadError,
    __excepthook__ as __excepthook__,
    active_count,
    activeCount as activeCount,
    current_thread,
    currentThread as currentThread,
    enumerate,  # noqa: A004 - the standard module's name
    get_ident,
    get_native_id,
    getprofile,
    gettrace,
    local,
    main_thread,
    setprofile,
    settrace,
    stack_size,
)
from types import MethodDescriptorType, ModuleType, WrapperDescriptorType

from tress import _native
from tress._native import RLock as RLock
from tress._thread import Thread as Thread
from tress._timer import Timer as Timer

TYPE_CHECKING = False

# To the type checker a type on every Python, as the standard library's is.
if TYPE_CHECKING or sys.version_info >= (3, 13):
    from tress._native import Lock as Lock
else:
    from tress._native import allocate_lock

    Lock = allocate_lock
    Lock.__module__ = __name__

if sys.version_info >= (3, 12):
    from threading import setprofile_all_threads, settrace_all_threads

if sys.version_info >= (3, 15):
    from threading import concurrent_tee, serialize_iterator, synchronized_iterator

if TYPE_CHECKING:
    from threading import excepthook
    from typing import Any, TypeVar

    _C = TypeVar("_C")
    _R = TypeVar("_R")

__all__ = [
    "TIMEOUT_MAX",
    "Barrier",
    "BoundedSemaphore",
    "BrokenBarrierError",
    "Condition",
    "Event",
    "ExceptHookArgs",
    "Lock",
    "RLock",
    "Semaphore",
    "Thread",
    "ThreadError",
    "Timer",
    "active_count",
    "current_thread",
    "enumerate",
    "excepthook",
    "get_ident",
    "get_native_id",
    "getprofile",
    "gettrace",
    "local",
    "main_thread",
    "setprofile",
    "settrace",
    "stack_size",
]

if sys.version_info >= (3, 12):
    __all__ += ["setprofile_all_threads", "settrace_all_threads"]

if sys.version_info >= (3, 15):
    __all__ += ["concurrent_tee", "serialize_iterator", "synchronized_iterator"]


def _owns_methods_of(native: type) -> Callable[[type[_C]], type[_C]]:
    """Decorates a class on top of a native one: its methods become its own, which makes them faster
    to call.
    """

    def own(cls: type[_C]) -> type[_C]:
        _native.own_methods(cls, native)
        return cls

    return own


@_owns_methods_of(_native.Event)
class Event(_native.Event, _std.Event):
    """A flag that threads wait for, as `threading.Event`."""

    __slots__ = ()


@_owns_methods_of(_native.Condition)
class Condition(_native.Condition, _std.Condition):
    """A condition that threads wait for, around a lock, as `threading.Condition`."""

    __slots__ = ()

    async def await_for(self, predicate: Callable[[], _R]) -> _R:
        """Waits, in a coroutine that holds the lock, until `predicate()` is true; returns what it
        returned.

        Each time the condition is notified the lock is acquired again and the predicate called.
        RuntimeError as for `await_`.
        """
        while not (result := predicate()):
            await self.await_()
        return result


@_owns_methods_of(_native.Semaphore)
class Semaphore(_native.Semaphore, _std.Semaphore):  # type: ignore[misc]
    """A counter of permits, as `threading.Semaphore`."""

    __slots__ = ()

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        # The native `with` goes straight to the counter; a class with a `release` of its own means
        # that one.
        if not _is_native(cls.release) and _is_native(cls.__exit__):
            cls.__exit__ = _release_at_exit  # type: ignore[method-assign, assignment]
        if not _is_native(cls.release) and _is_native(cls.__aexit__):
            cls.__aexit__ = _release_at_async_exit  # type: ignore[method-assign, assignment]


def _is_native(method: object) -> bool:
    return isinstance(method, MethodDescriptorType | WrapperDescriptorType)


def _release_at_exit(
    self: Semaphore, _type: object = None, _value: object = None, _traceback: object = None
) -> None:
    self.release()


async def _release_at_async_exit(self: Semaphore, *_exc: object) -> None:
    self.release()


@_owns_methods_of(_native.Semaphore)
class BoundedSemaphore(Semaphore, _std.BoundedSemaphore):  # type: ignore[misc]
    """A semaphore whose value may not pass its initial one, as `threading.BoundedSemaphore`."""

    __slots__ = ()

    def __init__(self, value: int = 1) -> None:
        super().__init__(value)
        self._set_bound()


@_owns_methods_of(_native.Barrier)
class Barrier(_native.Barrier, _std.Barrier):
    """A meeting point for a fixed number of threads, as `threading.Barrier`."""

    __slots__ = ()


class _Module(ModuleType):
    """This module: the hook that a program sets here is the one that threads call.

    No such name is in the module's own dictionary, where the interpreter's inline caches would find
    it first.
    """

    @property
    def excepthook(self) -> Any:
        """The standard module's."""
        return _std.excepthook

    @excepthook.setter
    def excepthook(self, hook: Any) -> None:
        _std.excepthook = hook


sys.modules[__name__].__class__ = _Module
