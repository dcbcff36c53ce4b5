"""The standard `multiprocessing.sharedctypes`, for programs that import it from here."""

from __future__ import annotations

import multiprocessing.sharedctypes as _std
from multiprocessing.sharedctypes import *  # noqa: F403
from multiprocessing.sharedctypes import __all__ as __all__


def __getattr__(name: str) -> object:
    value: object = getattr(_std, name)
    return value
