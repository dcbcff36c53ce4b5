"""Bytes that what waits on a loop takes, native memory included; measured as bench/cases/memory.py
does. What is not in it is the kernel's part of a connection."""

from __future__ import annotations

import gc
import os
import resource
import socket
from array import array
from collections.abc import Callable
from typing import Any

from bench import resident
from bench.coroutines import Main, case
from bench.sides import Side

LATER_S = 3600.0
# A few first: what a kind needs once is not one of them's.
FIRST = 100
# So many connections wait to be accepted at a time.
BACKLOG = 50
# Descriptors beside those of the connections, which have one at each end.
OTHER_DESCRIPTORS = 100


def nothing() -> None:
    """What the timers call."""


def _holding(make: Callable[[Side], Callable[[], Any]]) -> Main:
    """The growth by so many of what `make` returns a maker of, once the loop has seen them."""

    async def main(side: Side, operations: int) -> int:
        resident.without_huge_pages()
        one, sleep = make(side), side.asyncio.sleep
        first = [one() for _ in range(FIRST)]
        held: list[Any] = [None] * operations
        await sleep(0)
        resident.trim()
        before = resident.anonymous_bytes()
        for index in range(operations):
            held[index] = one()
            if index % FIRST == 0:
                await sleep(0)
        await sleep(0)
        gc.collect()
        after = resident.anonymous_bytes()
        for waiting in first + held:
            waiting.cancel()
        return after - before

    return main


def sleeping_task(side: Side) -> Callable[[], Any]:
    """A task whose coroutine sleeps."""
    sleep, create_task = side.asyncio.sleep, side.asyncio.create_task

    async def sleeper() -> None:
        await sleep(LATER_S)

    return lambda: create_task(sleeper())


def timer(side: Side) -> Callable[[], Any]:
    """A call that is due much later."""
    later = side.asyncio.get_running_loop().call_later
    return lambda: later(LATER_S, nothing)


async def connection(side: Side, operations: int) -> int:
    """The server's end of a connection on which nothing comes; of the other end there is nothing
    but a descriptor."""
    resident.without_huge_pages()
    _allow_descriptors(2 * (operations + FIRST) + OTHER_DESCRIPTORS)
    asyncio: Any = side.asyncio
    accepted = 0

    class Idle(asyncio.Protocol):  # type: ignore[misc]
        __slots__ = ("transport",)

        def connection_made(self, transport: Any) -> None:
            nonlocal accepted
            self.transport = transport
            accepted += 1

    server = await asyncio.get_running_loop().create_server(Idle, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    clients = array("i", [-1] * (FIRST + operations))

    async def connect(begin: int, end: int) -> None:
        for index in range(begin, end):
            client = socket.socket()
            client.connect(address)
            clients[index] = client.detach()
            while accepted + BACKLOG <= index:
                await asyncio.sleep(0)
        while accepted < end:
            await asyncio.sleep(0)

    await connect(0, FIRST)
    resident.trim()
    before = resident.anonymous_bytes()
    await connect(FIRST, FIRST + operations)
    gc.collect()
    after = resident.anonymous_bytes()
    for client in clients:
        os.close(client)
    server.close()
    return after - before


def _allow_descriptors(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


CASES = (
    case(
        "memory_connection",
        "memory of an idle connection",
        connection,
        4_000,
        1.5,
        unit="bytes",
    ),
    case(
        "memory_sleeping_task",
        "memory of a sleeping task",
        _holding(sleeping_task),
        50_000,
        1.5,
        unit="bytes",
    ),
    case("memory_timer", "memory of a timer", _holding(timer), 50_000, 1.5, unit="bytes"),
)
