"""How what lives in shared memory gets into a process that is being started.

A fork inherits it. Any other start passes the memory's file descriptor on: once to each process,
however many objects of the same memory it is given.
"""

from __future__ import annotations

import os
from multiprocessing import context

from tress import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Description = tuple[Any, int, int]
    """A slot as it travels: who has its file descriptor in the new process, where it begins and how
    long it is.
    """


_ATTRIBUTE = "_tress_memory"
"""Of the object that stands for the new process: what has been given to it."""

_received: dict[int, _native.Slot] = {}
"""A slot of each memory that this process was started with, by the descriptor it came as. Another
object of that memory may still come, in the same pickle or in one within it, so these stay.
"""


def describe(slot: _native.Slot) -> Description:
    """What the process that is being started, which there must be, needs to find the slot."""
    popen: Any = context.get_spawning_popen()
    given: dict[int, Any] = vars(popen).setdefault(_ATTRIBUTE, {})
    if slot.fd not in given:
        given[slot.fd] = popen.DupFd(popen.duplicate_for_child(slot.fd))
    return given[slot.fd], slot.offset, slot.length


def find(description: Description) -> _native.Slot:
    """The slot, in the process that has been started."""
    inherited, offset, length = description
    fd: int = inherited.detach()
    if fd in _received:
        return _received[fd].beside(offset, length)
    slot = _received[fd] = _native.Slot.open(fd, offset, length)
    os.close(fd)
    return slot
