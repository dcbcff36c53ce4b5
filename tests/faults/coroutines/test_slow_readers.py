"""Who reads slowly, or not at all, is waited for: nothing is lost, and little is kept in memory."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from typing import Any

import pytest

from tests.faults.coroutines.conftest import Run
from tests.faults.coroutines.ends import (
    HOST,
    Recorder,
    address,
    client_tls,
    connect,
    pair,
    server_tls,
    tcp_pair,
)
from tests.faults.coroutines.pattern import is_pattern, pattern
from tests.faults.coroutines.turning import quiet

PIECE = 50_000
TOTAL = 160 * PIECE
HIGH = 100_000
LOW = 20_000


class Source(Recorder):
    """Writes as long as it is not asked to pause, a piece at a time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.sent = 0
        self.most = 0
        self.transport.set_write_buffer_limits(HIGH, LOW)
        self.go_on()

    def resume_writing(self) -> None:
        super().resume_writing()
        assert self.transport.get_write_buffer_size() <= LOW
        self.go_on()

    def go_on(self) -> None:
        while self.told[-1] != "pause" and self.sent < TOTAL:
            piece = pattern(self.sent, min(PIECE, TOTAL - self.sent))
            self.sent += len(piece)
            self.transport.write(piece)
            self.most = max(self.most, self.transport.get_write_buffer_size())
        if self.sent == TOTAL and self.told[-1] != "pause":
            # Not at once: the standard library's loses a connection that is closed in
            # `resume_writing` twice.
            asyncio.get_running_loop().call_soon(self.transport.close)


@pytest.mark.parametrize("over", ["unix", "TCP"])
def test_pausing_and_going_on(run: Run, over: str) -> None:
    """They alternate; what waits is never more than the mark and the piece that passed it."""

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        chance = random.Random(over)
        _, protocol, theirs = await connect(Source, tcp_pair() if over == "TCP" else pair())
        received = 0
        while data := await loop.sock_recv(theirs, chance.randrange(1, 300_000)):
            assert is_pattern(received, data)
            received += len(data)
            await asyncio.sleep(0)
        assert received == TOTAL
        assert await protocol.lost is None
        assert HIGH < protocol.most <= HIGH + PIECE
        changes = [what for what in protocol.told if what in ("pause", "resume")]
        assert changes == ["pause", "resume"] * (len(changes) // 2)
        assert len(changes) >= 4
        theirs.close()

    run(scene())


@pytest.mark.parametrize("over", ["TCP", "TLS"])
def test_streams_between_a_slow_reader_and_a_fast_writer(run: Run, over: str) -> None:
    """`drain` holds the writer back, the reader's limit holds the transport back."""

    async def scene() -> None:
        limit = 1 << 16
        kept = [0, 0]

        async def give(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            sent = 0
            while sent < TOTAL:
                writer.write(pattern(sent, PIECE))
                sent += PIECE
                kept[0] = max(kept[0], writer.transport.get_write_buffer_size())
                await writer.drain()
            writer.close()

        tls: dict[str, Any] = {}
        client: dict[str, Any] = {}
        if over == "TLS":
            tls = {"ssl": server_tls()}
            client = {"ssl": client_tls(), "server_hostname": "localhost"}
        server = await asyncio.start_server(give, HOST, 0, **tls)
        reader, writer = await asyncio.open_connection(*address(server), limit=limit, **client)
        await quiet()  # nothing is read, and the writer must come to a stop
        received = 0
        chance = random.Random(over)
        while data := await reader.read(chance.randrange(1, 100_000)):
            assert is_pattern(received, data)
            received += len(data)
            kept[1] = max(kept[1], len(reader._buffer))  # type: ignore[attr-defined]
            if chance.random() < 0.1:
                await asyncio.sleep(0)
        assert received == TOTAL
        # The marks: 64 KiB of a transport, 512 KiB of TLS.
        assert kept[0] <= (PIECE + (1 << 16) if over == "TCP" else PIECE + (1 << 19))
        # What one more read brings: 256 KiB, and behind TLS what waits there: its mark, 256 KiB.
        assert kept[1] <= 2 * limit + (1 << 18 if over == "TCP" else 1 << 19)
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    run(scene())


def test_a_slow_one_holds_up_nobody_else(run: Run) -> None:
    async def scene() -> None:
        slow = [await connect(Source) for _ in range(20)]
        await quiet()
        assert {protocol.told[-1] for _, protocol, _ in slow} == {"pause"}
        stopped = [protocol.sent for _, protocol, _ in slow]
        loop = asyncio.get_running_loop()
        _, protocol, theirs = await connect(Source)
        received = 0
        while data := await loop.sock_recv(theirs, 1 << 18):
            received += len(data)
        assert received == TOTAL
        assert await protocol.lost is None
        theirs.close()
        assert [protocol.sent for _, protocol, _ in slow] == stopped
        for transport, protocol, theirs in slow:
            transport.abort()
            await protocol.lost
            theirs.close()

    run(scene())


def test_reading_that_is_paused_holds_the_peer_back(run: Run) -> None:
    """Not a byte is delivered meanwhile, and all of them afterwards."""

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol, theirs = await connect(ends=tcp_pair())
        chance = random.Random(1)
        sending = asyncio.ensure_future(
            loop.sock_sendall(theirs, b"".join(pattern(at, PIECE) for at in range(0, TOTAL, PIECE)))
        )
        while protocol.received < TOTAL:
            transport.pause_reading()
            before = protocol.received
            await quiet(1)
            assert protocol.received == before
            transport.resume_reading()
            for _ in range(chance.randrange(1, 20)):
                await asyncio.sleep(0.0001)
        await sending
        assert is_pattern(0, protocol.data)
        transport.abort()
        await protocol.lost
        theirs.close()

    run(scene())


def test_a_pipe(run: Run) -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        read_end, write_end = os.pipe()
        transport, protocol = await loop.connect_write_pipe(Source, os.fdopen(write_end, "wb", 0))
        reader = asyncio.StreamReader()
        reading, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", 0)
        )
        await quiet()
        received = 0
        while data := await reader.read(100_000):
            assert is_pattern(received, data)
            received += len(data)
        assert received == TOTAL
        assert await protocol.lost is None
        assert protocol.most <= HIGH + PIECE
        reading.close()
        await quiet()
        assert transport.is_closing()

    run(scene())


def test_datagrams_wait_for_room(run: Run) -> None:
    """A unix socket takes only so many; none of the others is dropped."""

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
        for end in (ours, theirs):
            end.bind("")
            end.setblocking(False)
        ours.connect(theirs.getsockname())

        class Told(asyncio.DatagramProtocol):
            told: list[str] = []  # noqa: RUF012

            def pause_writing(self) -> None:
                self.told.append("pause")

            def resume_writing(self) -> None:
                self.told.append("resume")

        transport, protocol = await loop.create_datagram_endpoint(Told, sock=ours)
        protocol.told = []
        for number in range(2000):
            transport.sendto(b"%04d" % number * 100)
        assert protocol.told == ["pause"]
        for number in range(2000):
            assert await loop.sock_recv(theirs, 1000) == b"%04d" % number * 100
        assert protocol.told == ["pause", "resume"]
        transport.close()
        await quiet()
        theirs.close()

    run(scene())
