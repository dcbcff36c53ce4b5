"""A peer that resets its connection, at every state that the connection can be in."""

from __future__ import annotations

import asyncio
import contextlib
import random
import select
import socket
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.faults.coroutines.conftest import LIMIT_S, Run
from tests.faults.coroutines.ends import (
    HOST,
    Recorder,
    StaysOpen,
    address,
    client_tls,
    connect,
    reset,
    reset_when_closed,
    server_tls,
    tcp_pair,
)
from tests.faults.coroutines.turning import quiet

LONG = 8 << 20
"""More than the kernel takes for a peer that does not read."""

CONNECTIONS = 300
"""Of the storm."""

CROWD = 20
"""How many of them there are at once."""


async def serve(**options: Any) -> tuple[Any, list[Recorder]]:
    """A server, and the protocols that it has made."""
    made: list[Recorder] = []

    def make() -> Recorder:
        made.append(Recorder())
        return made[-1]

    loop = asyncio.get_running_loop()
    return await loop.create_server(make, HOST, 0, **options), made


async def still_serves(server: Any, made: list[Recorder]) -> None:
    """A connection after it all is as good as ever. Closes the server."""
    count = len(made)
    reader, writer = await asyncio.open_connection(*address(server))
    writer.write(b"well")
    writer.write_eof()
    assert await reader.read() == b""
    assert bytes(made[count].data) == b"well"
    assert await made[count].lost is None
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


def test_before_it_is_accepted(run: Run) -> None:
    async def scene() -> None:
        server, made = await serve()
        for _ in range(20):
            reset(socket.create_connection(address(server)))
        while len(made) < 20:
            await asyncio.sleep(0)
        for protocol in list(made):
            assert isinstance(await protocol.lost, ConnectionResetError)
            assert protocol.told == ["made", "lost"]
        await still_serves(server, made)

    run(scene())


def test_before_it_is_accepted_by_hand(run: Run) -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server((HOST, 0)) as listener:
            listener.setblocking(False)
            reset(socket.create_connection(listener.getsockname()))
            ours, _ = await loop.sock_accept(listener)
            with ours, pytest.raises(ConnectionResetError):
                await loop.sock_recv(ours, 1)

    run(scene())


@pytest.mark.parametrize("sent", [0, 1, 5, 100])
def test_during_the_handshake_of_a_server(run: Run, sent: int) -> None:
    """No protocol ever hears of it, and the listener goes on."""
    hello = client_hello()

    async def scene() -> None:
        server, made = await serve(ssl=server_tls())
        for _ in range(5):
            end = socket.create_connection(address(server))
            end.sendall(hello[:sent])
            await quiet()
            reset(end)
        while len(made) < 5:
            await asyncio.sleep(0)
        await quiet()
        assert [protocol.told for protocol in made] == [[]] * 5
        reader, writer = await asyncio.open_connection(
            *address(server), ssl=client_tls(), server_hostname="localhost"
        )
        writer.write(b"well")
        while len(made) < 6 or made[5].received < 4:
            await asyncio.sleep(0)
        writer.close()
        await writer.wait_closed()
        assert await made[5].lost is None
        assert await reader.read() == b""
        server.close()
        await server.wait_closed()

    run(scene())


def client_hello() -> bytes:
    """The first message of a handshake."""
    outgoing = ssl.MemoryBIO()
    session = client_tls().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("how", ["create_connection", "open_connection", "start_tls"])
def test_during_the_handshake_of_a_client(run: Run, how: str) -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server((HOST, 0)) as listener:
            listener.setblocking(False)
            task = asyncio.create_task(start(listener.getsockname()))
            end, _ = await loop.sock_accept(listener)
            assert (await loop.sock_recv(end, 1 << 16))[:1] == b"\x16"  # a handshake record
            reset(end)
            with pytest.raises(ConnectionResetError):
                await task

    async def start(where: tuple[str, int]) -> None:
        loop = asyncio.get_running_loop()
        tls: dict[str, Any] = {"ssl": client_tls(), "server_hostname": "localhost"}
        if how == "create_connection":
            await loop.create_connection(asyncio.Protocol, *where, **tls)
        elif how == "open_connection":
            await asyncio.open_connection(*where, **tls)
        else:
            transport, protocol = await loop.create_connection(asyncio.Protocol, *where)
            try:
                await loop.start_tls(transport, protocol, client_tls(), server_hostname="localhost")
            finally:
                transport.abort()

    run(scene())


Reading = Callable[[asyncio.StreamReader], Awaitable[object]]
READINGS: dict[str, Reading] = {
    "read": lambda reader: reader.read(),
    "readexactly": lambda reader: reader.readexactly(100),
    "readline": lambda reader: reader.readline(),
    "readuntil": lambda reader: reader.readuntil(b"#"),
}


