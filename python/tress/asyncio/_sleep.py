"""Sleeping."""

from __future__ import annotations

import sys
from asyncio import events
from types import coroutine

from tress._native import set_result_unless_cancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import TypeVar

    _T = TypeVar("_T")

_CHECKS_NAN = sys.version_info >= (3, 13)


@coroutine
def _pause() -> Generator[None]:
    yield


async def sleep(delay: float, result: _T = None) -> _T:  # type: ignore[assignment]
    """Suspends the task for `delay` seconds, and then returns `result`.

    With 0 and less it gives the other tasks a turn. When the task is cancelled meanwhile, the timer
    goes as well. From Python 3.13 on ValueError is raised when `delay` is not a number.
    """
    if delay <= 0:
        await _pause()
        return result
    if _CHECKS_NAN and delay != delay:
        raise ValueError("Invalid delay: NaN (not a number)")
    loop = events.get_running_loop()
    future = loop.create_future()
    timer = loop.call_later(delay, set_result_unless_cancelled, future, result)
    try:
        return await future  # type: ignore[no-any-return]
    finally:
        timer.cancel()
