"""The standard `multiprocessing.pool`, for programs that import it from here."""

from __future__ import annotations

import multiprocessing.pool as _std
from multiprocessing.pool import *  # noqa: F403
from multiprocessing.pool import __all__ as __all__


def __getattr__(name: str) -> object:
    value: object = getattr(_std, name)
    return value
