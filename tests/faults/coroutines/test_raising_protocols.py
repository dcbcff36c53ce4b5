"""A protocol that raises, in each of its methods: tress's loop does what the standard one does.

Each scene runs on both, and all that can be seen of it must be the same: what the protocol and the
exception handler are told, in which order, and what state the transport is left in.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import tress.asyncio
from tests.faults.coroutines.conftest import LIMIT_S
from tests.faults.coroutines.ends import client_tls, pair, server_tls, tcp_pair
from tests.faults.coroutines.turning import quiet

LONG = 1 << 20
"""More than the kernel takes for a unix socket or a pipe that nobody reads."""

KERNEL_TAKES = 128 << 10
"""For a TCP connection, each way: fixed, as the kernel would else let it grow with time."""

LONG_OVER_TCP = 4 << 20
"""More than it and the TLS of a peer that does not read take."""

ERRORS: list[type[BaseException]] = [
    ValueError,
    BrokenPipeError,
    asyncio.CancelledError,
    KeyboardInterrupt,
]


class Log:
    """What is seen of a scene."""

    def __init__(self, raising: str, error: type[BaseException]) -> None:
        self.raising = raising
        self.error = error
        self.lines: list[str] = []
        self.raised = 0

    def say(self, line: str) -> None:
        line = re.sub(r"0x[0-9a-f]+|f?d=\d+|pid=\d+|\bpid \d+|line \d+|\.py:\d+", "…", line)
        if not self.lines or self.lines[-1] != line:  # how the data was cut is not of interest
            self.lines.append(line)

    def has(self, *lines: str) -> bool:
        """Whether one of them was said."""
        return any(line in self.lines for line in lines)

    def handle(self, _: object, context: dict[str, Any]) -> None:
        self.say(f"handler: {context['message']}: {context.get('exception')!r}")
        self.say(f"    {sorted(set(context) - {'source_traceback'})}")

    def called(self, name: str, detail: object = "") -> None:
        self.say(f"{name}({detail})")
        # What leaves the loop does so once: the loop then goes on with what it had.
        if name == self.raising and (issubclass(self.error, Exception) or not self.raised):
            self.raised += 1
            raise self.error("from the protocol")

    def state(self, transport: Any) -> None:
        seen = [f"{transport.is_closing()=}"]
        for name in ("is_reading", "get_write_buffer_size"):
            if hasattr(transport, name):
                try:
                    value = getattr(transport, name)()
                except (NotImplementedError, AttributeError) as error:  # of TLS
                    value = 0
                    self.say(f"{name}: {type(error).__name__}")
                seen.append(f"{name}={value if value < 2 else 'many'}")
        self.say(", ".join(seen))


class Any_(asyncio.BaseProtocol):
    """The methods that every protocol has."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.log.called("connection_made")

    def connection_lost(self, exc: BaseException | None) -> None:
        self.log.called("connection_lost", repr(exc))

    def pause_writing(self) -> None:
        self.log.called("pause_writing")

    def resume_writing(self) -> None:
        self.log.called("resume_writing")


class Plain(Any_, asyncio.Protocol):
    received = 0

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self.log.called("data_received")

    def eof_received(self) -> None:
        self.log.called("eof_received")


class Buffered(Any_, asyncio.BufferedProtocol):
    room: Any = bytearray(1000)

    def get_buffer(self, sizehint: int) -> Any:
        self.log.called("get_buffer")
        return self.room

    def buffer_updated(self, nbytes: int) -> None:
        self.log.called("buffer_updated")

    def eof_received(self) -> None:
        self.log.called("eof_received")


class Datagrams(Any_, asyncio.DatagramProtocol):
    def datagram_received(self, data: bytes, address: object) -> None:
        self.log.called("datagram_received")

    def error_received(self, exc: Exception) -> None:
        self.log.called("error_received", repr(exc))


class Process(Any_, asyncio.SubprocessProtocol):
    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.log.called("pipe_data_received", fd)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self.log.called("pipe_connection_lost", f"{fd}, {exc!r}")

    def process_exited(self) -> None:
        self.log.called("process_exited")


Scene = Callable[[Log], Awaitable[None]]


async def exchange(protocol: Any_, transport: Any, theirs: socket.socket) -> None:
    """All that can happen to a connection: data, pausing, going on, data, the end."""
    log = protocol.log
    loop = asyncio.get_running_loop()
    await quiet()
    log.state(transport)
    if not transport.is_closing():
        transport.write(b"x" * LONG)
        await quiet()
        log.state(transport)
    log.say("read")
    read = 0
    while not transport.is_closing() and transport.get_write_buffer_size():
        read += len(await loop.sock_recv(theirs, 1 << 20))
    await quiet()
    log.state(transport)
    for _ in range(2):
        log.say("send")
        try:
            theirs.send(b"data")
        except BrokenPipeError:
            log.say("broken")
        await quiet()
        log.state(transport)
    log.say("end")
    try:
        theirs.shutdown(socket.SHUT_WR)
    except OSError:
        log.say("not connected")
    await quiet()
    log.state(transport)
    transport.abort()
    await quiet()
    log.state(transport)
    theirs.close()


