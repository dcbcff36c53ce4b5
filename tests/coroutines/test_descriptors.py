"""What is called when a descriptor is ready."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.coroutines.turns import Called, turn

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two sockets that are connected."""
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    with left, right:
        yield left, right


def test_a_reader_is_called_while_there_is_something_to_read(loop: Any, pair: Pair) -> None:
    left, right = pair
    called = Called()
    loop.add_reader(left, called, 1, "two")
    turn(loop)
    assert called.arguments == []
    right.send(b"x")
    turn(loop, 3)
    assert called.arguments == [(1, "two")] * 3
    left.recv(1)
    turn(loop)
    assert len(called.arguments) == 3
    assert loop.remove_reader(left) is True
    right.send(b"x")
    turn(loop)
    assert len(called.arguments) == 3


def test_a_sleeping_loop_is_woken(loop: Any, pair: Pair) -> None:
    left, right = pair
    loop.add_reader(left, loop.stop)
    loop.call_later(0.01, right.send, b"x")
    loop.run_forever()
    assert left.recv(1) == b"x"
    loop.remove_reader(left)


def _for_ever(function: Callable[..., object], *args: object) -> None:
    while True:
        function(*args)


def test_a_writer_is_called_while_there_is_room(loop: Any, pair: Pair) -> None:
    left, right = pair
    called = Called()
    loop.add_writer(left, called)
    turn(loop, 2)
    assert len(called.arguments) == 2
    with pytest.raises(BlockingIOError):
        _for_ever(left.send, bytes(65536))
    turn(loop)
    assert len(called.arguments) == 2
    with pytest.raises(BlockingIOError):
        _for_ever(right.recv, 65536)
    turn(loop)
    assert len(called.arguments) == 3
    assert loop.remove_writer(left) is True
    turn(loop)
    assert len(called.arguments) == 3


def test_both_directions_of_one_descriptor(loop: Any, pair: Pair) -> None:
    left, right = pair
    seen: list[str] = []
    loop.add_reader(left, seen.append, "read")
    loop.add_writer(left, seen.append, "write")
    right.send(b"x")
    turn(loop)
    assert sorted(seen) == ["read", "write"]
    seen.clear()
    loop.remove_reader(left)
    turn(loop)
    assert seen == ["write"]
    loop.add_reader(left, seen.append, "read")
    loop.remove_writer(left)
    turn(loop)
    assert seen == ["write", "read"]
    loop.remove_reader(left)


@pytest.mark.parametrize("direction", ["reader", "writer"])
def test_removing_what_is_not_there(direction: str, loop: Any, pair: Pair) -> None:
    add, remove = (getattr(loop, f"{verb}_{direction}") for verb in ("add", "remove"))
    assert remove(pair[0]) is False
    add(pair[0], print)
    assert remove(pair[0]) is True
    assert remove(pair[0]) is False
    assert remove(pair[1]) is False


def test_a_new_one_replaces_the_old(loop: Any, pair: Pair) -> None:
    left, right = pair
    old, new = Called(), Called()
    loop.add_reader(left, old)
    right.send(b"x")
    loop.add_reader(left.fileno(), new, 1)
    turn(loop)
    assert (old.arguments, new.arguments) == ([], [(1,)])
    loop.remove_reader(left)


def test_whoever_is_called_first_removes_the_other(loop: Any, new_loop: Callable[[], Any]) -> None:
    ends = [os.pipe() for _ in range(2)]
    called: list[int] = []

    def read(number: int) -> None:
        called.append(number)
        for read_end, _ in ends:
            loop.remove_reader(read_end)

    for number, (read_end, write_end) in enumerate(ends):
        os.write(write_end, b"x")
        loop.add_reader(read_end, read, number)
    turn(loop, 2)
    assert len(called) == 1
    for descriptors in ends:
        for descriptor in descriptors:
            os.close(descriptor)


def test_the_end_of_a_pipe(loop: Any) -> None:
    read_end, write_end = os.pipe()
    called = Called()
    loop.add_reader(read_end, called, "read")
    os.close(write_end)
    turn(loop)
    assert called.arguments == [("read",)]
    loop.remove_reader(read_end)
    os.close(read_end)

    read_end, write_end = os.pipe()
    loop.add_writer(write_end, called, "write")
    os.close(read_end)
    turn(loop)
    assert called.arguments == [("read",), ("write",)]
    loop.remove_writer(write_end)
    os.close(write_end)


def test_the_end_of_a_socket(loop: Any, pair: Pair) -> None:
    left, right = pair
    called = Called()
    loop.add_reader(left, called)
    right.shutdown(socket.SHUT_WR)
    turn(loop)
    assert called.arguments == [()]
    assert left.recv(1) == b""
    loop.remove_reader(left)


