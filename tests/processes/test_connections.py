"""Pipe and Connection: messages within a process and between two."""

from __future__ import annotations

import array
import gc
import os
import pickle
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import (
    connection as standard,
    forkserver,
    reduction,
    resource_sharer,
    resource_tracker,
)
from pathlib import Path
from typing import Any

import pytest

import tress
import tress.multiprocessing as mp
from tests.processes import peers
from tests.processes.jobs import BOUND_S
from tests.threads.ordering import Runner, until
from tress.multiprocessing import connection

pytestmark = pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")

Start = Callable[..., Any]
LARGE = bytes(range(256)) * 20_000

OBJECTS = [
    None,
    (1, "two", 3.0, b"4", [5, {"six": (7,)}], True),
    2**100,
    {1, 2},
    frozenset([3]),
    range(4),
    Path("five"),
    array.array("d", [6.0]),
    [list(range(1000))] * 3,
    ValueError("seven"),
]


@pytest.fixture(params=[True, False], ids=["duplex", "simplex"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Any]]:
    """One end to receive at, and one to send from."""
    receiver, sender = mp.Pipe(request.param)
    with receiver, sender:
        yield receiver, sender


@pytest.fixture
def pair() -> Iterator[tuple[Any, Any]]:
    one, other = mp.Pipe()
    with one, other:
        yield one, other


@pytest.fixture(autouse=True)
def _leaves_no_descriptor() -> Iterator[None]:
    # Both stay, once there are any.
    resource_tracker.ensure_running()
    forkserver.ensure_running()
    before = len(os.listdir("/proc/self/fd"))
    yield
    # The frames of a test that has caught something.
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_what_they_are(ctx: Any) -> None:
    one, other = ctx.Pipe()
    receiver, sender = ctx.Pipe(duplex=False)
    for end in (one, other, receiver, sender):
        assert type(end) is connection.Connection
        assert isinstance(end, standard.Connection)
    assert (one.readable, one.writable, other.readable, other.writable) == (True,) * 4
    assert (receiver.readable, receiver.writable) == (True, False)
    assert (sender.readable, sender.writable) == (False, True)
    for end in (one, other, receiver, sender):
        assert not end.closed
        assert not os.get_inheritable(end.fileno())
        with end as entered:
            assert entered is end
        assert end.closed
        end.close()


@pytest.mark.parametrize("value", OBJECTS, ids=lambda value: type(value).__name__)
def test_objects(ends: tuple[Any, Any], value: object) -> None:
    receiver, sender = ends
    sender.send(value)
    got = receiver.recv()
    assert type(got) is type(value)
    assert got == value or repr(got) == repr(value)


@pytest.mark.parametrize("value", OBJECTS, ids=lambda value: type(value).__name__)
def test_what_travels_is_what_the_standard_one_sends(pair: tuple[Any, Any], value: object) -> None:
    ours, theirs = pair[0], standard.Connection(os.dup(pair[1].fileno()))
    with theirs:
        ours.send(value)
        assert theirs.recv_bytes() == bytes(reduction.ForkingPickler.dumps(value))
        theirs.send(value)
        assert ours.recv_bytes() == bytes(reduction.ForkingPickler.dumps(value))
        for message in (b"", b"x" * 16384, b"x" * 16385):
            theirs.send_bytes(message)
            assert ours.recv_bytes() == message
            ours.send_bytes(message)
            assert theirs.recv_bytes() == message


def test_messages_keep_their_bounds_and_their_order(ends: tuple[Any, Any]) -> None:
    receiver, sender = ends
    messages = [b"x" * size for size in (0, 1, 4, 5, 1000, 0, 16384, 16385)]
    for message in messages:
        sender.send_bytes(message)
    assert [receiver.recv_bytes() for _ in messages] == messages
    assert receiver.poll() is False


def test_large_messages(ends: tuple[Any, Any]) -> None:
    receiver, sender = ends
    for _ in range(3):
        sending = Runner(sender.send_bytes, LARGE)
        assert receiver.recv_bytes() == LARGE
        sending.result()
        sending = Runner(sender.send, LARGE)
        assert receiver.recv() == LARGE
        sending.result()
        sending = Runner(sender.send_bytes, LARGE)
        into = bytearray(len(LARGE) + 2)
        assert receiver.recv_bytes_into(into, 1) == len(LARGE)
        assert into == b"\0" + LARGE + b"\0"
        sending.result()


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_parts_of_buffers(ends: tuple[Any, Any], kind: Any) -> None:
    receiver, sender = ends
    data = kind(b"0123456789")
    for arguments, expected in (
        ((), b"0123456789"),
        ((3,), b"3456789"),
        ((10,), b""),
        ((2, 5), b"23456"),
        ((2, 0), b""),
        ((2, None), b"23456789"),
    ):
        sender.send_bytes(data, *arguments)
        assert receiver.recv_bytes() == expected
    sender.send_bytes(buf=data, offset=8, size=1)
    assert receiver.recv_bytes(maxlength=1) == b"8"
    for arguments, text in (
        ((-1,), "offset is negative"),
        ((11,), "buffer length < offset"),
        ((0, -1), "size is negative"),
        ((0, 11), r"buffer length < offset \+ size"),
        ((4, 7), r"buffer length < offset \+ size"),
    ):
        with pytest.raises(ValueError, match=text):
            sender.send_bytes(data, *arguments)
    with pytest.raises(TypeError):
        sender.send_bytes("text")
    with pytest.raises(BufferError):
        sender.send_bytes(memoryview(b"abcd")[::2])
    assert receiver.poll() is False


