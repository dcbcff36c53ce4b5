"""Letting a loop turn until it has seen what has happened."""

from __future__ import annotations

import asyncio


async def quiet(turns: int = 5) -> None:
    """Let the loop learn of all that has happened to descriptors by now, and act on it.

    A loop looks at its descriptors whenever it sleeps for a timer.
    """
    for _ in range(turns):
        await asyncio.sleep(0.001)
