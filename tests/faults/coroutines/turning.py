"""Letting a loop turn until it has seen what has happened."""

from __future__ import annotations

import asyncio
import socket


async def quiet(turns: int = 5) -> None:
    """Let the loop learn of all that has happened to descriptors by now, and act on it."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    loop = asyncio.get_running_loop()
    for _ in range(turns):
        await loop.sock_sendall(ours, b"x")
        assert await loop.sock_recv(theirs, 1) == b"x"
        await asyncio.sleep(0.001)
    ours.close()
    theirs.close()
