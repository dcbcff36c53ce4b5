"""The transport of a connection: the contract with its protocol."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
import weakref
from typing import Any

import pytest

import tress.asyncio
from tests.coroutines.conftest import on_both
from tests.coroutines.recorder import Recorder

LONG = 4 << 20


async def connect(kind: type[Recorder] = Recorder) -> tuple[Any, Any, socket.socket]:
    """A transport, its protocol, and the other end."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(kind, sock=ours)
    return transport, protocol, theirs


@on_both
async def test_what_is_written_arrives() -> None:
    made: Any
    made, protocol, theirs = await connect()
    assert isinstance(made, asyncio.Transport)
    transport: Any = made
    same: Any = transport.get_protocol()
    assert same is protocol
    assert transport.get_extra_info("socket").family == socket.AF_UNIX
    assert transport.get_extra_info("nothing", 1) == 1
    for data in (b"one ", bytearray(b"two "), memoryview(b"xthree ")[1:], b""):
        transport.write(data)
    transport.writelines([b"four ", b"", bytearray(b"five")])
    assert transport.get_write_buffer_size() == 0
    assert theirs.recv(100) == b"one two three four five"
    transport.close()
    assert transport.is_closing()
    assert await protocol.lost is None
    assert protocol.told == ["made", "lost"]
    theirs.close()


@on_both
async def test_what_does_not_fit_is_written_later_as_it_was() -> None:
    transport, protocol, theirs = await connect()
    loop = asyncio.get_running_loop()
    data = bytearray(b"a" * LONG)
    transport.write(data)
    assert transport.get_write_buffer_size() > 0
    transport.write(b"b" * 10)
    transport.writelines([b"c" * 10, b"d" * 10])
    transport.close()  # which does not cut it short
    received = b""
    while part := await loop.sock_recv(theirs, 1 << 20):
        received += part
    assert received == b"a" * LONG + b"b" * 10 + b"c" * 10 + b"d" * 10
    assert await protocol.lost is None
    theirs.close()


@on_both
async def test_the_protocol_is_told_when_to_pause() -> None:
    transport, protocol, theirs = await connect()
    loop = asyncio.get_running_loop()
    transport.set_write_buffer_limits(high=1000, low=100)
    assert transport.get_write_buffer_limits() == (100, 1000)
    while not transport.get_write_buffer_size():
        transport.write(b"x" * 100_000)
    assert protocol.told == ["made", "pause"]
    while "resume" not in protocol.told:
        await loop.sock_recv(theirs, 1 << 20)
        await asyncio.sleep(0)
    assert transport.get_write_buffer_size() <= 100
    transport.abort()
    await protocol.lost
    theirs.close()


@on_both
async def test_the_end_of_the_other_side() -> None:
    class HalfOpen(Recorder):
        def eof_received(self) -> bool:
            self.tell("eof")
            return True

    transport, protocol, theirs = await connect()
    theirs.send(b"last")
    theirs.close()
    assert await protocol.lost is None
    assert protocol.data == b"last"
    assert protocol.told == ["made", "data", "eof", "lost"]

    transport, protocol, theirs = await connect(HalfOpen)
    theirs.shutdown(socket.SHUT_WR)
    await protocol.until(lambda: "eof" in protocol.told)
    transport.write(b"still here")
    assert transport.can_write_eof()
    transport.write_eof()
    with pytest.raises(RuntimeError, match=r"Cannot call write\(\) after write_eof\(\)"):
        transport.write(b"x")
    assert theirs.recv(100) == b"still here"
    assert theirs.recv(100) == b""
    transport.close()
    assert await protocol.lost is None
    theirs.close()


@on_both
async def test_reading_can_be_paused() -> None:
    transport, protocol, theirs = await connect()
    transport.pause_reading()
    transport.pause_reading()
    assert not transport.is_reading()
    theirs.send(b"one")
    for _ in range(3):
        await asyncio.sleep(0.001)
    assert protocol.data == b""
    transport.resume_reading()
    assert transport.is_reading()
    await protocol.until(lambda: protocol.data)
    assert protocol.data == b"one"
    transport.close()
    transport.resume_reading()
    assert not transport.is_reading()
    await protocol.lost
    theirs.close()


