"""Functions that return a coroutine of tress's."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any, TypeVar

    _Function = TypeVar("_Function", bound=Callable[..., Coroutine[Any, Any, Any]])

if sys.version_info >= (3, 12):
    from inspect import markcoroutinefunction as coroutine_function
else:
    from functools import wraps

    def coroutine_function(function: _Function) -> _Function:
        """Makes it a coroutine function: `inspect` of this Python takes no other for one."""

        @wraps(function)
        async def awaiting(*args: Any, **kwargs: Any) -> Any:
            return await function(*args, **kwargs)

        return awaiting  # type: ignore[return-value]
