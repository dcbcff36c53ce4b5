"""The two loops that most tests here are run with, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import tress.asyncio

MAKERS: dict[str, Callable[[], Any]] = {
    "standard": asyncio.SelectorEventLoop,
    "tress": tress.asyncio.EventLoop,
}


@pytest.fixture(params=MAKERS)
def make_loop(request: pytest.FixtureRequest) -> Iterator[Callable[[], Any]]:
    """Makes loops of one of the two libraries, which are closed in the end: what both must do."""
    made: list[Any] = []

    def make() -> Any:
        made.append(MAKERS[request.param]())
        return made[-1]

    yield make
    for loop in made:
        loop.close()


@pytest.fixture
def loop(make_loop: Callable[[], Any]) -> Any:
    return make_loop()


@pytest.fixture
def own_loop() -> Iterator[Any]:
    """One of tress's, for what is tress's alone."""
    loop = tress.asyncio.EventLoop()
    yield loop
    loop.close()


def turn(loop: Any) -> None:
    """Let a loop make what is one turn: what is ready now, and no more."""
    loop.stop()
    loop.run_forever()
