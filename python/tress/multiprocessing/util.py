"""The standard `multiprocessing.util`, for programs that import it from here."""

from __future__ import annotations

import multiprocessing.util as _std
from multiprocessing.util import *  # noqa: F403
from multiprocessing.util import __all__ as __all__


def __getattr__(name: str) -> object:
    value: object = getattr(_std, name)
    return value
