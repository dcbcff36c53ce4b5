"""What holds for these tests: a bound, no unseen exception, and no descriptor left open."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from tests.coroutines.conftest import library, loop, new_loop, own_loop
from tests.faults.resources import descriptors

__all__ = ["library", "loop", "new_loop", "own_loop", "run", "run_ours", "told"]

LIMIT_S = 60.0
"""A scene that takes longer hangs, and is cancelled, which shows where it waits."""

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(autouse=True, scope="module")
def _collects_only_what_is_new() -> Iterator[None]:
    """What the collector is called for here is small, and all that pytest has is not looked at."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _leaves_no_descriptor() -> Iterator[None]:
    """Fails a test that ends with descriptors open that were not before."""
    gc.collect()
    before = descriptors()
    yield
    gc.collect()
    left = {fd: what for fd, what in descriptors().items() if before.get(fd) != what}
    assert not left, f"the test left {len(left)} descriptor(s) open: {left}"


@pytest.fixture
def told() -> Iterator[list[dict[str, Any]]]:
    """What the loop's exception handler is told. A test takes out what it expects."""
    contexts: list[dict[str, Any]] = []
    yield contexts
    gc.collect()  # exceptions that nobody has retrieved
    assert contexts == []


def _runs(loop: Any, told: list[dict[str, Any]]) -> Run:
    loop.set_exception_handler(lambda _, context: told.append(context))
    return lambda coroutine: loop.run_until_complete(asyncio.wait_for(coroutine, LIMIT_S))


@pytest.fixture
def run(loop: Any, told: list[dict[str, Any]]) -> Run:
    """Runs a coroutine in a loop of the library."""
    return _runs(loop, told)


@pytest.fixture
def run_ours(own_loop: Any, told: list[dict[str, Any]]) -> Run:
    """Runs a coroutine in a loop of tress's, where there is nothing to compare."""
    return _runs(own_loop, told)
