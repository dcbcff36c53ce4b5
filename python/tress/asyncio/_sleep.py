"""Sleeping."""

from __future__ import annotations

from tress import _native
from tress.asyncio._coroutine_function import coroutine_function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any, TypeVar

    _T = TypeVar("_T")


@coroutine_function
def sleep(delay: float, result: _T = None) -> Coroutine[Any, Any, _T]:  # type: ignore[assignment]
    """Suspends the task for `delay` seconds, and then returns `result`.

    With 0 and less it gives the other tasks a turn. When the task is cancelled meanwhile, the timer
    goes as well. From Python 3.13 on ValueError is raised when `delay` is not a number.
    """
    return _native.sleep(delay, result)