@pytest.mark.parametrize("reading", READINGS.values(), ids=READINGS)
def test_in_the_middle_of_a_message(run: Run, reading: Reading) -> None:
    async def scene() -> None:
        ours, theirs = tcp_pair()
        reader, writer = await asyncio.open_connection(sock=ours)
        task = asyncio.ensure_future(reading(reader))
        theirs.send(b"x" * 50)
        await quiet()
        assert not task.done()
        reset(theirs)
        with pytest.raises(ConnectionResetError):
            await task
        with pytest.raises(ConnectionResetError):
            await reading(reader)  # and ever after
        writer.close()
        with pytest.raises(ConnectionResetError):
            await writer.wait_closed()

    run(scene())


def test_in_the_middle_of_a_message_to_a_protocol(run: Run) -> None:
    """What had arrived is delivered, then the loss."""

    async def scene() -> None:
        _, protocol, theirs = await connect(ends=tcp_pair())
        theirs.send(b"x" * 50)
        await protocol.until(lambda: protocol.received == 50)
        reset(theirs)
        assert isinstance(await protocol.lost, ConnectionResetError)
        assert protocol.told == ["made", "data", "lost"]

    run(scene())


def test_after_our_end_of_writing(run: Run) -> None:
    async def scene() -> None:
        transport, protocol, theirs = await connect(ends=tcp_pair())
        transport.write_eof()
        assert await asyncio.get_running_loop().sock_recv(theirs, 1) == b""
        reset(theirs)
        assert isinstance(await protocol.lost, ConnectionResetError)
        assert protocol.told == ["made", "lost"]

    run(scene())


def test_after_its_own_end_of_writing(run: Run) -> None:
    """Who does not read learns of it by writing."""

    async def scene() -> None:
        ours, theirs = tcp_pair()
        transport, protocol, _ = await connect(StaysOpen, (ours, theirs))
        theirs.shutdown(socket.SHUT_WR)
        await protocol.until(lambda: "eof" in protocol.told)
        reset(theirs)
        arrival = select.poll()
        arrival.register(ours, 0)  # an error is told of, whatever is asked for
        assert arrival.poll(LIMIT_S * 1000)
        await quiet()
        assert protocol.told == ["made", "eof"]
        transport.write(b"x")
        assert isinstance(await protocol.lost, BrokenPipeError)
        assert protocol.told == ["made", "eof", "lost"]

    run(scene())


def test_while_reading_is_paused(run: Run) -> None:
    """It is seen when reading goes on; what it had sent before is gone with it."""

    async def scene() -> None:
        transport, protocol, theirs = await connect(ends=tcp_pair())
        transport.pause_reading()
        await quiet()
        theirs.send(b"unread")
        reset(theirs)
        await quiet()
        assert protocol.told == ["made"]
        transport.resume_reading()
        assert isinstance(await protocol.lost, ConnectionResetError)
        assert protocol.told[-1] == "lost"

    run(scene())


def test_while_writing_is_paused(run: Run) -> None:
    """There is no `resume_writing` for what cannot be written any more."""

    async def scene() -> None:
        transport, protocol, theirs = await connect(ends=tcp_pair())
        transport.write(b"x" * LONG)
        assert protocol.told == ["made", "pause"]
        reset(theirs)
        assert isinstance(await protocol.lost, ConnectionResetError)
        assert protocol.told == ["made", "pause", "lost"]
        assert transport.get_write_buffer_size() == 0

    run(scene())


@pytest.mark.parametrize("drains", [1, 5])
def test_while_streams_drain(run: Run, drains: int) -> None:
    async def scene() -> None:
        ours, theirs = tcp_pair()
        _, writer = await asyncio.open_connection(sock=ours)
        writer.write(b"x" * LONG)
        tasks = [asyncio.ensure_future(writer.drain()) for _ in range(drains)]
        await quiet()
        assert not any(task.done() for task in tasks)
        reset(theirs)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(end) for end in ends] == [ConnectionResetError] * drains
        with pytest.raises(ConnectionResetError):
            await writer.drain()
        writer.close()
        with pytest.raises(ConnectionResetError):
            await writer.wait_closed()

    run(scene())


def test_while_tls_streams_drain(run: Run) -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = tcp_pair()
        made: asyncio.Future[Any] = loop.create_future()

        def use(_: object, writer: asyncio.StreamWriter) -> None:
            made.set_result(writer)

        reader = asyncio.StreamReader()
        serving = loop.connect_accepted_socket(
            lambda: asyncio.StreamReaderProtocol(reader, use), ours, ssl=server_tls()
        )
        _, (client, _) = await asyncio.gather(
            serving,
            loop.create_connection(
                Recorder, sock=theirs, ssl=client_tls(), server_hostname="localhost"
            ),
        )
        client.pause_reading()
        writer = await made
        for _ in range(2):  # the first goes on as a whole, whatever its size
            writer.write(b"x" * LONG)
        task = asyncio.ensure_future(writer.drain())
        await quiet()
        assert not task.done()
        reset_when_closed(theirs)
        client.abort()
        with pytest.raises(ConnectionResetError):
            await task
        writer.close()
        with contextlib.suppress(ConnectionResetError):
            await writer.wait_closed()

    run(scene())


