"""A module for a fork server to preload: two forks of three fail, as at a limit of processes."""

from __future__ import annotations

import errno
import os
from itertools import count

_fork = os.fork
_calls = count(1)


def _refuse_now_and_then() -> int:
    if next(_calls) % 3 != 2:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return _fork()


os.fork = _refuse_now_and_then
