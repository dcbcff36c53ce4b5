"""Every byte comes back as it was, in order, however it was cut, and whoever paused meanwhile.

TRESS_ECHO_BYTES says how many go each way: 10 GiB in `make nightly`.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.faults.coroutines.conftest import Run
from tests.faults.coroutines.ends import HOST, address, client_tls, server_tls, tcp_pair
from tests.faults.coroutines.pattern import is_pattern, pattern

TOTAL = int(os.environ.get("TRESS_ECHO_BYTES", str(6 << 20)))
BOUND_S = 100 + TOTAL / 10_000_000

pytestmark = pytest.mark.bound(BOUND_S + 20)


@pytest.fixture(autouse=True)
def _takes_as_long_as_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.faults.coroutines.conftest.LIMIT_S", BOUND_S)


def length(chance: random.Random) -> int:
    """Of a piece: most are usual, some are tiny, some are larger than any buffer."""
    kind = chance.random()
    if kind < 0.2:
        return chance.randrange(1, 50)
    if kind < 0.9:
        return chance.randrange(1, 100_000)
    return chance.randrange(1, 1_000_000)


async def pause(chance: random.Random) -> None:
    """Now and then for no turn, for one, for several, for a moment."""
    kind = chance.random()
    if kind < 0.02:
        await asyncio.sleep(0.0005)
    elif kind < 0.2:
        for _ in range(chance.randrange(1, 5)):
            await asyncio.sleep(0)


def in_a_buffer(chance: random.Random, piece: bytes) -> Any:
    """As each of the kinds of buffers that can be written, changed afterwards where it can be."""
    kind = chance.random()
    if kind < 0.7:
        return piece
    if kind < 0.85:
        return bytearray(piece)
    return memoryview(bytearray(piece))


class Echo(asyncio.Protocol):
    """Sends back what comes, and does not read while it cannot write."""

    transport: Any

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()


class BufferedEcho(Echo, asyncio.BufferedProtocol):
    """The same, reading into a buffer that it writes from."""

    def __init__(self) -> None:
        self.chance = random.Random("buffer")
        self.room = bytearray(1 << 17)
        self.size = 0

    def get_buffer(self, sizehint: int) -> memoryview:
        self.size = self.chance.randrange(1, len(self.room))
        return memoryview(self.room)[: self.size]

    def buffer_updated(self, nbytes: int) -> None:
        assert 0 < nbytes <= self.size
        self.transport.write(memoryview(self.room)[:nbytes])
        self.room[:nbytes] = bytes(nbytes)  # what is not written yet must have been copied


class Client(asyncio.Protocol):
    """Writes the pattern while it may, checks what comes back, and pauses both at random."""

    transport: Any

    def __init__(self) -> None:
        self.received = 0
        self.chance = random.Random("client")
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.lost: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        self.answered = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def pause_writing(self) -> None:
        assert self.may_write.is_set()
        self.may_write.clear()

    def resume_writing(self) -> None:
        assert not self.may_write.is_set()
        self.may_write.set()

    def data_received(self, data: bytes) -> None:
        assert is_pattern(self.received, data)
        self.received += len(data)
        if self.received == TOTAL:
            self.answered.set()
        elif self.chance.random() < 0.05:
            self.transport.pause_reading()
            asyncio.get_running_loop().call_later(0.0005, self.go_on)

    def go_on(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost.set_result(exc)
        self.answered.set()
        self.may_write.set()

    async def write_all(self) -> None:
        chance = random.Random("writing")
        sent = 0
        while sent < TOTAL:
            count = min(length(chance), TOTAL - sent)
            piece = in_a_buffer(chance, pattern(sent, count))
            if chance.random() < 0.1:
                half = count // 2
                self.transport.writelines([piece[:half], piece[half:]])
            else:
                self.transport.write(piece)
            if not isinstance(piece, bytes):
                piece[:] = bytes(count)
            sent += count
            await pause(chance)
            await self.may_write.wait()


async def by_protocols(echo: Callable[[], asyncio.BaseProtocol], **tls: Any) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(echo, HOST, 0, ssl=server_tls() if tls else None)
    transport, client = await loop.create_connection(Client, *address(server), **tls)
    await client.write_all()
    await client.answered.wait()
    transport.close()
    assert await client.lost is None
    assert client.received == TOTAL
    server.close()
    await server.wait_closed()


async def plain() -> None:
    await by_protocols(Echo)


async def buffered() -> None:
    await by_protocols(BufferedEcho)


TLS: dict[str, Any] = {"server_hostname": "localhost"}


async def tls() -> None:
    await by_protocols(Echo, ssl=client_tls(), **TLS)


async def buffered_tls() -> None:
    await by_protocols(BufferedEcho, ssl=client_tls(), **TLS)


async def by_streams(**tls: Any) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        chance = random.Random("echo")
        while data := await reader.read(length(chance)):
            writer.write(data)
            await writer.drain()
            await pause(chance)
        writer.close()
        await writer.wait_closed()

    async def write_all(writer: asyncio.StreamWriter) -> None:
        chance = random.Random("writing")
        sent = 0
        while sent < TOTAL:
            count = min(length(chance), TOTAL - sent)
            writer.write(in_a_buffer(chance, pattern(sent, count)))
            sent += count
            await writer.drain()
            await pause(chance)
        if writer.can_write_eof():
            writer.write_eof()

    async def read_all(reader: asyncio.StreamReader) -> None:
        chance = random.Random("reading")
        received = 0
        while received < TOTAL:
            count = min(length(chance), TOTAL - received)
            if chance.random() < 0.5:
                data = await reader.readexactly(count)
                assert len(data) == count
            else:
                data = await reader.read(count)
            assert is_pattern(received, data)
            received += len(data)
            await pause(chance)

    server = await asyncio.start_server(echo, HOST, 0, ssl=server_tls() if tls else None)
    reader, writer = await asyncio.open_connection(*address(server), **tls)
    await asyncio.gather(write_all(writer), read_all(reader))
    writer.close()
    await writer.wait_closed()
    assert await reader.read() == b""
    server.close()
    await server.wait_closed()


async def streams() -> None:
    await by_streams()


async def tls_streams() -> None:
    await by_streams(ssl=client_tls(), **TLS)


async def sockets() -> None:
    """`sock_recv`, `sock_recv_into` and `sock_sendall`, with other calls waiting meanwhile."""
    loop = asyncio.get_running_loop()
    ours, theirs = tcp_pair()

    async def echo() -> None:
        chance = random.Random("echo")
        while data := await loop.sock_recv(theirs, length(chance)):
            await loop.sock_sendall(theirs, data)
            await pause(chance)
        theirs.shutdown(socket.SHUT_WR)

    async def write_all() -> None:
        chance = random.Random("writing")
        sent = 0
        while sent < TOTAL:
            count = min(length(chance), TOTAL - sent)
            await loop.sock_sendall(ours, in_a_buffer(chance, pattern(sent, count)))
            sent += count
            await pause(chance)
        ours.shutdown(socket.SHUT_WR)

    async def read_all() -> None:
        chance = random.Random("reading")
        received = 0
        room = bytearray(1 << 20)
        while True:
            if chance.random() < 0.5:
                data = await loop.sock_recv(ours, length(chance))
            else:
                view = memoryview(room)[: length(chance)]
                data = bytes(view[: await loop.sock_recv_into(ours, view)])
            if not data:
                break
            assert is_pattern(received, data)
            received += len(data)
            await pause(chance)
        assert received == TOTAL

    with ours, theirs:
        await asyncio.gather(echo(), write_all(), read_all())


WAYS: list[Callable[[], Coroutine[Any, Any, None]]] = [
    plain,
    buffered,
    tls,
    buffered_tls,
    streams,
    tls_streams,
    sockets,
]


@pytest.mark.parametrize("way", WAYS)
def test_all_comes_back(run_ours: Run, way: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run_ours(way())
