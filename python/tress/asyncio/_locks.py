"""Locks and Event."""

from __future__ import annotations

from asyncio import locks as _std

from tress import _native
from tress.asyncio._coroutine_function import coroutine_function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any, Literal

# Installed, the names mean the classes below.
_StandardLock: Any = _std.Lock
_StandardSemaphore: Any = _std.Semaphore
_StandardBoundedSemaphore: Any = _std.BoundedSemaphore
_StandardEvent: Any = _std.Event


class Lock(_native.LoopLock, _StandardLock):  # type: ignore[misc]
    """A lock between the tasks of a loop, as `asyncio.Lock`."""

    __module__ = "tress.asyncio"

    @coroutine_function
    def acquire(self) -> Coroutine[Any, Any, Literal[True]]:
        """Waits until the lock is free, takes it, and returns True."""
        return self._begin_to_acquire()


class Semaphore(_native.LoopSemaphore, _StandardSemaphore):  # type: ignore[misc]
    """A semaphore between the tasks of a loop, as `asyncio.Semaphore`."""

    __module__ = "tress.asyncio"

    @coroutine_function
    def acquire(self) -> Coroutine[Any, Any, Literal[True]]:
        """Waits for a permit, takes it, and returns True."""
        return self._begin_to_acquire()


class BoundedSemaphore(Semaphore, _StandardBoundedSemaphore):  # type: ignore[misc]
    """A semaphore that is released no more often than acquired, as `asyncio.BoundedSemaphore`."""

    __module__ = "tress.asyncio"

    def release(self) -> None:
        """Give a permit back; ValueError if all are there."""
        if self._value >= self._bound_value:
            raise ValueError("BoundedSemaphore released too many times")
        super().release()


class Event(_native.LoopEvent, _StandardEvent):  # type: ignore[misc]
    """An event between the tasks of a loop, as `asyncio.Event`."""

    __module__ = "tress.asyncio"

    @coroutine_function
    def wait(self) -> Coroutine[Any, Any, Literal[True]]:
        """Waits until it is set, and returns True."""
        return self._begin_to_wait()