def test_many(loop: Any) -> None:
    """More than one look returns."""
    pairs = [socket.socketpair() for _ in range(300)]
    called: set[int] = set()
    for number, (left, right) in enumerate(pairs):
        loop.add_reader(left, called.add, number)
        right.send(b"x")
    turn(loop, 4)
    assert called == set(range(300))
    for left, right in pairs:
        assert loop.remove_reader(left)
        left.close()
        right.close()


def test_a_reader_that_fails(loop: Any, pair: Pair, contexts: list[dict[str, Any]]) -> None:
    left, right = pair
    loop.add_reader(left, int, "x")
    right.send(b"x")
    turn(loop, 2)
    assert [type(context["exception"]) for context in contexts] == [ValueError] * 2
    # Since 3.14 without the arguments.
    assert "Exception in callback int(" in contexts[0]["message"]
    loop.remove_reader(left)


def test_the_numbers_of_closed_descriptors_are_used_again(loop: Any) -> None:
    for _ in range(5):
        left, right = socket.socketpair()
        called = Called()
        loop.add_reader(left, called)
        right.send(b"x")
        turn(loop)
        assert called.arguments == [()]
        assert loop.remove_reader(left) is True
        left.close()
        right.close()


def test_removed_after_it_was_closed(loop: Any) -> None:
    for _ in range(3):
        left, right = socket.socketpair()
        number = left.fileno()
        called = Called()
        loop.add_reader(number, called)
        left.close()
        turn(loop)
        assert loop.remove_reader(number) is True
        assert loop.remove_reader(number) is False
        right.close()
        assert called.arguments == []


def test_a_copy_of_a_descriptor_is_another_one(loop: Any, pair: Pair) -> None:
    left, right = pair
    seen: list[str] = []
    with left.dup() as copy:
        loop.add_reader(left, seen.append, "left")
        loop.add_reader(copy, seen.append, "copy")
        right.send(b"x")
        turn(loop)
        assert sorted(seen) == ["copy", "left"]
        loop.remove_reader(left)
        seen.clear()
        turn(loop)
        assert seen == ["copy"]
        loop.remove_reader(copy)


BAD: dict[str, Callable[[], Any]] = {
    "negative": lambda: -1,
    "very large": lambda: 10**6,
    "text": lambda: "text",
    "none": lambda: None,
    "float": lambda: 1.5,
    "closed": lambda: _closed_socket(),
    "not an open one": lambda: _closed_number(),
}


def _closed_socket() -> socket.socket:
    made = socket.socket()
    made.close()
    return made


def _closed_number() -> int:
    with socket.socket() as made:
        return made.fileno()


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("direction", ["reader", "writer"])
def test_what_is_no_descriptor(direction: str, name: str, library: ModuleType, loop: Any) -> None:
    thing = BAD[name]()
    with pytest.raises(OSError if name in ("very large", "not an open one") else ValueError):
        getattr(loop, f"add_{direction}")(thing, print)


def test_a_file_is_always_ready_and_not_to_be_watched(loop: Any) -> None:
    with tempfile.TemporaryFile() as file, pytest.raises(PermissionError):
        loop.add_reader(file, print)


@pytest.mark.parametrize("verb", ["add_reader", "add_writer", "remove_reader", "remove_writer"])
def test_descriptors_of_transports_are_theirs(verb: str, loop: Any, pair: Pair) -> None:
    import asyncio

    left, _ = pair

    async def use() -> None:
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=left)
        with pytest.raises(RuntimeError, match="is used by transport"):
            getattr(loop, verb)(left.fileno(), *([print] if "add" in verb else []))
        transport.close()

    loop.run_until_complete(use())


def test_a_descriptor_that_was_closed_without_a_word(own_loop: Any) -> None:
    ours, theirs = socket.socketpair()
    number = ours.fileno()
    own_loop.add_reader(ours, pytest.fail, "of one that is closed")
    # In the place of the closed one comes another, as when a program is careless.
    again, other = socket.socketpair()
    os.dup2(again.fileno(), number)
    turn(own_loop)
    called: list[str] = []
    own_loop.add_writer(number, called.append, "write")
    own_loop.remove_reader(number)
    turn(own_loop)
    assert called == ["write"]
    assert own_loop.remove_writer(number)
    for end in (ours, theirs, again, other):
        end.close()


def test_a_folder_is_refused_and_all_is_as_before(loop: Any) -> None:
    folder = os.open("/", os.O_RDONLY)
    try:
        with pytest.raises(PermissionError):
            loop.add_reader(folder, print)
        assert not loop.remove_reader(folder)
    finally:
        os.close(folder)


def test_the_selector_tells_what_is_watched(own_loop: Any, pair: Pair) -> None:
    ours, _ = pair
    reader = own_loop._add_reader(ours, print)
    key = own_loop._selector.get_key(ours.fileno())
    assert key.data == (reader, None)
    own_loop._remove_reader(ours)
    with pytest.raises(KeyError):
        own_loop._selector.get_key(ours.fileno())