@on_both
async def test_to_close_in_data_received_is_the_end() -> None:
    class Closing(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.close()

    _, protocol, theirs = await connect(Closing)
    theirs.send(b"first")
    assert await protocol.lost is None
    assert protocol.told == ["made", "data", "lost"]
    theirs.close()


@on_both
async def test_another_protocol_takes_over() -> None:
    transport, protocol, theirs = await connect()
    other = Recorder()
    transport.set_protocol(other)
    theirs.send(b"data")
    await other.until(lambda: other.data)
    assert (protocol.told, other.told) == (["made"], ["data"])

    class Buffered(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.room = bytearray(4)
            self.data = b""

        def get_buffer(self, sizehint: int) -> bytearray:
            return self.room

        def buffer_updated(self, nbytes: int) -> None:
            self.data += self.room[:nbytes]
            if len(self.data) == 10:
                ended.set_result(self.data)

    ended: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    transport.set_protocol(Buffered())
    theirs.send(b"0123456789")
    assert await ended == b"0123456789"
    transport.abort()
    theirs.close()
    await asyncio.sleep(0)


@pytest.mark.parametrize("method", ["data_received", "eof_received"])
def test_an_error_of_the_protocol_ends_the_connection(loop: Any, method: str) -> None:
    told: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, about: told.append(about))
    error = ValueError("no")

    def fail(*_: object) -> None:
        raise error

    async def test() -> None:
        _, protocol, theirs = await connect(type("Bad", (Recorder,), {method: fail}))
        theirs.send(b"x")
        theirs.close()
        assert await protocol.lost is error

    loop.run_until_complete(asyncio.wait_for(test(), 100))
    assert told[0]["exception"] is error
    assert told[0]["message"] == f"Fatal error: protocol.{method}() call failed."


@on_both
async def test_a_reset_is_told() -> None:
    loop = asyncio.get_running_loop()
    protocols: list[Recorder] = []

    def make() -> Recorder:
        protocols.append(Recorder())
        return protocols[-1]

    server = await loop.create_server(make, "127.0.0.1", 0)
    client = socket.create_connection(server.sockets[0].getsockname())
    while not protocols or not protocols[0].told:
        await asyncio.sleep(0.001)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    assert isinstance(await protocols[0].lost, ConnectionResetError)
    # Writes to what is lost are passed over.
    for _ in range(3):
        protocols[0].transport.write(b"x")
    server.close()
    await server.wait_closed()


@on_both
async def test_bad_data_is_refused_and_nothing_is_lost() -> None:
    transport, protocol, theirs = await connect()
    for bad in ("text", 1, None, ["x"]):
        with pytest.raises(TypeError, match="data argument must be a bytes"):
            transport.write(bad)
    transport.write(b"good")
    assert theirs.recv(100) == b"good"
    transport.abort()
    await protocol.lost
    theirs.close()


def test_connections_are_let_go(loop: Any) -> None:
    async def test() -> list[weakref.ref[Any]]:
        transport, protocol, theirs = await connect()
        transport.write(b"x" * LONG)
        transport.abort()
        await protocol.lost
        theirs.close()
        return [weakref.ref(transport), weakref.ref(protocol)]

    refs = loop.run_until_complete(test())
    gc.collect()
    assert [ref() for ref in refs] == [None, None]


def test_what_the_standard_library_has_beside(own_loop: Any) -> None:
    """The transport stands for the standard library's, and has all that it has."""

    async def test() -> None:
        transport, protocol, theirs = await connect()
        assert type(transport) is not type(transport).__base__
        assert repr(transport).startswith("<_SelectorSocketTransport fd=")
        standard = transport.__class__
        missing = {name for name in dir(standard) if not hasattr(transport, name)}
        assert missing <= {"__slots__", "__weakref__"}
        with pytest.raises(TypeError):
            transport.__class__ = int
        transport.abort()
        await protocol.lost
        theirs.close()

    own_loop.run_until_complete(test())
    assert tress.asyncio.EventLoop is type(own_loop)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (b"read-only", "recv_into() argument 1 must be read-write bytes-like object, not bytes"),
        ("text", "recv_into() argument 1 must be read-write bytes-like object, not str"),
        (memoryview(bytearray(8))[::2], "must be read-write bytes-like object, not memoryview"),
        (None, "object of type 'NoneType' has no len()"),
        (bytearray(), "get_buffer() returned an empty buffer"),
    ],
)
def test_a_buffer_that_cannot_be_read_into_ends_the_connection(
    loop: Any, contexts: list[dict[str, Any]], given: object, told: str
) -> None:
    class Giving(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.lost: asyncio.Future[Any] = loop.create_future()

        def get_buffer(self, sizehint: int) -> Any:
            return given

        def connection_lost(self, exc: Exception | None) -> None:
            self.lost.set_result(exc)

    async def main() -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            _, protocol = await loop.create_connection(Giving, sock=ours)
            theirs.send(b"x")
            error = await protocol.lost
        assert told in str(error)
        where = "socket transport" if "recv_into" in told or "read-write" in told else "get_buffer"
        assert [(context["exception"], where in context["message"]) for context in contexts] == [
            (error, True)
        ]

    loop.run_until_complete(asyncio.wait_for(main(), 100))


@on_both
async def test_what_is_not_bytes_is_not_written() -> None:
    transport, protocol, theirs = await connect()
    for data in ("text", 1):
        with pytest.raises(TypeError, match="data argument must be a bytes"):
            transport.write(data)
        with pytest.raises(TypeError, match="a bytes-like object"):
            transport.writelines([data])
        if isinstance(asyncio.get_running_loop(), tress.asyncio.EventLoop):
            # The standard library keeps what stands before it from 3.15.2 on, and never sends it.
            with pytest.raises(TypeError, match="a bytes-like object"):
                transport.writelines([b"lost", data])
    transport.close()
    await protocol.lost
    assert theirs.recv(100) == b""
    theirs.close()
