"""TLS: the contract of the protocol between a connection and a program's protocol."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import tress.asyncio
from tests.coroutines.conftest import on_both
from tests.coroutines.recorder import Recorder
from tests.faults.coroutines.ends import CERTIFICATE, HOST, address, client_tls, server_tls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NAME: dict[str, Any] = {"server_hostname": "localhost"}
LONG = bytes(range(256)) * 4096  # 64 records
RECORD = 1 << 14


@asynccontextmanager
async def connected(
    kind: Callable[[], Any] = Recorder,
    *,
    client: ssl.SSLContext | None = None,
    server: ssl.SSLContext | None = None,
) -> AsyncIterator[tuple[Any, Any, Any]]:
    """A client's transport, its protocol, and the server's, which is a Recorder."""
    loop = asyncio.get_running_loop()
    accepted: asyncio.Future[Recorder] = loop.create_future()

    class Accepted(Recorder):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            accepted.set_result(self)

    listener = await loop.create_server(Accepted, HOST, 0, ssl=server or server_tls())
    transport, protocol = await loop.create_connection(
        kind, *address(listener), ssl=client or client_tls(), **NAME
    )
    there = await accepted
    yield transport, protocol, there
    for end in (transport, there.transport):
        end.close()
    await there.lost
    listener.close()
    await listener.wait_closed()


class Buffered(asyncio.BufferedProtocol):
    """Reads into a buffer of its own, smaller than a record."""

    size = 1000

    def __init__(self) -> None:
        self.buffer = bytearray(self.size)
        self.data = b""
        self.changed = asyncio.Event()

    def get_buffer(self, sizehint: int) -> Any:
        return memoryview(self.buffer)

    def buffer_updated(self, nbytes: int) -> None:
        self.data += self.buffer[:nbytes]
        self.changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            self.changed.clear()
            await self.changed.wait()


async def moved(transport: Any, there: Recorder, data: bytes) -> None:
    """Waits until that has arrived, and it alone."""
    await there.until(lambda: len(there.data) >= len(data))
    assert there.data == data
    there.data = b""


@on_both
async def test_what_is_written_arrives() -> None:
    async with connected() as (transport, _, there):
        for data in (b"one ", bytearray(b"two "), memoryview(b"xthree ")[1:], b""):
            transport.write(data)
        transport.writelines([b"four ", b"", bytearray(b"five")])
        await moved(transport, there, b"one two three four five")
        transport.write(LONG)
        await moved(transport, there, LONG)
        transport.writelines([LONG, memoryview(LONG)[1:], bytearray(LONG)])
        await moved(transport, there, LONG + LONG[1:] + LONG)


@on_both
async def test_a_buffer_can_change_once_it_is_written() -> None:
    data = bytearray(LONG)
    async with connected() as (transport, _, there):
        transport.write(data)
        data[:] = bytes(len(data))
        data.append(0)  # nothing holds its memory any more
        await moved(transport, there, LONG)


@on_both
async def test_sizes_around_a_record() -> None:
    async with connected() as (transport, _, there):
        for size in (1, 2, RECORD - 1, RECORD, RECORD + 1, 2 * RECORD, 5 * RECORD + 7):
            transport.write(LONG[:size])
            await moved(transport, there, LONG[:size])


@pytest.mark.parametrize("wrong", ["text", 1, None, [b"x"]])
def test_what_is_no_data(loop: Any, wrong: Any) -> None:
    async def scene() -> None:
        async with connected() as (transport, _, there):
            with pytest.raises(TypeError, match=f"got {type(wrong).__name__}$"):
                transport.write(wrong)
            transport.write(data=b"well")
            await moved(transport, there, b"well")

    loop.run_until_complete(asyncio.wait_for(scene(), 100))


def test_writelines_of_what_is_no_data(loop: Any, contexts: list[dict[str, Any]]) -> None:
    """It is what ends the connection, as an error of the protocol's."""

    async def scene() -> None:
        async with connected() as (transport, protocol, _):
            transport.writelines([b"well", "wrong"])
            assert isinstance(await protocol.lost, TypeError)

    loop.run_until_complete(asyncio.wait_for(scene(), 100))
    assert [context["message"] for context in contexts] == ["Fatal error on SSL protocol"]


