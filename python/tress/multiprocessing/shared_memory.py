"""The standard `multiprocessing.shared_memory`, for programs that import it from here."""

from __future__ import annotations

import multiprocessing.shared_memory as _std
from multiprocessing.shared_memory import *  # noqa: F403
from multiprocessing.shared_memory import __all__ as __all__


def __getattr__(name: str) -> object:
    value: object = getattr(_std, name)
    return value