def connection(kind: type[Any_]) -> Scene:
    async def scene(log: Log) -> None:
        ours, theirs = pair()
        protocol = kind(log)
        transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: protocol,
            sock=ours,
        )
        await exchange(protocol, transport, theirs)

    return scene


def odd_buffer(room: Any) -> Scene:
    """`get_buffer` returns what cannot be read into."""
    return connection(type("Odd", (Buffered,), {"room": room}))


def tls(kind: type[Any_]) -> Scene:
    """Each step waits for what it leads to: TCP takes its time to deliver."""

    async def scene(log: Log) -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = tcp_pair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_TAKES)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_TAKES)
        protocol = kind(log)
        client = Plain(Log("", ValueError))

        def is_open() -> bool:
            return protocol.transport is not None and not protocol.transport.is_closing()

        async def accept() -> None:
            try:
                await loop.connect_accepted_socket(lambda: protocol, ours, ssl=server_tls())
            except BaseException as error:
                log.say(f"accept: {error!r}")
                if not isinstance(error, Exception):
                    raise

        serving = asyncio.ensure_future(accept())
        there, _ = await loop.create_connection(
            lambda: client, sock=theirs, ssl=client_tls(), server_hostname="localhost"
        )
        await until(lambda: serving.done() or log.raised > 0)
        await quiet()
        serving.cancel()  # it waits for ever where its protocol's error has left the loop
        await asyncio.wait([serving])
        await quiet()
        there.pause_reading()
        written = 0
        if is_open():
            for _ in range(2):
                protocol.transport.write(b"x" * LONG_OVER_TCP)
                written += LONG_OVER_TCP
            await quiet()
            log.state(protocol.transport)
        log.say("read")
        there.resume_reading()
        await until(lambda: client.received == written or not is_open())
        await quiet()
        log.say("send")
        there.write(b"data")
        await until(lambda: log.has("data_received()", "buffer_updated()") or not is_open())
        await quiet()
        log.say("end")
        there.close()
        await until(lambda: log.has("eof_received()") or not is_open())
        await quiet()
        if protocol.transport:
            log.state(protocol.transport)
            protocol.transport.abort()
        there.abort()
        await quiet()

    return scene


async def datagrams(log: Log) -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
    for end in (ours, theirs):
        end.bind("")  # to a name that the kernel chooses
        end.setblocking(False)
    ours.connect(theirs.getsockname())
    theirs.connect(ours.getsockname())
    protocol = Datagrams(log)
    transport, _ = await loop.create_datagram_endpoint(lambda: protocol, sock=ours)
    await quiet()
    transport.set_write_buffer_limits(high=1000)  # type: ignore[attr-defined]
    for _ in range(5000):
        if transport.get_write_buffer_size() > 2000:  # type: ignore[attr-defined]
            break
        transport.sendto(b"x" * 500)
    log.state(transport)
    log.say("read")
    while transport.get_write_buffer_size():  # type: ignore[attr-defined]
        await loop.sock_recv(theirs, 1000)
    await quiet()
    for _ in range(2):
        log.say("send")
        if not transport.is_closing():
            theirs.send(b"data")
        await quiet()
        log.state(transport)
    theirs.close()
    log.say("nobody there")
    if not transport.is_closing():
        try:
            transport.sendto(b"x")
        except (ValueError, BrokenPipeError, asyncio.CancelledError) as error:
            log.say(f"sendto: {error!r}")  # error_received was called by it
        await quiet()
    log.state(transport)
    transport.abort()
    await quiet()


async def pipe_read(log: Log) -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = os.pipe()
    protocol = Plain(log)
    transport, _ = await loop.connect_read_pipe(lambda: protocol, os.fdopen(ours, "rb", 0))
    await quiet()
    for _ in range(2):
        if not transport.is_closing():
            os.write(theirs, b"data")
        await quiet()
        log.state(transport)
    os.close(theirs)
    await quiet()
    log.state(transport)
    transport.close()
    await quiet()


async def pipe_written(log: Log) -> None:
    loop = asyncio.get_running_loop()
    theirs, ours = os.pipe()
    os.set_blocking(theirs, False)
    protocol = Plain(log)
    transport, _ = await loop.connect_write_pipe(lambda: protocol, os.fdopen(ours, "wb", 0))
    await quiet()
    try:
        transport.write(b"x" * LONG)
    except KeyboardInterrupt:
        os.close(theirs)  # `pause_writing` was called by it
        raise
    await quiet()
    log.state(transport)
    log.say("read")
    while transport.get_write_buffer_size() > 0 and not transport.is_closing():
        with contextlib.suppress(BlockingIOError):
            os.read(theirs, 1 << 20)
        await asyncio.sleep(0)
    await quiet()
    log.state(transport)
    os.close(theirs)
    await quiet()
    log.state(transport)
    if not transport.is_closing():
        transport.abort()
    await quiet()


