"""The two libraries of futures, and what tests of futures share."""

from __future__ import annotations

import concurrent.futures
import threading
from types import ModuleType
from typing import Any

import tress.concurrent.futures
from tests.threads.ordering import BOUND_S

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


class Gate:
    """A task that stays in its thread until the test opens the gate."""

    def __init__(self) -> None:
        self._entered = threading.Semaphore(0)
        self._open = threading.Event()

    def __call__(self, result: Any = None) -> Any:
        self._entered.release()
        assert self._open.wait(BOUND_S)
        return result

    def await_entered(self, count: int = 1) -> None:
        """Waits until so many more have come to the gate."""
        for _ in range(count):
            assert self._entered.acquire(timeout=BOUND_S)

    def open(self) -> None:
        """Lets them all go on, now and later."""
        self._open.set()


def collect(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A task that returns what it was called with."""
    return args, kwargs
