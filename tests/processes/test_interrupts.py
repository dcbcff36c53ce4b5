"""Ctrl-C reaches the main thread while it waits for a process, and leaves everything usable."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import tress
import tress.multiprocessing as mp
from tests.threads.ordering import BOUND_S, Runner, until
from tress.multiprocessing import connection

CONTEXT = mp.get_context("spawn")


@pytest.fixture(autouse=True)
def interrupts() -> Iterator[None]:
    """SIGINT means KeyboardInterrupt, whoever started the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_wait() -> None:
    main = threading.main_thread().ident or 0
    try:
        until(
            lambda: any(wait.thread_ident == main for wait in tress.waits()),
            "the main thread waits",
        )
    finally:  # whatever this comes to, the main thread is to hear of it
        signal.pthread_kill(main, signal.SIGINT)


def interrupted(call: Callable[[], object]) -> None:
    helper = Runner(interrupt_wait)
    with pytest.raises(KeyboardInterrupt):
        call()
    helper.result()


@pytest.mark.parametrize("timeout", [None, BOUND_S])
@pytest.mark.parametrize("kind", ["Lock", "RLock", "Semaphore", "BoundedSemaphore"])
def test_acquire(kind: str, timeout: float | None) -> None:
    thing: Any = getattr(CONTEXT, kind)()
    Runner(thing.acquire).result()
    for _ in range(20):
        interrupted(lambda: thing.acquire(True, timeout))
    assert thing.acquire(False) is False
    assert not thing._semlock._is_mine()


def test_event() -> None:
    event = CONTEXT.Event()
    for _ in range(20):
        interrupted(event.wait)
    event.set()
    assert event.wait() is True


def test_condition() -> None:
    condition: Any = CONTEXT.Condition()
    for _ in range(20):
        with condition:
            interrupted(condition.wait)
            assert condition._lock._semlock._is_mine()
            assert condition._waiters.waiting() == 0
    assert not condition._lock._semlock._is_mine()


@pytest.mark.parametrize("duplex", [True, False])
def test_connections(duplex: bool) -> None:
    receiver, sender = CONTEXT.Pipe(duplex)
    with receiver, sender:
        for _ in range(10):
            interrupted(receiver.recv)
            interrupted(receiver.recv_bytes)
            interrupted(lambda: receiver.poll(None))
            interrupted(lambda: receiver.poll(BOUND_S))
            interrupted(lambda: connection.wait([receiver]))
        sender.send(1)
        assert receiver.recv() == 1
        interrupted(lambda: sender.send_bytes(bytes(10_000_000)))


def test_a_handler_that_returns_does_not_end_the_wait() -> None:
    lock = CONTEXT.Lock()
    lock.acquire()
    calls = []

    def release(*_: object) -> None:
        calls.append(1)
        if len(calls) == 3:
            lock.release()

    signal.signal(signal.SIGINT, release)

    def interrupt() -> None:
        for count in range(3):
            interrupt_wait()
            until(lambda count=count: len(calls) > count, "the handler has run")  # type: ignore[misc]

    helper = Runner(interrupt)
    assert lock.acquire(timeout=BOUND_S) is True
    helper.result()
