"""Functions of the standard `asyncio`, as they were before anything was installed."""

from __future__ import annotations

from asyncio.streams import (
    StreamReader as StreamReader,
    StreamReaderProtocol as StreamReaderProtocol,
    StreamWriter as StreamWriter,
)
from asyncio.taskgroups import TaskGroup as TaskGroup
from asyncio.tasks import create_task as create_task, gather as gather
from asyncio.timeouts import Timeout as Timeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


def raise_thrown(kind: Any, value: Any = None, traceback: Any = None) -> NoReturn:
    """Raise what is thrown into a coroutine that has not begun."""
    error = kind if isinstance(kind, BaseException) else value
    if not isinstance(error, BaseException):
        error = kind() if error is None else kind(error)
    raise error.with_traceback(traceback) if traceback is not None else error
