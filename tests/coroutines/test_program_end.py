"""A loop that runs when the program ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIMIT_S = 50.0
DAEMON = """
import threading, time
import tress.asyncio as asyncio

class Busy(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        transport.write(b"x")
    def data_received(self, data):
        for _ in range(2000):
            pass
        self.transport.write(data)

async def main():
    import socket
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
        await loop.create_connection(Busy, sock=end)
    def again():
        loop.call_soon(again)
    again()
    started.set()
    while True:
        await asyncio.sleep(0)

started = threading.Event()
threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
started.wait()
"""


@pytest.mark.parametrize("_", range(5))
def test_a_loop_in_a_daemon_thread_when_the_program_ends(_: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DAEMON], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
