"""A program that ends with a loop that nobody has closed, in the middle of something."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

LIMIT_S = 60.0

SCENES = {
    "tasks that never began": "keep.extend(loop.create_task(wait()) for _ in range(20))",
    "tasks that wait": """
        keep.extend(loop.create_task(wait()) for _ in range(20))
        await asyncio.sleep(0)""",
    "calls and timers": """
        for _ in range(20):
            loop.call_soon(str)
            loop.call_later(1000, str)""",
    "connections": """
        for _ in range(20):
            ours, theirs = socket.socketpair()
            keep.append(theirs)
            keep.append(await loop.create_connection(asyncio.Protocol, sock=ours))""",
    "a connection that is written to": """
        ours, theirs = socket.socketpair()
        keep.append(theirs)
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        transport.write(b"x" * 10_000_000)
        keep.append(transport)""",
    "a connection that is being made": """
        ours, theirs = socket.socketpair()
        keep.append(theirs)
        keep.append(loop.create_task(loop.create_connection(asyncio.Protocol, sock=ours)))
        await asyncio.sleep(0)""",
    "connections that are being accepted": """
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        keep.append(server)
        for _ in range(20):
            keep.append(socket.create_connection(server.sockets[0].getsockname()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)""",
    "a waiter for each primitive": """
        queue, lock, event = asyncio.Queue(), asyncio.Lock(), asyncio.Event()
        await lock.acquire()
        for call in (queue.get, lock.acquire, event.wait):
            keep.append(loop.create_task(call()))
        await asyncio.sleep(0)""",
    "a call in a thread": """
        keep.append(loop.run_in_executor(None, time.sleep, 0.05))""",
}


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("module", ["asyncio", "tress.asyncio"])
def test_it_ends(module: str, scene: str) -> None:
    """With status 0, whatever the interpreter takes apart first."""
    program = f"""
import socket, time
import {module} as asyncio
keep = []
loop = asyncio.SelectorEventLoop()
async def wait():
    await asyncio.Event().wait()
async def main():
{textwrap.indent(textwrap.dedent(SCENES[scene]).strip(), "    ")}
loop.run_until_complete(main())
print("over", flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT_S
    )
    assert (done.stdout, done.returncode) == ("over\n", 0), done.stderr