def test_while_what_was_written_is_flushed_by_close(run: Run) -> None:
    async def scene() -> None:
        transport, protocol, theirs = await connect(ends=tcp_pair())
        transport.write(b"x" * LONG)
        transport.close()
        await quiet()
        assert protocol.told == ["made", "pause"]
        reset(theirs)
        assert isinstance(await protocol.lost, ConnectionResetError)
        assert protocol.told == ["made", "pause", "lost"]

    run(scene())


def test_in_the_middle_of_calls_on_sockets(run: Run) -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        calls: list[Callable[[socket.socket], Awaitable[Any]]] = [
            lambda end: loop.sock_recv(end, 10),
            lambda end: loop.sock_recv_into(end, bytearray(10)),
            lambda end: loop.sock_recvfrom(end, 10),
            lambda end: loop.sock_sendall(end, b"x" * LONG),
        ]
        for call in calls:
            ours, theirs = tcp_pair()
            with ours:
                task = asyncio.ensure_future(call(ours))
                await quiet()
                assert not task.done()
                reset(theirs)
                with pytest.raises(ConnectionResetError):
                    await task

    run(scene())


def test_in_the_middle_of_sendfile(run: Run) -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        with tempfile.TemporaryFile() as file:
            file.truncate(LONG)
            transport, protocol, theirs = await connect(ends=tcp_pair())
            task = asyncio.ensure_future(loop.sendfile(transport, file))
            await quiet()
            assert not task.done()
            reset(theirs)
            with pytest.raises(ConnectionError):
                await task
            transport.abort()
            await protocol.lost

    run(scene())


def test_a_refused_connection(run: Run) -> None:
    async def scene() -> None:
        with socket.create_server((HOST, 0)) as listener:
            where = listener.getsockname()
        loop = asyncio.get_running_loop()
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(asyncio.Protocol, *where)
        with socket.socket() as end:
            end.setblocking(False)
            with pytest.raises(ConnectionRefusedError):
                await loop.sock_connect(end, where)

    run(scene())


@pytest.mark.parametrize("over", ["TCP", "TLS"])
def test_at_any_moment(run_ours: Run, over: str) -> None:
    """A storm: each side counts what it was told, and each connection is lost once."""
    chance = random.Random(over)
    tls: dict[str, Any] = {}
    options: dict[str, Any] = {}
    if over == "TLS":
        tls = {"ssl": server_tls()}
        options = {"ssl": client_tls(), "server_hostname": "localhost"}
    rounds = (CONNECTIONS // 3 if over == "TLS" else CONNECTIONS) // CROWD

    class Echo(Recorder):
        keeps_data = False
        answered = 0

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.write(data)
            self.answered += len(data)

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        made: list[Echo] = []

        def make() -> Echo:
            made.append(Echo())
            return made[-1]

        async def client(moment_s: float | None) -> int:
            """How many bytes came back, until it reset the connection.

            None is the moment of the first answer.
            """
            end = socket.create_connection(address(server))
            end.setblocking(False)
            reset_when_closed(end)
            back = 0
            writer = None
            try:
                async with asyncio.timeout(moment_s):
                    reader, writer = await asyncio.open_connection(sock=end, **options)
                    while not back or moment_s is not None:
                        writer.write(bytes(1 + chance.randrange(200_000)))
                        await writer.drain()
                        back += len(await reader.read(100_000))
            except (TimeoutError, ConnectionError):
                assert moment_s is not None
            if writer:
                writer.transport.abort()
            return back

        server = await loop.create_server(make, HOST, 0, **tls)
        began = loop.time()
        backs = [await client(None)]
        longest_s = CROWD * (loop.time() - began)  # so that some are answered, on any machine
        for _ in range(rounds):
            moments = [chance.random() ** 3 * longest_s for _ in range(CROWD - 1)]
            backs += await asyncio.gather(*map(client, [*moments, None]))
        assert len(backs) == 1 + rounds * CROWD
        while len(made) < len(backs) or not all(is_over(protocol) for protocol in made):
            await asyncio.sleep(0.001)
        for protocol in made:
            told = [what for what in protocol.told if what in ("made", "lost")]
            assert told in (["made", "lost"], []) if tls else told == ["made", "lost"]
            assert protocol.answered == protocol.received
        assert len(made) == len(backs)
        assert rounds < sum(backs) <= sum(protocol.received for protocol in made)
        server.close()
        await server.wait_closed()

    def is_over(protocol: Echo) -> bool:
        """Lost; or never made, for a handshake that was reset."""
        return protocol.lost.done() or (bool(tls) and "made" not in protocol.told)

    run_ours(scene())
