"""Running a loop turn by turn, and functions and coroutines to call."""

from __future__ import annotations

import asyncio
from typing import Any

FAR = 1000.0
"""Seconds that no test waits."""


def turn(loop: Any, count: int = 1) -> None:
    """Let the loop make one turn, with all that is ready by now."""
    for _ in range(count):
        loop.call_soon(loop.stop)
        loop.run_forever()


class Called:
    """A function, to which there can be weak references."""

    def __init__(self) -> None:
        self.arguments: list[tuple[Any, ...]] = []

    def __call__(self, *arguments: Any) -> None:
        self.arguments.append(arguments)


class Thing:
    """An argument, to which there can be weak references."""


async def value(result: Any, turns: int = 0) -> Any:
    for _ in range(turns):
        await asyncio.sleep(0)
    return result


async def fail(error: BaseException, turns: int = 0) -> None:
    await value(None, turns)
    raise error


async def never() -> None:
    await asyncio.get_running_loop().create_future()
