"""The standard `multiprocessing.queues`, for programs that import it from here."""

from __future__ import annotations

import multiprocessing.queues as _std
from multiprocessing.queues import *  # noqa: F403
from multiprocessing.queues import __all__ as __all__


def __getattr__(name: str) -> object:
    value: object = getattr(_std, name)
    return value