async def process(log: Log) -> None:
    loop = asyncio.get_running_loop()
    protocol = Process(log)
    program = "import os; os.write(1, b'out'); os.read(0, 1); os.write(2, b'err'); os.read(0, 1)"
    starting = asyncio.ensure_future(
        loop.subprocess_exec(lambda: protocol, sys.executable, "-S", "-c", program)
    )
    try:
        await asyncio.wait_for(starting, 20)
    except BaseException as error:
        log.say(f"start: {error!r}")
        if not isinstance(error, Exception):
            raise
    transport = protocol.transport
    if transport is None:
        return
    await until_seen(log, "pipe_data_received(1)")
    for end in ("pipe_data_received(2)", "process_exited()"):
        stdin = transport.get_pipe_transport(0)
        if stdin is not None and not stdin.is_closing():
            stdin.write(b"x")
        await until_seen(log, end)
    await quiet()
    transport.close()
    await quiet()
    log.say(f"{transport.is_closing()=}, {transport.get_returncode()=}")
    log.lines.sort()  # three pipes and an exit: these race with one another


async def until_seen(log: Log, line: str) -> None:
    """Methods are seen before they raise, and so each is seen, in the end."""
    await until(lambda: log.has(line))


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        await asyncio.sleep(0.001)


STREAM = ["connection_made", "eof_received", "connection_lost", "pause_writing", "resume_writing"]

SCENES: dict[str, tuple[Scene, list[str]]] = {
    "connection": (connection(Plain), [*STREAM, "data_received"]),
    "buffered connection": (connection(Buffered), [*STREAM, "get_buffer", "buffer_updated"]),
    "TLS": (tls(Plain), [*STREAM, "data_received"]),
    "buffered TLS": (tls(Buffered), [*STREAM, "get_buffer", "buffer_updated"]),
    "datagrams": (
        datagrams,
        [
            *("connection_made", "connection_lost", "pause_writing", "resume_writing"),
            *("datagram_received", "error_received"),
        ],
    ),
    "pipe that is read": (
        pipe_read,
        ["connection_made", "data_received", "eof_received", "connection_lost"],
    ),
    "pipe that is written": (
        pipe_written,
        ["connection_made", "pause_writing", "resume_writing", "connection_lost"],
    ),
}


def observe(loop: Any, scene: Scene, log: Log) -> list[str]:
    """Run a scene to its end, going on after what leaves the loop; what was seen."""
    loop.set_exception_handler(log.handle)
    task = loop.create_task(asyncio.wait_for(scene(log), LIMIT_S))
    try:
        while not task.done():
            try:
                loop.run_until_complete(task)
            except (KeyboardInterrupt, SystemExit) as error:
                log.say(f"left the loop: {error!r}")
        log.say(f"scene: {'cancelled' if task.cancelled() else repr(task.exception())}")
        loop.run_until_complete(quiet())
    finally:
        loop.close()
    return log.lines


CASES = [(scene, method) for scene, (_, methods) in SCENES.items() for method in methods]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
@pytest.mark.parametrize(("scene", "method"), CASES)
def test_raising(scene: str, method: str, error: type[BaseException]) -> None:
    what, _ = SCENES[scene]
    standard, ours = Log(method, error), Log(method, error)
    expected = observe(asyncio.SelectorEventLoop(), what, standard)
    seen = observe(tress.asyncio.SelectorEventLoop(), what, ours)
    if (method, error) == ("resume_writing", KeyboardInterrupt) and "connection" in scene:
        # The standard library's has nothing left to write, and calls what writes in every turn,
        # which fails each time. That is not done here; the rest is the same.
        expected = [line for line in expected if not ENDLESS.search(line)]
    assert seen == expected
    assert standard.raised >= 1


ENDLESS = re.compile(
    r"callback _SelectorSocketTransport\._write_\w+\(\): .*Data should not be empty"
    r"|    \['exception', 'handle', 'message'\]"
)

ROOMS: dict[str, Any] = {
    "empty": bytearray(),
    "read-only": b"1234",
    "text": "text",
    "None": None,
    "a list": [1, 2],
    "of one byte": bytearray(1),
}


@pytest.mark.parametrize("room", ROOMS)
def test_buffers_that_are_none(room: str) -> None:
    """The same class of error, and the same calls; the words are each library's own."""
    scene = odd_buffer(ROOMS[room])
    standard, ours = Log("", ValueError), Log("", ValueError)
    expected = observe(asyncio.SelectorEventLoop(), scene, standard)
    seen = observe(tress.asyncio.SelectorEventLoop(), scene, ours)
    assert [without_words(line) for line in seen] == [without_words(line) for line in expected]
    assert "get_buffer()" in expected


def without_words(line: str) -> str:
    return re.sub(r"^handler: .*: (\w+)\(.*|(\w+Error)\(.*", r"\1\2", line)


PROCESS = [
    *("connection_made", "pipe_data_received", "pipe_connection_lost", "process_exited"),
    "connection_lost",
]


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError, KeyboardInterrupt])
@pytest.mark.parametrize("method", PROCESS)
def test_raising_about_a_process(method: str, error: type[BaseException]) -> None:
    standard, ours = Log(method, error), Log(method, error)
    expected = observe(asyncio.SelectorEventLoop(), process, standard)
    assert observe(tress.asyncio.SelectorEventLoop(), process, ours) == expected
    assert standard.raised >= 1
