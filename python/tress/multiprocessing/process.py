"""The standard `multiprocessing.process`, for programs that import it from here."""

from __future__ import annotations

import multiprocessing.process as _std
from multiprocessing.process import *  # noqa: F403
from multiprocessing.process import __all__ as __all__


def __getattr__(name: str) -> object:
    value: object = getattr(_std, name)
    return value