def test_buffers_of_larger_items(ends: tuple[Any, Any]) -> None:
    receiver, sender = ends
    numbers = array.array("i", range(5))
    sender.send_bytes(numbers)
    sender.send_bytes(numbers, 4, 8)
    sender.send_bytes(numbers)
    into = array.array("i", [9] * 6)
    assert receiver.recv_bytes_into(into) == 20
    assert list(into) == [0, 1, 2, 3, 4, 9]
    assert receiver.recv_bytes_into(into, 8) == 8
    assert list(into) == [0, 1, 1, 2, 4, 9]
    with pytest.raises(mp.BufferTooShort) as caught:
        receiver.recv_bytes_into(into, 8)
    assert caught.value.args == (numbers.tobytes(),)


def test_a_buffer_that_is_too_short_gets_nothing(ends: tuple[Any, Any]) -> None:
    receiver, sender = ends
    sender.send_bytes(b"too long")
    sender.send_bytes(b"next")
    into = bytearray(8)
    with pytest.raises(mp.BufferTooShort) as caught:
        receiver.recv_bytes_into(into, 1)
    assert caught.value.args == (b"too long",)
    assert into == bytes(8)
    assert receiver.recv_bytes_into(into, 4) == 4
    for offset, text in ((-1, "negative offset"), (9, "offset too large")):
        with pytest.raises(ValueError, match=text):
            receiver.recv_bytes_into(into, offset)
    with pytest.raises(TypeError):
        receiver.recv_bytes_into("text")


def test_only_what_an_end_is_for(ends: tuple[Any, Any]) -> None:
    call: Any
    receiver, sender = mp.Pipe(duplex=False)
    with receiver, sender:
        for call in (sender.recv, sender.recv_bytes, sender.poll):
            with pytest.raises(OSError, match=r"^connection is write-only$"):
                call()
        with pytest.raises(OSError, match=r"^connection is write-only$"):
            sender.recv_bytes_into(bytearray(1))
        for call in (receiver.send, receiver.send_bytes):
            with pytest.raises(OSError, match=r"^connection is read-only$"):
                call(b"x")
    for call in (receiver.recv, receiver.recv_bytes, receiver.poll, receiver.fileno):
        with pytest.raises(OSError, match=r"^handle is closed$"):
            call()
    for call in (sender.send, sender.send_bytes, sender._send_bytes):
        with pytest.raises(OSError, match=r"^handle is closed$"):
            call(b"x")
    for arguments in ((-1,), (0, False, False)):
        with pytest.raises(ValueError, match=r"handle|at least one"):
            connection.Connection(*arguments)
    with pytest.raises(ValueError, match="negative maxlength"):
        ends[0].recv_bytes(-1)


def test_poll(ends: tuple[Any, Any]) -> None:
    receiver, sender = ends
    assert receiver.poll() is False
    assert receiver.poll(0) is False
    assert receiver.poll(-1) is False
    start = time.monotonic()
    assert receiver.poll(0.05) is False
    assert time.monotonic() - start >= 0.05
    waiting = [Runner(receiver.poll, timeout) for timeout in (None, BOUND_S)]
    until(lambda: len(waits("Connection.poll")) == 2, "both wait")
    sender.send(1)
    assert [one.result() for one in waiting] == [True, True]
    assert receiver.poll() is True
    receiver.recv()
    with pytest.raises(TypeError):
        receiver.poll("soon")
    sender.close()
    assert receiver.poll() is True
    with pytest.raises(EOFError):
        receiver.recv()


def waits(operation: str) -> list[Any]:
    return [wait for wait in tress.waits() if wait.operation == operation]


