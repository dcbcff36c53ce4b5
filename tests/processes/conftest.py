"""Processes of tests: on every start method, and none left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import tress.multiprocessing as mp
from tests.processes.jobs import BOUND_S


@pytest.fixture(params=["fork", "spawn", "forkserver"])
def ctx(request: pytest.FixtureRequest) -> Any:
    """The context of each start method."""
    return mp.get_context(request.param)


@pytest.fixture
def start(ctx: Any) -> Iterator[Callable[..., Any]]:
    """Starts a process that does not outlive the test: `start(function, *arguments)`."""
    started = []

    def begin(function: Callable[..., object], *args: object) -> Any:
        process = ctx.Process(target=function, args=args)
        process.start()
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.join(BOUND_S)
        process.close()


@pytest.fixture
def ask(ctx: Any, start: Callable[..., Any]) -> Callable[..., Any]:
    """Starts a process and returns what it sends: `ask(function, *arguments)`."""

    def begin(function: Callable[..., object], *args: object) -> Any:
        receiver, sender = ctx.Pipe(duplex=False)
        start(function, sender, *args)
        with receiver, sender:
            assert receiver.poll(BOUND_S), "the process says nothing"
            return receiver.recv()

    return begin
