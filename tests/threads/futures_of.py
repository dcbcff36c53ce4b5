"""The two libraries of futures, and what tests of futures share."""

from __future__ import annotations

import concurrent.futures
from types import ModuleType
from typing import Any

import tress.concurrent.futures

LIBRARIES: dict[str, ModuleType] = {
    "standard": concurrent.futures,
    "tress": tress.concurrent.futures,
}


def future_in(library: ModuleType, state: str, **attributes: Any) -> Any:
    """A future put where a test wants it, in the way of CPython's own tests: by assignment."""
    future = library.Future()
    future._state = state
    future._exception = attributes.get("exception")
    future._result = attributes.get("result")
    return future
