"""Timeouts, and waiting with one."""

from __future__ import annotations

import sys
from asyncio import tasks, timeouts
from asyncio.events import get_running_loop
from asyncio.exceptions import CancelledError
from asyncio.tasks import ensure_future

from tress import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Any, TypeVar

    _T = TypeVar("_T")

# Installed, the name means the class below.
_StandardTimeout: Any = timeouts.Timeout
_cancel_and_wait: Any = tasks._cancel_and_wait  # type: ignore[attr-defined]


class Timeout(_native.Timeout, _StandardTimeout):  # type: ignore[misc]
    """Cancels the task in a block when a time has come, as `asyncio.Timeout`."""

    __module__ = "tress.asyncio"


class _Limit(Timeout):
    """For a block that does not ask for it."""

    __aenter__: Any = _native.Timeout._enter


def timeout(delay: float | None) -> Timeout:
    """A block that is cancelled if it has not ended in `delay` seconds, and raises TimeoutError.

    With None it may take as long as it likes. `reschedule` of what `async with` gives changes the
    time. RuntimeError is raised where no loop runs.
    """
    running = get_running_loop()
    return Timeout(running.time() + delay if delay is not None else None)


def timeout_at(when: float | None) -> Timeout:
    """As `timeout`, with a time of the loop's clock."""
    return Timeout(when)


if sys.version_info >= (3, 12):

    async def wait_for(fut: Awaitable[_T], timeout: float | None) -> _T:
        """Waits for a coroutine or future, for `timeout` seconds at most, and returns its result.

        When the time has come it is cancelled, and TimeoutError raised; when the wait is cancelled,
        it is cancelled as well. With None there is no limit, with 0 and less it must be done.
        """
        if timeout is not None and timeout <= 0:
            waited = ensure_future(fut)
            had_ended = waited.done()
            if not had_ended:
                await _cancel_and_wait(waited)
            try:
                return waited.result()
            except CancelledError as cancelled:
                if had_ended:
                    raise
                raise TimeoutError from cancelled
        async with _Limit(get_running_loop().time() + timeout if timeout is not None else None):
            return await fut

else:
    # There the coroutine runs in a task of its own.
    from asyncio.tasks import wait_for as wait_for
