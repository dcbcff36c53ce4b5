"""What is said when a process ends while it holds what others wait for."""

from __future__ import annotations

import warnings

from tress._stacks import level_outside


class OwnerDiedError(RuntimeError):
    """The process that held a lock or a permit ended without releasing it.

    Raised by `acquire()`, and by `with`, on a lock or semaphore made with `robust="raise"`, in the
    one caller that found out. It does not hold what it asked for: that is free again, and whoever
    asks next gets it without another word. What it protects may be half-changed.

    `Condition.wait()` raises it with the lock held, as that call always ends.
    """

    __module__ = "tress"

    pid: int | None
    """The id that the process had; None where that is not known."""

    def __init__(self, message: str, pid: int | None = None) -> None:
        super().__init__(message)
        self.pid = pid


class OwnerDiedWarning(RuntimeWarning):
    """What OwnerDiedError says, where it is not raised: the caller holds what it asked for."""

    __module__ = "tress"


def tell(pid: int | None, raises: bool) -> None:
    """Says so to the program, in the way that it asked for."""
    who = "a process" if pid is None else f"process {pid}"
    what = f"{who} ended while it held this: what it protects may be half-changed"
    if raises:
        raise OwnerDiedError(what, pid)
    warnings.warn(what, OwnerDiedWarning, stacklevel=level_outside())


def tell_lost_item(pid: int | None) -> None:
    """Says that an item of a queue is lost: a process ended while it put or got it."""
    who = "a process" if pid is None else f"process {pid}"
    what = f"{who} ended in the middle of an item of this queue: the item is lost"
    warnings.warn(what, OwnerDiedWarning, stacklevel=level_outside())
