"""The standard `multiprocessing.managers`, for programs that import it from here."""

from __future__ import annotations

import multiprocessing.managers as _std
from multiprocessing.managers import *  # noqa: F403
from multiprocessing.managers import __all__ as __all__


def __getattr__(name: str) -> object:
    value: object = getattr(_std, name)
    return value
