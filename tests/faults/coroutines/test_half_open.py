"""Half-open connections: one direction has ended, or the other end has fallen silent or died."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.coroutines.conftest import Run
from tests.faults.coroutines.ends import (
    HOST,
    Recorder,
    StaysOpen,
    address,
    client_tls,
    connect,
    server_tls,
    tcp_pair,
)
from tests.faults.coroutines.pattern import is_pattern, pattern
from tests.faults.coroutines.turning import quiet
from tests.threads.ordering import until

LONG = 4 << 20
PIECE = 1 << 16


def test_an_answer_after_the_end_of_the_question(run: Run) -> None:
    """The peer has ended its direction; all that is written afterwards reaches it."""

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol, theirs = await connect(StaysOpen, tcp_pair())
        theirs.send(b"question")
        theirs.shutdown(socket.SHUT_WR)
        await protocol.until(lambda: "eof" in protocol.told)
        assert bytes(protocol.data) == b"question"
        for at in range(0, LONG, PIECE):
            transport.write(pattern(at, PIECE))
        transport.write_eof()
        transport.write_eof()
        assert not transport.is_closing()
        received = bytearray()
        while data := await loop.sock_recv(theirs, 1 << 20):
            received += data
        assert len(received) == LONG
        assert is_pattern(0, received)
        transport.close()
        assert await protocol.lost is None
        assert [what for what in protocol.told if what in ("eof", "lost")] == ["eof", "lost"]
        theirs.close()

    run(scene())


def test_reading_after_our_own_end(run: Run) -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol, theirs = await connect(ends=tcp_pair())
        transport.write(b"question")
        transport.write_eof()
        assert await loop.sock_recv(theirs, 100) == b"question"
        assert await loop.sock_recv(theirs, 100) == b""
        for at in range(0, LONG, PIECE):
            await loop.sock_sendall(theirs, pattern(at, PIECE))
            await asyncio.sleep(0)
        await protocol.until(lambda: protocol.received == LONG)
        assert is_pattern(0, protocol.data)
        with pytest.raises(RuntimeError):
            transport.write(b"more")
        theirs.close()
        assert await protocol.lost is None

    run(scene())


def test_the_end_comes_after_what_is_still_to_be_written(run: Run) -> None:
    """`write_eof` while much waits: the peer gets it all, and then the end."""

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = tcp_pair()
        reader, writer = await asyncio.open_connection(sock=ours)
        for at in range(0, LONG, PIECE):
            writer.write(pattern(at, PIECE))
        writer.write_eof()
        assert writer.transport.get_write_buffer_size() > 0
        received = bytearray()
        while data := await loop.sock_recv(theirs, 1 << 20):
            received += data
        assert len(received) == LONG
        assert is_pattern(0, received)
        theirs.sendall(b"thanks")
        theirs.close()
        assert await reader.read() == b"thanks"
        writer.close()
        await writer.wait_closed()

    run(scene())


def test_the_end_of_the_peer_while_we_are_paused(run: Run) -> None:
    """It waits behind the data, and both are delivered when reading goes on."""

    async def scene() -> None:
        transport, protocol, theirs = await connect(ends=tcp_pair())
        transport.pause_reading()
        await quiet()
        theirs.send(b"last")
        theirs.close()
        await quiet()
        assert protocol.told == ["made"]
        transport.resume_reading()
        assert await protocol.lost is None
        assert protocol.told == ["made", "data", "eof", "lost"]
        assert bytes(protocol.data) == b"last"

    run(scene())


def test_tls_has_no_half(run: Run) -> None:
    """Its transport says so, and the end of the peer's direction is the end of both."""

    async def scene() -> None:
        ours, theirs = tcp_pair()
        loop = asyncio.get_running_loop()
        (_, server), (transport, client) = await asyncio.gather(
            loop.connect_accepted_socket(StaysOpen, ours, ssl=server_tls()),
            loop.create_connection(
                Recorder, sock=theirs, ssl=client_tls(), server_hostname="localhost"
            ),
        )
        assert not transport.can_write_eof()
        with pytest.raises(NotImplementedError):
            transport.write_eof()
        transport.write(b"all")
        transport.close()
        assert await client.lost is None
        assert await server.lost is None
        assert bytes(server.data) == b"all"

    run(scene())


CLIENT = """
import socket, sys
end = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
end.sendall(b"begun")
print("ready", flush=True)
sys.stdin.readline()
end.sendall(b"done")
end.recv(1)
"""


async def client_in_a_process() -> tuple[Any, Any, subprocess.Popen[bytes], Any]:
    """A connection from another process, which has begun a message and waits for a line."""
    made: list[Recorder] = []

    def make() -> Recorder:
        made.append(Recorder())
        return made[-1]

    server = await asyncio.get_running_loop().create_server(make, HOST, 0)
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", CLIENT, str(address(server)[1])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    assert await asyncio.to_thread(process.stdout.readline) == b"ready\n"
    while not made or made[0].received < 5:
        await asyncio.sleep(0.001)
    return made[0].transport, made[0], process, server


async def finish(process: subprocess.Popen[bytes], server: Any) -> int:
    assert process.stdin
    assert process.stdout
    process.stdin.close()
    code = await asyncio.to_thread(process.wait, 60)
    process.stdout.close()
    server.close()
    await server.wait_closed()
    return code


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_a_peer_that_falls_silent(run: Run) -> None:
    """Its process is stopped: a timeout is all that ends a wait; later all goes on."""

    async def scene() -> None:
        _, protocol, process, server = await client_in_a_process()
        os.kill(process.pid, signal.SIGSTOP)
        until(lambda: is_stopped(process.pid), "the process has stopped")
        assert process.stdin
        process.stdin.write(b"go on\n")
        process.stdin.flush()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await protocol.until(lambda: protocol.received > 5)
        assert protocol.told == ["made", "data"]
        os.kill(process.pid, signal.SIGCONT)
        await protocol.until(lambda: protocol.received == 9)
        assert bytes(protocol.data) == b"begundone"
        protocol.transport.close()
        assert await protocol.lost is None
        assert await finish(process, server) == 0

    run(scene())


@pytest.mark.parametrize("unread", [False, True])
def test_a_peer_that_is_killed(run: Run, unread: bool) -> None:
    """The kernel ends the connection for it, or resets it if something was still to be read."""

    async def scene() -> None:
        transport, protocol, process, server = await client_in_a_process()
        if unread:
            transport.write(b"x" * LONG)
        process.kill()
        error = await protocol.lost
        assert isinstance(error, ConnectionResetError) if unread else error is None
        assert bytes(protocol.data) == b"begun"
        assert await finish(process, server) == -signal.SIGKILL

    run(scene())