@on_both
async def test_what_a_protocol_reads_into_its_own_buffer() -> None:
    async with connected(Buffered) as (_, protocol, there):
        there.transport.write(LONG)
        await protocol.until(lambda: len(protocol.data) >= len(LONG))
        assert protocol.data == LONG


@pytest.mark.parametrize("given", [b"constant", None])
def test_a_buffer_that_cannot_be_read_into(
    loop: Any, contexts: list[dict[str, Any]], given: Any
) -> None:
    class Wrong(Recorder, asyncio.BufferedProtocol):
        given: Any = bytearray(1)  # for the handshake

        def get_buffer(self, sizehint: int) -> Any:
            return self.given

        def buffer_updated(self, nbytes: int) -> None:
            raise AssertionError("there is no buffer")

    async def scene() -> str:
        async with connected(Wrong) as (_, protocol, there):
            protocol.given = given
            there.transport.write(b"x")
            error = await protocol.lost
            assert isinstance(error, TypeError)
            return str(error)

    text = loop.run_until_complete(asyncio.wait_for(scene(), 100))
    assert text == (
        "object of type 'NoneType' has no len()"
        if given is None
        else "read() argument 2 must be read-write bytes-like object, not bytes"
    )
    assert {context["message"] for context in contexts} == {"Fatal error on SSL protocol"}


@on_both
async def test_reading_is_paused_and_resumed() -> None:
    async with connected() as (transport, protocol, there):
        transport.pause_reading()
        assert not transport.is_reading()
        there.transport.write(LONG)
        while not transport.get_read_buffer_size():
            await asyncio.sleep(0)
        assert protocol.data == b""
        transport.resume_reading()
        await protocol.until(lambda: len(protocol.data) == len(LONG))
        assert protocol.data == LONG


@on_both
async def test_the_marks_of_writing() -> None:
    async with connected() as (transport, protocol, there):
        there.transport.pause_reading()
        transport.set_write_buffer_limits(high=1000, low=10)
        assert transport.get_write_buffer_limits() == (10, 1000)
        sent = 0
        while "pause" not in protocol.told:
            transport.write(LONG)
            sent += len(LONG)
        assert transport.get_write_buffer_size() >= 1000
        there.transport.resume_reading()
        await protocol.until(lambda: "resume" in protocol.told)
        await there.until(lambda: len(there.data) == sent)
        assert protocol.told == ["made", "pause", "resume"]


@on_both
async def test_close_writes_what_there_is() -> None:
    async with connected() as (transport, protocol, there):
        transport.write(LONG * 4)
        transport.close()
        assert transport.is_closing()
        transport.write(b"too late")
        assert await there.lost is None
        assert there.data == LONG * 4
        assert there.told[-2:] == ["eof", "lost"]
        assert await protocol.lost is None
        transport.write(b"much too late")


@on_both
async def test_what_is_told_of_a_connection() -> None:
    async with connected() as (transport, protocol, there):
        kind: Any = asyncio.sslproto._SSLProtocolTransport
        assert isinstance(transport, kind)
        assert repr(transport).startswith("<asyncio.sslproto._SSLProtocolTransport object at ")
        assert transport.get_protocol() is protocol
        made = transport.get_extra_info("ssl_object")
        assert type(made) is ssl.SSLObject
        assert transport.get_extra_info("sslcontext") is client_tls()
        assert transport.get_extra_info("cipher") == made.cipher()
        assert transport.get_extra_info("compression") is None
        assert transport.get_extra_info("peercert")["subject"]
        assert there.transport.get_extra_info("peercert") is None
        assert transport.get_extra_info("socket").fileno() > 0
        inside: Any = transport._ssl_protocol
        standard: Any = asyncio.sslproto.SSLProtocol
        assert isinstance(inside, standard)
        assert inside._app_transport is transport
        assert inside._app_protocol is protocol
        assert inside._sslobj is made
        assert inside._transport.get_protocol() is inside
        assert inside._state.name == "WRAPPED"


