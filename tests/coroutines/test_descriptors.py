"""Watching file descriptors."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.coroutines.conftest import turn


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    yield ours, theirs
    for end in (ours, theirs):
        end.close()


Pair = tuple[socket.socket, socket.socket]


def test_a_reader_is_called_as_long_as_there_is_something_to_read(loop: Any, pair: Pair) -> None:
    ours, theirs = pair
    called: list[str] = []
    loop.add_reader(ours, called.append, "read")
    turn(loop)
    assert called == []
    theirs.send(b"x")
    turn(loop)
    turn(loop)
    assert called == ["read", "read"]
    ours.recv(10)
    turn(loop)
    assert called == ["read", "read"]
    assert loop.remove_reader(ours)
    assert not loop.remove_reader(ours)
    theirs.send(b"x")
    turn(loop)
    assert called == ["read", "read"]


def test_reader_and_writer_of_one_descriptor(loop: Any, pair: Pair) -> None:
    ours, theirs = pair
    called: list[str] = []
    loop.add_reader(ours.fileno(), called.append, "read")
    loop.add_writer(ours.fileno(), called.append, "write")
    theirs.send(b"x")
    turn(loop)
    assert called == ["read", "write"]
    loop.remove_reader(ours)
    turn(loop)
    assert called == ["read", "write", "write"]
    loop.remove_writer(ours)
    turn(loop)
    assert called == ["read", "write", "write"]


def test_another_reader_takes_the_place(loop: Any, pair: Pair) -> None:
    ours, theirs = pair
    called: list[str] = []
    loop.add_reader(ours, called.append, "first")
    loop.add_reader(ours, called.append, "second")
    theirs.send(b"x")
    turn(loop)
    assert called == ["second"]


def test_a_reader_that_is_removed_in_the_same_turn_is_not_called(loop: Any) -> None:
    pairs = [socket.socketpair() for _ in range(2)]
    called: list[int] = []

    def call(number: int) -> None:
        called.append(number)
        loop.remove_reader(pairs[1 - number][0])

    for number, (ours, theirs) in enumerate(pairs):
        loop.add_reader(ours, call, number)
        theirs.send(b"x")
    turn(loop)
    assert len(called) == 1
    for ends in pairs:
        loop.remove_reader(ends[0])
        for end in ends:
            end.close()


def test_the_end_of_the_other_side_wakes_both(loop: Any, pair: Pair) -> None:
    ours, theirs = pair
    called: list[str] = []
    loop.add_reader(ours, called.append, "read")
    loop.add_writer(ours, called.append, "write")
    theirs.close()
    turn(loop)
    assert called == ["read", "write"]


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


def test_what_cannot_be_watched(loop: Any) -> None:
    with pytest.raises(ValueError, match="Invalid file descriptor: -1"):
        loop.add_reader(-1, print)
    with pytest.raises(ValueError, match="Invalid file object"):
        loop.add_reader("stdin", print)


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
