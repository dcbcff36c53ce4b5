"""The standard `multiprocessing.dummy`, for programs that import it from here."""

from __future__ import annotations

import multiprocessing.dummy as _std
from multiprocessing.dummy import *  # noqa: F403
from multiprocessing.dummy import __all__ as __all__


def __getattr__(name: str) -> object:
    value: object = getattr(_std, name)
    return value