@on_both
async def test_another_protocol() -> None:
    async with connected() as (transport, protocol, there):
        transport.set_protocol(other := Recorder())
        there.transport.write(b"for the other")
        await other.until(lambda: other.data)
        assert (protocol.data, other.data) == (b"", b"for the other")
        transport.set_protocol(buffered := Buffered())
        there.transport.write(b"for the buffer")
        await buffered.until(lambda: buffered.data)
        assert (other.data, buffered.data) == (b"for the other", b"for the buffer")
        transport.set_protocol(protocol)


class Counting(ssl.SSLObject):
    """Counts the calls that move data."""

    reads = 0
    writes = 0

    def read(self, len: int = 1024, buffer: Any = None) -> Any:
        type(self).reads += 1
        return super().read(len, buffer)

    def write(self, data: Any) -> int:
        type(self).writes += 1
        return super().write(data)


def counting(context: ssl.SSLContext) -> ssl.SSLContext:
    context.sslobject_class = Counting
    return context


def test_a_program_with_an_ssl_object_of_its_own(loop: Any) -> None:
    """Each read and each write goes through it."""
    client = ssl.create_default_context(cadata=_certificate())

    async def scene() -> None:
        async with connected(client=counting(client)) as (transport, protocol, there):
            reads, writes = Counting.reads, Counting.writes
            transport.write(LONG)
            await moved(transport, there, LONG)
            assert Counting.writes > writes
            there.transport.write(b"answer")
            await protocol.until(lambda: protocol.data)
            assert Counting.reads > reads

    loop.run_until_complete(asyncio.wait_for(scene(), 100))


def _certificate() -> str:
    return "-----BEGIN CERT" + CERTIFICATE.read_text("ascii").split("-----BEGIN CERT", 1)[1]


def test_another_object_in_the_place_of_the_first(own_loop: Any) -> None:
    """Whatever it is, it is what data goes through from then on."""

    class Through:
        def __init__(self, behind: Any) -> None:
            self.behind = behind
            self.written = 0

        def write(self, data: Any) -> Any:
            self.written += len(data)
            return self.behind.write(data)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.behind, name)

    async def scene() -> None:
        async with connected() as (transport, _, there):
            inside = transport._ssl_protocol
            inside._sslobj = through = Through(inside._sslobj)
            transport.write(b"first")
            await moved(transport, there, b"first")
            assert through.written == 5
            inside._sslobj = through.behind
            transport.write(b"second")
            await moved(transport, there, b"second")
            assert through.written == 5

    own_loop.run_until_complete(asyncio.wait_for(scene(), 100))


async def becomes_encrypted(*, waits: bool) -> None:
    """On both of its ends. A client that does not wait begins before the server does."""
    loop = asyncio.get_running_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"begin\n"
        if waits:
            writer.write(b"go on")
        await writer.start_tls(server_tls())
        while data := await reader.read(1 << 20):
            writer.write(data)
        writer.close()

    listener = await asyncio.start_server(serve, HOST, 0)
    plain, before = await loop.create_connection(Recorder, *address(listener))
    plain.write(b"begin\n")
    if waits:
        await before.until(lambda: before.data == b"go on")
        before.data = b""
    transport: Any = await loop.start_tls(plain, before, client_tls(), **NAME)
    transport.write(LONG)
    await before.until(lambda: len(before.data) == len(LONG))
    assert before.data == LONG
    assert before.told.count("made") == 1
    transport.close()
    assert await before.lost is None
    listener.close()
    await listener.wait_closed()


@on_both
async def test_a_connection_becomes_encrypted() -> None:
    await becomes_encrypted(waits=True)


