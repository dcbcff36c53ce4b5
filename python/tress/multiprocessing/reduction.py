"""The standard `multiprocessing.reduction`, for programs that import it from here."""

from __future__ import annotations

import multiprocessing.reduction as _std
from multiprocessing.reduction import *  # noqa: F403
from multiprocessing.reduction import __all__ as __all__


def __getattr__(name: str) -> object:
    value: object = getattr(_std, name)
    return value
