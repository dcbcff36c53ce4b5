"""Locks and Event: native as long as nobody waits; the waiting is the standard library's."""

from __future__ import annotations

from asyncio import locks as _std

from tress import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Installed, the names mean the classes below.
_StandardLock: Any = _std.Lock
_StandardSemaphore: Any = _std.Semaphore
_StandardBoundedSemaphore: Any = _std.BoundedSemaphore
_StandardEvent: Any = _std.Event


class Lock(_native.LoopLock, _StandardLock):  # type: ignore[misc]
    """A lock between the tasks of a loop, as `asyncio.Lock`."""

    __module__ = "tress.asyncio"

    _wait_and_acquire = _StandardLock.acquire

    async def _wait_and_enter(self) -> None:
        await _StandardLock.acquire(self)


class Semaphore(_native.LoopSemaphore, _StandardSemaphore):  # type: ignore[misc]
    """A semaphore between the tasks of a loop, as `asyncio.Semaphore`."""

    __module__ = "tress.asyncio"

    _wait_and_acquire = _StandardSemaphore.acquire

    async def _wait_and_enter(self) -> None:
        await _StandardSemaphore.acquire(self)


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

    _wait_until_set = _StandardEvent.wait
    _set_and_wake = _StandardEvent.set