def test_a_handshake_that_a_stream_has_read_already(own_loop: Any) -> None:
    """It counts, on every Python: where the standard library of some waits for it in vain."""
    own_loop.run_until_complete(asyncio.wait_for(becomes_encrypted(waits=False), 100))


@on_both
async def test_tls_within_tls() -> None:
    loop = asyncio.get_running_loop()
    async with connected() as (transport, protocol, there):
        inner = loop.start_tls(there.transport, there, server_tls(), server_side=True)
        theirs = asyncio.ensure_future(inner)
        ours: Any = await loop.start_tls(transport, protocol, client_tls(), **NAME)
        inside: Any = await theirs
        ours.write(LONG)
        await moved(ours, there, LONG)
        inside.write(b"back")
        await protocol.until(lambda: protocol.data)
        assert protocol.data == b"back"
        ours.close()
        assert await there.lost is None


@pytest.mark.parametrize("argument", ["transport", "sslcontext"])
def test_what_cannot_become_encrypted(loop: Any, argument: str) -> None:
    async def scene() -> None:
        given = {"transport": object(), "sslcontext": client_tls()} | {argument: object()}
        with pytest.raises(TypeError, match=argument):
            await loop.start_tls(given["transport"], None, given["sslcontext"])

    loop.run_until_complete(scene())


def test_a_good_record_before_a_broken_one(own_loop: Any) -> None:
    """It is delivered, though both came in one piece: where the standard library drops it."""

    async def scene() -> None:
        own_loop.set_exception_handler(lambda *_: None)
        async with connected() as (transport, _, there):
            inside = transport._ssl_protocol
            inside._sslobj.write(b"good")
            record = inside._outgoing.read()
            inside._sslobj.write(b"broken")
            broken = bytearray(inside._outgoing.read())
            broken[-1] ^= 1
            inside._transport.write(record + broken)
            assert isinstance(await there.lost, ssl.SSLError)
            assert there.data == b"good"

    own_loop.run_until_complete(asyncio.wait_for(scene(), 100))


def test_no_connection_has_a_buffer_of_its_own(own_loop: Any) -> None:
    """Only for a transport of another kind one is made."""

    async def scene() -> None:
        async with connected() as (transport, _, there):
            transport.write(LONG)
            await moved(transport, there, LONG)
            inside = transport._ssl_protocol
            assert inside._room is None
            room = inside.get_buffer(-1)
            assert len(room) == inside.max_size
            assert inside.get_buffer(1) is room

    own_loop.run_until_complete(asyncio.wait_for(scene(), 100))


@pytest.mark.parametrize("debugging", ["client", "server"])
def test_debug_mode_on_one_side(own_loop: Any, debugging: str) -> None:
    """The standard library's transport and protocol, which tell more, speak with tress's."""

    async def scene() -> None:
        is_server = debugging == "server"
        own_loop.set_debug(is_server)
        accepted: asyncio.Future[Recorder] = own_loop.create_future()

        class Accepted(Recorder):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                super().connection_made(transport)
                accepted.set_result(self)

        listener = await own_loop.create_server(Accepted, HOST, 0, ssl=server_tls())
        connect = partial(own_loop.create_connection, Recorder, *address(listener))
        own_loop.set_debug(not is_server)
        transport, _ = await connect(ssl=client_tls(), **NAME)
        there = await accepted
        transport.write(LONG)
        await moved(transport, there, LONG)
        transport.close()
        assert await there.lost is None
        listener.close()
        await listener.wait_closed()

    own_loop.run_until_complete(asyncio.wait_for(scene(), 100))


def test_the_native_class_is_used(own_loop: Any) -> None:
    async def scene() -> None:
        async with connected() as (transport, _, there):
            for end in (transport, there.transport):
                assert type(end._ssl_protocol).__module__ == tress.asyncio.__name__

    own_loop.run_until_complete(asyncio.wait_for(scene(), 100))
