"""The two libraries that most tests here are run with, and a loop of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from types import ModuleType
from typing import Any

import pytest

import tress.asyncio


@pytest.fixture(params=["standard", "tress"])
def library(request: pytest.FixtureRequest) -> ModuleType:
    """The standard `asyncio`, and tress's: a test that takes it states what both must do."""
    return asyncio if request.param == "standard" else tress.asyncio


@pytest.fixture
def new_loop(library: ModuleType) -> Iterator[Callable[[], Any]]:
    """Makes loops, and closes them after the test."""
    made: list[Any] = []

    def make() -> Any:
        made.append(library.SelectorEventLoop())
        return made[-1]

    yield make
    for loop in made:
        loop.close()


@pytest.fixture
def loop(new_loop: Callable[[], Any]) -> Any:
    """A loop of the library."""
    return new_loop()


@pytest.fixture
def contexts(loop: Any) -> list[dict[str, Any]]:
    """What the loop's exception handler is told."""
    told: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: told.append(context))
    return told


@pytest.fixture
def own_loop() -> Iterator[Any]:
    """One of tress's, for what is tress's alone."""
    loop = tress.asyncio.EventLoop()
    yield loop
    loop.close()


Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def run(own_loop: Any) -> Run:
    """Runs a coroutine on a loop of tress's."""
    run: Run = own_loop.run_until_complete
    return run


Test = Callable[[], Coroutine[Any, Any, None]]


def on_both(test: Test) -> Callable[[Any], None]:
    """The test of a coroutine, on both libraries' loops."""

    def run(loop: Any) -> None:
        loop.run_until_complete(asyncio.wait_for(test(), 100))

    run.__doc__ = test.__doc__
    return run