def test_a_wait_can_be_seen(ends: tuple[Any, Any]) -> None:
    receiver, sender = ends
    for method in ("recv", "recv_bytes"):
        waiting = Runner(getattr(receiver, method))
        until(lambda name=method: waits(f"Connection.{name}"), "it waits")  # type: ignore[misc]
        sender.send(None)
        waiting.result()
        assert not waits(f"Connection.{method}")


def test_the_end_of_a_stream(ends: tuple[Any, Any]) -> None:
    receiver, sender = ends
    sender.send_bytes(b"last")
    waiting = Runner(lambda: [receiver.recv_bytes(), receiver.recv_bytes()])
    until(lambda: waits("Connection.recv_bytes"), "it waits")
    sender.close()
    with pytest.raises(EOFError):
        waiting.result()


def test_nobody_to_read(ends: tuple[Any, Any]) -> None:
    receiver, sender = ends
    sending = Runner(sender.send_bytes, LARGE)
    until(lambda: waits("Connection.send_bytes"), "it waits")
    receiver.close()
    with pytest.raises((BrokenPipeError, ConnectionResetError)) as caught:
        sending.result()
    assert caught.value.errno
    with pytest.raises(BrokenPipeError) as again:
        sender.send(1)
    assert again.value.strerror == os.strerror(again.value.errno or 0)


BAD = {
    "negative": struct.pack("!i", -2),
    "least": struct.pack("!i", -(2**31)),
    "huge": struct.pack("!iQ", -1, 2**63),
}


@pytest.mark.parametrize("head", BAD.values(), ids=BAD)
def test_a_malformed_length_closes_one_connection(ends: tuple[Any, Any], head: bytes) -> None:
    receiver, sender = ends
    os.write(sender.fileno(), head + b"rest")
    with pytest.raises(OSError, match=r"^bad message length$"):
        receiver.recv()
    assert not receiver.readable or receiver.closed
    with pytest.raises(OSError, match=r"write-only|closed"):
        receiver.recv()
    one, other = mp.Pipe()
    with one, other:
        one.send(1)
        assert other.recv() == 1


def test_a_length_beyond_all_memory_is_refused(pair: tuple[Any, Any]) -> None:
    receiver, sender = pair
    os.write(sender.fileno(), struct.pack("!iQ", -1, 2**62))
    with pytest.raises(MemoryError):
        receiver.recv_bytes()
    with pytest.raises(OSError, match=r"write-only"):
        receiver.recv_bytes()
    # It still sends.
    receiver.send(1)
    assert sender.recv() == 1


def test_a_length_that_is_not_kept_costs_nothing(pair: tuple[Any, Any]) -> None:
    receiver, sender = pair
    os.write(sender.fileno(), struct.pack("!i", 2**31 - 1) + b"x")
    sender.close()
    with pytest.raises(OSError, match=r"^got end of file during message$"):
        receiver.recv_bytes()


def test_a_message_longer_than_asked_for(ends: tuple[Any, Any]) -> None:
    receiver, sender = ends
    sender.send_bytes(b"12345")
    assert receiver.recv_bytes(5) == b"12345"
    sender.send_bytes(b"123456")
    with pytest.raises(OSError, match=r"^bad message length$"):
        receiver.recv_bytes(5)
    with pytest.raises(OSError, match=r"write-only|closed"):
        receiver.recv_bytes()


def test_what_cannot_be_pickled_sends_nothing(ends: tuple[Any, Any]) -> None:
    receiver, sender = ends
    for value in (lambda: None, [1, (2, threading.Lock())]):
        with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
            sender.send(value)
    sender.send_bytes(b"no pickle")
    with pytest.raises(pickle.UnpicklingError):
        receiver.recv()
    sender.send(1)
    assert receiver.recv() == 1


class _Odd:
    pass


def _one(_: object) -> Any:
    return int, (1,)


