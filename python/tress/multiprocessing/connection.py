"""The standard `multiprocessing.connection`, for programs that import it from here."""

from __future__ import annotations

import multiprocessing.connection as _std
from multiprocessing.connection import *  # noqa: F403
from multiprocessing.connection import __all__ as __all__


def __getattr__(name: str) -> object:
    value: object = getattr(_std, name)
    return value
