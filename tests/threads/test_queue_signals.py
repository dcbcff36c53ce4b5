"""Ctrl-C in a blocking call of the main thread: the call ends, and nothing is lost or taken.

Every test waits until the main thread is in its call before it signals, and the call has no other
way to end: what is not interrupted hangs, and fails.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import tress
from tests.threads.ordering import Runner, until
from tress.queue import LifoQueue, PriorityQueue, Queue, SimpleQueue


class Interrupt(BaseException):
    """What the handler raises: no code under test catches it."""


@pytest.fixture(autouse=True)
def _handler() -> Iterator[None]:
    def handle(signum: int, frame: object) -> None:
        raise Interrupt

    before = signal.signal(signal.SIGUSR1, handle)
    yield
    signal.signal(signal.SIGUSR1, before)


def interrupted(call: Callable[[], object], also: Callable[[], object] = lambda: None) -> None:
    """Makes the main thread's call end by a signal; `also` happens right before it."""
    main = threading.get_ident()

    def interrupt() -> None:
        until(lambda: any(wait.thread_ident == main for wait in tress.waits()), "main waits")
        also()
        os.kill(os.getpid(), signal.SIGUSR1)

    other = Runner(interrupt)

    def call_and_stay() -> None:
        call()
        other.result()  # the signal arrives here if the call got what `also` brought

    with pytest.raises(Interrupt):
        call_and_stay()
    other.result()


EVERY_CLASS: list[Callable[[], Any]] = [Queue, LifoQueue, PriorityQueue, SimpleQueue]


@pytest.mark.parametrize("cls", EVERY_CLASS)
def test_get(cls: Callable[[], Any]) -> None:
    q = cls()
    interrupted(q.get)
    interrupted(lambda: q.get(timeout=60))
    assert q.statistics()["getters"] == 0
    q.put(1)
    assert q.get(timeout=30) == 1


@pytest.mark.parametrize("cls", [Queue, LifoQueue, PriorityQueue])
def test_put_and_the_rest(cls: type[Queue[int]]) -> None:
    q = cls(1)
    q.put(1)
    interrupted(lambda: q.put(2))
    interrupted(lambda: q.put(2, timeout=60))
    interrupted(q.join)
    assert q.statistics()["putters"] == 0
    assert (q.qsize(), q.unfinished_tasks) == (1, 1)
    assert q.get() == 1
    q.put(3, timeout=30)
    assert q.get(timeout=30) == 3


def test_an_open_queue() -> None:
    q: Queue[int] = Queue(1)
    with q.mutex:
        pass
    interrupted(q.get)
    q.put(1)
    interrupted(lambda: q.put(2))
    interrupted(q.join)
    assert not q.mutex.locked()
    assert q.get(timeout=30) == 1


def test_put_many_tells_what_is_not_in() -> None:
    q: Queue[int] = Queue(2)
    with pytest.raises(Interrupt) as error:
        interrupted_here(q, lambda: q.put_many(range(5)))
    assert error.value.remaining == [2, 3, 4]  # type: ignore[attr-defined]
    assert q.get_many(9) == [0, 1]


def interrupted_here(q: Queue[int], call: Callable[[], object]) -> None:
    """As `interrupted`, for a call whose exception is looked at."""

    def interrupt() -> None:
        until(lambda: q.statistics()["putters"] == 1, "main waits")
        os.kill(os.getpid(), signal.SIGUSR1)

    other = Runner(interrupt)
    try:
        call()
    finally:
        other.result()


@pytest.mark.parametrize("cls", EVERY_CLASS)
def test_an_item_that_comes_with_the_signal_is_not_lost(cls: Callable[[], Any]) -> None:
    """A put right before the signal: the item is what get returns, or still in the queue."""
    for item in range(200):
        q = cls()
        got: list[int] = []
        interrupted(lambda q=q, got=got: take(q, got), lambda q=q, item=item: q.put(item))  # type: ignore[misc]
        assert q.qsize() + len(got) == 1
        assert (got or [q.get_nowait()]) == [item]


def take(q: Any, into: list[int]) -> None:
    """Takes an item; what `get` returns is in the list before the interpreter looks for signals."""
    into.extend(map(q.get, [True]))
