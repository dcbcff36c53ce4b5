"""Coroutines and threads that meet: loops in threads, and order without sleeping."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import ModuleType
from typing import Any

from tests.threads.ordering import BOUND_S, Runner


async def reached(condition: Callable[[], object]) -> None:
    """Lets the others of the loop run until `condition()` is true."""
    async with asyncio.timeout(BOUND_S):
        while not condition():
            await asyncio.sleep(0)


def bounded(library: ModuleType, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Runs a coroutine in a loop of its own, with a bound."""

    async def main() -> Any:
        async with asyncio.timeout(BOUND_S):
            return await coroutine

    return library.run(main())


def in_thread(library: ModuleType, coroutine: Coroutine[Any, Any, Any]) -> Runner:
    """The same in a thread of its own."""
    return Runner(bounded, library, coroutine)


def waiting(thing: Any, kind: str = "waiters") -> int:
    """How many threads and coroutines wait on an object of tress."""
    count: int = thing.statistics()[kind]
    return count