def test_reducers_and_picklers_of_programs(
    pair: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = pair
    reducers: Any = reduction.ForkingPickler
    monkeypatch.setitem(reducers._extra_reducers, _Odd, _one)
    one.send([_Odd()])
    assert other.recv() == [1]

    class Mine(reduction.ForkingPickler):
        @classmethod
        def dumps(cls, obj: Any, protocol: Any = None) -> Any:
            return b"mine"

        loads = staticmethod(bytes)  # type: ignore[assignment]

    monkeypatch.setattr(standard, "_ForkingPickler", Mine)
    one.send(1)
    assert other.recv() == b"mine"


def test_a_descriptor_that_is_not_to_wait(pair: tuple[Any, Any]) -> None:
    one, other = pair
    os.set_blocking(one.fileno(), False)
    with pytest.raises(BlockingIOError):
        one.recv()
    with pytest.raises(BlockingIOError):
        one.send_bytes(LARGE)
    assert os.get_blocking(other.fileno())


def test_other_descriptors(tmp_path: Path) -> None:
    path = tmp_path / "messages"
    with connection.Connection(os.open(path, os.O_WRONLY | os.O_CREAT), readable=False) as writer:
        writer.send([1, 2])
        writer.send_bytes(LARGE)
    with connection.Connection(os.open(path, os.O_RDONLY), writable=False) as reader:
        assert reader.poll()
        assert reader.recv() == [1, 2]
        assert reader.recv_bytes() == LARGE
        with pytest.raises(EOFError):
            reader.recv()


def test_a_dropped_connection_is_closed() -> None:
    one, other = mp.Pipe()
    del one
    with other, pytest.raises(EOFError):
        other.recv()


def test_between_processes(ctx: Any, start: Start) -> None:
    for echo in (peers.echo, peers.echo_bytes):
        ours, theirs = ctx.Pipe()
        start(echo, theirs)
        theirs.close()
        with ours:
            for value in OBJECTS[:6] if echo is peers.echo else [b"", b"x", LARGE]:
                sending = Runner(ours.send if echo is peers.echo else ours.send_bytes, value)
                assert (ours.recv if echo is peers.echo else ours.recv_bytes)() == value
                sending.result()


def test_a_process_gets_the_same_kind_of_end(ctx: Any, start: Start) -> None:
    receiver, sender = ctx.Pipe(duplex=False)
    start(peers.kinds, sender)
    sender.close()
    with receiver:
        assert receiver.poll(BOUND_S)
        assert receiver.recv() == ("tress.multiprocessing.connection", False, True)
        with pytest.raises(EOFError):
            receiver.recv()


def test_connections_travel_later(ctx: Any, start: Start) -> None:
    ours, theirs = ctx.Pipe()
    start(peers.answer_through_what_comes, theirs)
    theirs.close()
    with ours:
        ours.send(2)
        for number in range(2):
            receiver, sender = ctx.Pipe(duplex=False)
            with receiver:
                ours.send(sender)
                assert receiver.poll(BOUND_S)
                assert receiver.recv() == (number, "tress.multiprocessing.connection")
                sender.close()
    resource_sharer.stop(timeout=BOUND_S)


def test_a_killed_peer(ctx: Any, start: Start) -> None:
    ours, theirs = ctx.Pipe()
    peer = start(peers.echo, theirs)
    theirs.close()
    with ours:
        ours.send(1)
        assert ours.recv() == 1
        waiting = Runner(ours.recv)
        until(lambda: waits("Connection.recv"), "it waits")
        os.kill(peer.pid, signal.SIGKILL)
        with pytest.raises((EOFError, ConnectionResetError)):
            waiting.result()
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            ours.send(1)


def test_a_peer_that_is_killed_in_the_middle_of_a_message(ctx: Any, start: Start) -> None:
    receiver, sender = ctx.Pipe(duplex=False)
    start(peers.die_in_the_middle, sender)
    sender.close()
    with receiver, pytest.raises(OSError, match=r"^got end of file during message$"):
        receiver.recv()


def test_wait() -> None:
    pipes = [mp.Pipe(duplex=False) for _ in range(3)]
    one, other = socket.socketpair()
    readers: list[Any] = [reader for reader, _ in pipes]
    everything = [*readers, one, other.fileno()]
    with one, other:
        assert connection.wait(everything, 0) == []
        start = time.monotonic()
        assert connection.wait(everything, 0.02) == []
        assert time.monotonic() - start >= 0.02
        assert connection.wait([], 0.001) == []
        waiting = Runner(connection.wait, everything)
        until(lambda: waits("connection.wait"), "it waits")
        pipes[1][1].send(1)
        assert waiting.result() == [readers[1]]
        one.send(b"x")
        pipes[2][1].close()
        assert connection.wait(iter(everything)) == [readers[1], readers[2], other.fileno()]
    with pytest.raises(KeyError, match="already registered"):
        connection.wait([readers[0], readers[0]])
    for wrong in (object(), "text"):
        with pytest.raises(ValueError, match="Invalid file object"):
            connection.wait([wrong], 0)
    with pytest.raises(ValueError, match="Invalid file descriptor: -1"):
        connection.wait([-1], 0)
    readers[0].close()
    with pytest.raises(OSError, match=r"handle is closed"):
        connection.wait(readers)
    for reader, writer in pipes:
        reader.close()
        writer.close()


def test_a_sentinel_can_be_waited_for(ctx: Any, start: Start) -> None:
    ours, theirs = ctx.Pipe()
    peer = start(peers.echo, theirs)
    theirs.close()
    with ours:
        assert connection.wait([peer.sentinel, ours], 0) == []
        peer.kill()
    assert connection.wait([peer.sentinel], BOUND_S) == [peer.sentinel]
