"""Functions that return a coroutine of tress's."""

from __future__ import annotations

import sys
from asyncio import coroutines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    _Function = TypeVar("_Function")

if sys.version_info >= (3, 12):
    from inspect import markcoroutinefunction as coroutine_function
else:

    def coroutine_function(function: _Function) -> _Function:
        """Has `asyncio.iscoroutinefunction` take it for what it stands for."""
        marked: Any = function
        marked._is_coroutine = coroutines._is_coroutine  # type: ignore[attr-defined]
        return function
