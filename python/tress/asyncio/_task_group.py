"""Groups of tasks."""

from __future__ import annotations

from asyncio import taskgroups as _std

from tress import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Installed, the name means the class below.
_StandardTaskGroup: Any = _std.TaskGroup


class TaskGroup(_native.TaskGroup, _StandardTaskGroup):  # type: ignore[misc]
    """A block that ends when the tasks begun in it have, as `asyncio.TaskGroup`.

    The first that fails has the others cancelled, and the failures are raised as an ExceptionGroup.
    """

    __module__ = "tress.asyncio"
