"""Streams: they read, wait and stop the transport as the standard library's do, step by step."""

from __future__ import annotations

import asyncio
import gc
import inspect
import socket
import sys
import weakref
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

import tress.asyncio
from tests.coroutines.turns import turn

LIMIT = 8


class Transport:
    """One without a connection, which writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.closing = False

    def pause_reading(self) -> None:
        self.told.append("pause")

    def resume_reading(self) -> None:
        self.told.append("resume")

    def write(self, data: bytes) -> None:
        self.told.append(data)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


class CannotPause(Transport):
    def pause_reading(self) -> None:
        super().pause_reading()
        raise NotImplementedError


# The reader, step by step

_PIECES = st.text("ab\n", min_size=0, max_size=12).map(str.encode)
_SEPARATORS: Any = st.sampled_from([b"\n", b"a", b"ab", b"ba\n", b"", bytearray(b"b")])
if sys.version_info >= (3, 13):
    _SEPARATORS |= st.sampled_from([(b"ab", b"\n"), (b"b",), ()])
_STEPS = st.one_of(
    st.tuples(st.just("feed"), _PIECES),
    st.tuples(st.just("feed"), _PIECES.map(bytearray)),
    st.tuples(st.just("feed"), _PIECES.map(lambda piece: memoryview(piece))),
    st.tuples(st.just("read"), st.integers(-1, 10)),
    st.tuples(st.just("readexactly"), st.integers(-1, 10)),
    st.tuples(st.just("readuntil"), _SEPARATORS),
    st.tuples(st.just("readline")),
    st.tuples(st.just("next")),
    st.tuples(st.just("cancel")),
    st.tuples(st.just("eof")),
    st.tuples(st.just("fail")),
    st.tuples(st.just("show")),
    st.tuples(st.just("limit"), st.sampled_from([1, 4, 100])),
)


def _error(error: BaseException | None) -> Any:
    if error is None:
        return None
    fields = {name: getattr(error, name, None) for name in ("partial", "expected", "consumed")}
    return type(error), str(error), fields, _error(error.__context__)


class _Script:
    """Steps that are taken with a reader, and what is seen of it after each."""

    def __init__(self, library: ModuleType, transport: Transport, shows: bool) -> None:
        self.loop = library.SelectorEventLoop()
        self.loop.set_exception_handler(lambda *_: None)
        self.reader = library.StreamReader(limit=LIMIT, loop=self.loop)
        self.transport = transport
        self.reader.set_transport(self.transport)
        self.tasks: list[Any] = []
        self.seen: list[Any] = []
        self.shows = shows

    def take(self, step: tuple[Any, ...]) -> None:
        kind, *arguments = step
        reader = self.reader
        try:
            if kind == "feed":
                reader.feed_data(*arguments)
            elif kind == "eof":
                reader.feed_eof()
            elif kind == "fail":
                reader.set_exception(OSError("broken"))
            elif kind == "limit":
                reader._limit = arguments[0]
            elif kind == "show":
                if self.shows:
                    # From here on somebody outside changes it as well.
                    reader._buffer.extend(b"+")
                else:
                    reader.feed_data(b"+")
            elif kind == "cancel":
                for task in self.tasks:
                    task.cancel()
            else:
                method = reader.__anext__ if kind == "next" else getattr(reader, kind)
                self.tasks.append(self.loop.create_task(self._call(method, *arguments)))
        except AssertionError as error:
            self.seen.append(str(error))
        turn(self.loop, 4)
        self.seen.append((step, reader.at_eof(), reader._eof, reader._paused, reader._limit))
        is_waited_for, failure = reader._waiter is not None, repr(reader.exception())
        self.seen.append((list(self.transport.told), is_waited_for, failure))

    async def _call(self, method: Any, *arguments: Any) -> None:
        try:
            data = await method(*arguments)
            self.seen.append((data, type(data)))
        except BaseException as error:
            self.seen.append(_error(error))

    def end(self) -> list[Any]:
        left = bytes(self.reader._buffer)
        for task in self.tasks:
            task.cancel()
        turn(self.loop, 4)
        self.loop.close()
        return [*self.seen, left]


@settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(_STEPS, max_size=25),
    kind=st.sampled_from([Transport, CannotPause]),
    shows=st.booleans(),
)
def test_a_reader_does_what_the_standard_one_does(
    steps: list[tuple[Any, ...]], kind: type[Transport], shows: bool
) -> None:
    outcomes = []
    for library in (asyncio, tress.asyncio):
        script = _Script(library, kind(), shows)
        for step in steps:
            script.take(step)
        outcomes.append(script.end())
    assert outcomes[0] == outcomes[1]


@settings(max_examples=50, deadline=None)
@given(
    pieces=st.lists(st.binary(min_size=1, max_size=3000), max_size=20),
    sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=20),
)
def test_what_goes_in_comes_out(pieces: list[bytes], sizes: list[int]) -> None:
    loop = tress.asyncio.EventLoop()
    reader = tress.asyncio.StreamReader(loop=loop)
    got = bytearray()

    async def read() -> None:
        for size in sizes * (1 + sum(map(len, pieces))):
            data = await reader.read(size)
            if not data:
                break
            assert len(data) <= size
            got.extend(data)

    task = loop.create_task(read())
    for count, piece in enumerate(pieces):
        reader.feed_data(piece)
        if count % 3 == 0:
            turn(loop)
    reader.feed_eof()
    loop.run_until_complete(task)
    loop.close()
    assert got == b"".join(pieces)


def test_a_piece_that_is_read_whole_is_not_copied(own_loop: Any) -> None:
    reader = tress.asyncio.StreamReader(loop=own_loop)
    piece = bytes(range(256))
    reader.feed_data(piece)
    assert own_loop.run_until_complete(reader.read(1000)) is piece


def test_a_reader_shows_its_buffer(loop: Any, library: ModuleType) -> None:
    reader = library.StreamReader(loop=loop)
    reader.feed_data(b"0123")
    buffer = reader._buffer
    assert type(buffer) is bytearray
    assert buffer == b"0123"
    assert reader._buffer is buffer
    buffer += b"45"
    reader.feed_data(b"67")
    assert loop.run_until_complete(reader.read(5)) == b"01234"
    assert buffer == b"567"
    buffer.clear()
    reader.feed_data(b"89")
    assert loop.run_until_complete(reader.readexactly(2)) == b"89"
    reader._buffer = bytearray(b"other\n")
    assert loop.run_until_complete(reader.readline()) == b"other\n"


def test_a_view_of_the_buffer_is_respected(loop: Any, library: ModuleType) -> None:
    reader = library.StreamReader(loop=loop)
    reader.feed_data(b"0123")
    with memoryview(reader._buffer), pytest.raises(BufferError):
        loop.run_until_complete(reader.read(2))
    with memoryview(reader._buffer), pytest.raises(BufferError):
        reader.feed_data(b"more than there is room for" * 100)


def test_arguments_of_other_kinds(loop: Any, library: ModuleType) -> None:
    class Number(int):
        pass

    def run(coroutine: Any) -> Any:
        return loop.run_until_complete(coroutine)

    reader = library.StreamReader(loop=loop)
    reader.feed_data(b"0123456789")
    assert run(reader.read(Number(2))) == b"01"
    assert run(reader.read(n=True)) == b"2"
    assert run(reader.readexactly(n=Number(2))) == b"34"
    assert run(reader.readuntil(separator=memoryview(b"6"))) == b"56"
    for wrong in (reader.read("1"), reader.readexactly(None), reader.readuntil("7")):
        with pytest.raises(TypeError):
            run(wrong)
    with pytest.raises(TypeError):
        reader.feed_data("789")
    assert run(reader.read(100)) == b"789"


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_is_positive(loop: Any, library: ModuleType, limit: int) -> None:
    with pytest.raises(ValueError, match=r"Limit cannot be <= 0"):
        library.StreamReader(limit=limit, loop=loop)


def test_a_limit_may_be_any_number(loop: Any, library: ModuleType) -> None:
    for limit in (1 << 100, float("inf"), 2.5):
        reader = library.StreamReader(limit, loop)
        assert reader._limit == limit
        reader.feed_data(b"ab\n")
        assert loop.run_until_complete(reader.readline()) == b"ab\n"
    with pytest.raises(TypeError):
        library.StreamReader(limit=None, loop=loop)
    with pytest.raises(TypeError):
        library.StreamReader(limit=1, loop=loop, other=2)


def test_what_a_reader_says_of_itself(loop: Any, library: ModuleType) -> None:
    reader = library.StreamReader(loop=loop)
    assert repr(reader) == "<StreamReader>"
    reader.feed_data(b"abc")
    reader.feed_eof()
    assert repr(reader) == "<StreamReader 3 bytes eof>"
    reader = library.StreamReader(limit=10, loop=loop)
    reader.set_exception(OSError("no"))
    reader._paused = True
    assert repr(reader) == "<StreamReader limit=10 exception=OSError('no') paused>"


# Coroutines


def test_they_are_coroutines(loop: Any, library: ModuleType) -> None:
    reader = library.StreamReader(loop=loop)
    for name in ("read", "readexactly", "readline", "readuntil"):
        assert inspect.iscoroutinefunction(getattr(reader, name))
        assert inspect.iscoroutinefunction(getattr(library.StreamReader, name))
    assert inspect.iscoroutinefunction(library.StreamWriter.drain)
    reader.feed_data(b"0123\n5")
    made = [reader.read(1), reader.readexactly(2), reader.readline(), reader.readuntil(b"5")]
    assert all(asyncio.iscoroutine(coroutine) for coroutine in made)
    tasks = [loop.create_task(coroutine) for coroutine in made]
    assert [loop.run_until_complete(task) for task in tasks] == [b"0", b"12", b"3\n", b"5"]


def test_one_that_nobody_awaits_warns(loop: Any, library: ModuleType) -> None:
    reader = library.StreamReader(loop=loop)
    with pytest.warns(RuntimeWarning, match=r"'StreamReader.read(line)?' was never awaited"):
        reader.readline()


def test_a_timeout_takes_nothing(loop: Any, library: ModuleType) -> None:
    async def main() -> None:
        reader = library.StreamReader()
        reader.feed_data(b"0123")
        for wait in (lambda: reader.readexactly(9), reader.readline):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await wait()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(wait(), 0.001)
        assert reader._waiter is None
        assert await reader.read(100) == b"0123"

    loop.run_until_complete(main())


def test_who_waits_is_told_in_waits(own_loop: Any) -> None:
    reader = tress.asyncio.StreamReader(loop=own_loop)
    task = own_loop.create_task(reader.readline(), name="who reads")

    async def look() -> list[Any]:
        await asyncio.sleep(0)
        return tress.waits()

    wait = next(wait for wait in own_loop.run_until_complete(look()) if wait.task is task)
    assert (wait.operation, wait.object) == ("StreamReader.readline", reader)
    task.cancel()
    turn(own_loop, 2)


def test_a_reader_and_who_waits_for_it_are_collected(own_loop: Any) -> None:
    class Reader(tress.asyncio.StreamReader):
        pass

    for kind in (tress.asyncio.StreamReader, Reader):
        reader: Any = kind(loop=own_loop)
        reader.cycle = reader
        coroutine = reader.read(1)
        coroutine.send(None)
        reader._coroutine = coroutine
        gone = weakref.ref(reader)
        del reader, coroutine
        gc.collect()
        assert gone() is None


# Subclasses


def test_methods_that_a_subclass_overrides_are_called(loop: Any, library: ModuleType) -> None:
    called: list[str] = []

    class Reader(library.StreamReader):  # type: ignore[name-defined, misc]
        def feed_data(self, data: Any) -> None:
            called.append("feed_data")
            super().feed_data(bytes(data).upper())

        def _wakeup_waiter(self) -> None:
            called.append("_wakeup_waiter")
            super()._wakeup_waiter()

        async def _wait_for_data(self, name: str) -> None:
            called.append(f"_wait_for_data({name})")
            await super()._wait_for_data(name)

        async def readuntil(self, separator: Any = b"\n") -> Any:
            called.append("readuntil")
            return await super().readuntil(separator)

    class Protocol(library.StreamReaderProtocol):  # type: ignore[name-defined, misc]
        def data_received(self, data: bytes) -> None:
            called.append("data_received")
            super().data_received(data)

        async def _drain_helper(self) -> None:
            called.append("_drain_helper")
            await super()._drain_helper()

    class Writer(library.StreamWriter):  # type: ignore[name-defined, misc]
        def write(self, data: Any) -> None:
            called.append("write")
            super().write(data)

    async def main() -> bytes:
        ours, theirs = socket.socketpair()
        reader = Reader(loop=loop)
        protocol = Protocol(reader, loop=loop)
        transport, _ = await loop.create_connection(lambda: protocol, sock=ours)
        writer = Writer(transport, protocol, reader, loop)
        with theirs:
            writer.write(b"hello")
            await writer.drain()
            loop.call_soon(theirs.send, b"line\n")
            line: bytes = await reader.readline()
            assert theirs.recv(100) == b"hello"
        writer.close()
        await writer.wait_closed()
        return line

    assert loop.run_until_complete(main()) == b"LINE\n"
    assert called[:4] == ["write", "_drain_helper", "readuntil", "_wait_for_data(readuntil)"]
    assert called[4:7] == ["data_received", "feed_data", "_wakeup_waiter"]


def test_a_reader_of_a_subclass_behind_the_plain_protocol(loop: Any, library: ModuleType) -> None:
    class Reader(library.StreamReader):  # type: ignore[name-defined, misc]
        def feed_data(self, data: Any) -> None:
            super().feed_data(bytes(data).upper())

    async def main() -> bytes:
        ours, theirs = socket.socketpair()
        reader = Reader(loop=loop)
        protocol = library.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.create_connection(lambda: protocol, sock=ours)
        with theirs:
            theirs.send(b"abc")
            data: bytes = await reader.read(10)
        transport.close()
        return data

    assert loop.run_until_complete(main()) == b"ABC"


def test_methods_that_are_set_on_an_object_are_called(loop: Any, library: ModuleType) -> None:
    async def main() -> list[bytes]:
        ours, theirs = socket.socketpair()
        reader = library.StreamReader(loop=loop)
        protocol = library.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.create_connection(lambda: protocol, sock=ours)
        lines = []
        with theirs:
            receive, feed, read_until = (
                protocol.data_received,
                reader.feed_data,
                reader.readuntil,
            )
            protocol.data_received = lambda data: receive(data + b"1")
            theirs.send(b"a\n")
            lines += [await reader.readline(), await reader.read(9)]
            reader.feed_data = lambda data: feed(data + b"2")
            theirs.send(b"b\n")
            lines += [await reader.readline(), await reader.read(9)]
            reader.readuntil = lambda separator: read_until(b"3")
            theirs.send(b"c\n3")
            lines += [await reader.readline(), await reader.read(9)]
            del protocol.data_received, reader.feed_data, reader.readuntil
            theirs.send(b"d\n")
            lines += [await reader.readline()]
        transport.close()
        return lines

    assert loop.run_until_complete(main()) == [b"a\n", b"1", b"b\n", b"12", b"c\n3", b"12", b"d\n"]


# Writing


def _writer(library: ModuleType, loop: Any) -> tuple[Any, Any, Any, Transport]:
    reader = library.StreamReader(loop=loop)
    protocol = library.StreamReaderProtocol(reader, loop=loop)
    transport = Transport()
    protocol.connection_made(transport)
    return library.StreamWriter(transport, protocol, reader, loop), protocol, reader, transport


def test_drain_waits_while_there_is_no_room(loop: Any, library: ModuleType) -> None:
    writer, protocol, _, _ = _writer(library, loop)
    loop.run_until_complete(writer.drain())
    protocol.pause_writing()
    draining = [loop.create_task(writer.drain()) for _ in range(3)]
    turn(loop, 2)
    assert len(protocol._drain_waiters) == 3
    draining[1].cancel()
    turn(loop, 2)
    assert draining[1].cancelled()
    assert len(protocol._drain_waiters) == 2
    assert not draining[0].done()
    protocol.resume_writing()
    turn(loop, 2)
    assert draining[0].done()
    assert draining[2].done()
    assert not protocol._drain_waiters


@pytest.mark.parametrize("error", [None, OSError("broken")])
def test_drain_ends_with_the_connection(loop: Any, library: ModuleType, error: Any) -> None:
    writer, protocol, reader, _ = _writer(library, loop)
    protocol.pause_writing()
    draining = loop.create_task(writer.drain())
    turn(loop, 2)
    protocol.connection_lost(error)
    turn(loop, 2)
    if error is None:
        assert draining.result() is None
        with pytest.raises(ConnectionResetError, match="Connection lost"):
            loop.run_until_complete(writer.drain())
    else:
        assert draining.exception() is error
        assert reader.exception() is error
        with pytest.raises(OSError, match="broken"):
            loop.run_until_complete(writer.drain())


def test_drain_gives_the_loop_a_turn_when_the_transport_closes(
    loop: Any, library: ModuleType
) -> None:
    writer, _, _, transport = _writer(library, loop)
    transport.close()
    draining = loop.create_task(writer.drain())
    turn(loop)
    assert not draining.done()
    turn(loop)
    assert draining.done()


def test_a_writer_without_a_reader(loop: Any, library: ModuleType) -> None:
    protocol = library.StreamReaderProtocol(None, loop=loop)
    transport = Transport()
    protocol.connection_made(transport)
    writer = library.StreamWriter(transport, protocol, None, loop)
    writer.write(b"abc")
    loop.run_until_complete(writer.drain())
    assert transport.told == [b"abc"]
    protocol.data_received(b"nobody reads it")
    assert "reader" not in repr(writer)


def test_a_writer_follows_its_attributes(loop: Any, library: ModuleType) -> None:
    writer, protocol, reader, transport = _writer(library, loop)
    assert (writer._protocol, writer._reader, writer._loop) == (protocol, reader, loop)
    assert writer.transport is writer._transport is transport
    other = Transport()
    writer._transport = other
    writer.write(b"abc")
    assert other.told == [b"abc"]
    assert transport.told == []
    assert writer._complete_fut.done()
    other.close()


# Connections


def test_a_connection_is_made_of_classes_of_ours(own_loop: Any) -> None:
    made: list[Any] = []

    async def echo(reader: Any, writer: Any) -> None:
        made.extend((reader, writer))
        while data := await reader.read(1 << 18):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def main() -> bytes:
        server = await tress.asyncio.start_server(echo, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        reader, writer = await tress.asyncio.open_connection(*address)
        made.extend((reader, writer))
        message = bytes(range(256)) * 4000
        writer.write(message)
        writer.write_eof()
        answer = await reader.read()
        assert answer == message
        writer.close()
        await writer.wait_closed()
        server.close()
        return answer

    own_loop.run_until_complete(main())
    assert [type(one) for one in made] == [
        tress.asyncio.StreamReader,
        tress.asyncio.StreamWriter,
    ] * 2
    assert isinstance(made[0], asyncio.streams.StreamReader)


def test_a_reader_of_a_closed_end_stops_the_transport(loop: Any, library: ModuleType) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        reader, writer = await library.open_connection(sock=ours, limit=1000)
        theirs.setblocking(False)
        sent = 0
        while not reader._paused:
            try:
                sent += theirs.send(b"x" * 500)
            except BlockingIOError:
                pass
            await asyncio.sleep(0)
        theirs.close()
        assert len(await reader.read()) == sent
        assert not reader._paused
        writer.close()

    loop.run_until_complete(main())
