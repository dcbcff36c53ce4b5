"""Lock, beside the standard library's."""

from __future__ import annotations

import inspect
import sys
import threading
import weakref
from types import ModuleType
from typing import Any

import pytest

import tress
import tress.threading
from tests.threads.ordering import (
    Attempt,
    Runner,
    blocked,
    is_ours,
    outcome,
    until,
    waiters,
)

LATER = 0.01


def test_acquire_takes_and_release_frees(library: ModuleType) -> None:
    lock = library.Lock()
    assert not lock.locked()
    assert lock.acquire() is True
    assert lock.locked()
    assert lock.release() is None
    assert not lock.locked()


def test_with_takes_and_frees(library: ModuleType) -> None:
    lock = library.Lock()
    with lock as entered:
        assert entered is True
        assert lock.locked()
    assert not lock.locked()
    with pytest.raises(ZeroDivisionError), lock:
        1 / 0  # noqa: B018
    assert not lock.locked()


def test_a_held_lock_is_not_had(library: ModuleType) -> None:
    lock = library.Lock()
    lock.acquire()
    assert lock.acquire(False) is False
    assert lock.acquire(blocking=False) is False
    assert lock.acquire(0) is False
    assert lock.acquire(True, LATER) is False
    assert lock.acquire(timeout=0) is False
    assert lock.acquire(timeout=LATER) is False
    lock.release()
    assert lock.acquire(True, LATER) is True
    lock.release()
    assert lock.acquire(timeout=threading.TIMEOUT_MAX) is True


def test_any_thread_may_release(library: ModuleType) -> None:
    lock = library.Lock()
    Runner(lock.acquire).result()
    assert lock.locked()
    lock.release()
    lock.acquire()
    Runner(lock.release).result()
    assert not lock.locked()


def test_a_waiter_gets_the_lock(library: ModuleType) -> None:
    lock = library.Lock()
    lock.acquire()
    waiter = blocked(lock.acquire)
    lock.release()
    assert waiter.result() is True
    assert lock.locked()


def test_a_waiter_with_a_timeout_gets_the_lock(library: ModuleType) -> None:
    lock = library.Lock()
    lock.acquire()
    waiter = blocked(lock.acquire, True, 1000)
    lock.release()
    assert waiter.result() is True


@pytest.mark.parametrize("threads", [2, 8])
def test_one_at_a_time(library: ModuleType, threads: int) -> None:
    lock = library.Lock()
    inside = 0
    most = 0
    total = 0

    def work() -> None:
        nonlocal inside, most, total
        for _ in range(300):
            with lock:
                inside += 1
                most = max(most, inside)
                before = total
                # A place to be interrupted at, so that a lock that lets two in loses an addition.
                sum(range(20))
                total = before + 1
                inside -= 1

    for runner in [Runner(work) for _ in range(threads)]:
        runner.result()
    assert (most, total) == (1, threads * 300)


ATTEMPTS: list[Attempt] = [
    lambda library: library.Lock().release(),
    lambda library: library.Lock().release_lock(),
    lambda library: library.Lock().__exit__(None, None, None),
    lambda library: library.Lock().__exit__(),
    lambda library: library.Lock().acquire(False, 1),
    lambda library: library.Lock().acquire(False, timeout=1),
    lambda library: library.Lock().acquire(False, -1),
    lambda library: library.Lock().acquire(False, 0),
    lambda library: library.Lock().acquire(timeout=-2),
    lambda library: library.Lock().acquire(timeout=-0.5),
    lambda library: library.Lock().acquire(timeout=-1),
    lambda library: library.Lock().acquire(timeout=-1.0),
    lambda library: library.Lock().acquire(timeout=0),
    lambda library: library.Lock().acquire(timeout=threading.TIMEOUT_MAX),
    lambda library: library.Lock().acquire(timeout=threading.TIMEOUT_MAX + 1),
    lambda library: library.Lock().acquire(timeout=1e100),
    lambda library: library.Lock().acquire(timeout=float("inf")),
    lambda library: library.Lock().acquire(timeout=float("nan")),
    lambda library: library.Lock().acquire(timeout=10**100),
    lambda library: library.Lock().acquire(timeout=None),
    lambda library: library.Lock().acquire(timeout="1"),
    lambda library: library.Lock().acquire(1),
    lambda library: library.Lock().acquire(True, True),
    lambda library: library.Lock().acquire(True, 1, 1),
    lambda library: library.Lock().acquire(wait=True),
    lambda library: library.Lock().locked_lock(),
    lambda library: library.Lock().acquire_lock(),
    lambda library: library.Lock().acquire_lock(False),
    lambda library: library.Lock().locked(1),
    lambda library: library.Lock(1),
    lambda library: library.Lock(value=1),
    lambda library: library.Lock()._at_fork_reinit(),
    lambda library: setattr(library.Lock(), "extra", 1),
    lambda library: hash(library.Lock()) and None,
    lambda library: library.Lock() == library.Lock(),
    lambda library: type("Sub", (type(library.Lock()),), {}),
    lambda library: type(library.Lock())() and None,
    lambda library: __import__("pickle").dumps(library.Lock()),
    lambda library: __import__("copy").copy(library.Lock()),
]


@pytest.mark.parametrize(
    "attempt", ATTEMPTS, ids=lambda attempt: str(attempt.__code__.co_firstlineno)
)
def test_calls_come_to_the_same(attempt: Attempt) -> None:
    assert outcome(attempt, tress.threading) == outcome(attempt, threading)


@pytest.mark.parametrize(
    ("attempt", "text"),
    [
        (lambda lock: lock.release(), "release unlocked lock"),
        (lambda lock: lock.acquire(False, 1), "can't specify a timeout for a non-blocking call"),
    ],
)
def test_errors_say_the_same(library: ModuleType, attempt: Attempt, text: str) -> None:
    with pytest.raises((RuntimeError, ValueError), match=text):
        attempt(library.Lock())


def test_errors_name_the_argument_and_what_was_given() -> None:
    lock = tress.threading.Lock()
    with pytest.raises(ValueError, match=r"timeout .*-1 for no timeout: -2"):
        lock.acquire(timeout=-2)
    with pytest.raises(OverflowError, match=r"timeout .*TIMEOUT_MAX"):
        lock.acquire(timeout=1e100)
    with pytest.raises(TypeError, match=r"timeout.*str"):
        lock.acquire(timeout="1")  # type: ignore[arg-type]
    assert not lock.locked()


def test_a_factory_before_3_13_and_a_type_since(library: ModuleType) -> None:
    assert isinstance(library.Lock, type) is (sys.version_info >= (3, 13))
    lock = library.Lock()
    if sys.version_info >= (3, 13):
        assert type(lock) is library.Lock


def test_signatures() -> None:
    ours, standard = tress.threading.Lock(), threading.Lock()
    for name in ("acquire", "acquire_lock"):
        shape = inspect.signature(getattr(ours, name))
        assert str(shape) == "(blocking=True, timeout=-1)"
    for name in [name for name in dir(standard) if not name.startswith("__")]:
        assert callable(getattr(ours, name)), name
        assert getattr(ours, name).__doc__, name


def test_weak_references(library: ModuleType) -> None:
    lock = library.Lock()
    reference = weakref.ref(lock)
    assert reference() is lock
    del lock
    assert reference() is None


def test_repr_tells_the_state(library: ModuleType) -> None:
    lock = library.Lock()
    assert repr(lock).startswith("<unlocked ")
    assert f"at {id(lock):#x}" in repr(lock)
    lock.acquire()
    assert repr(lock).startswith("<locked ")
    if is_ours(library):
        assert f"owner={threading.get_ident()}" in repr(lock)


def test_statistics() -> None:
    lock = tress.threading.Lock()
    free = {"locked": False, "owner": None, "task": None, "waiters": 0}
    assert lock.statistics() == free
    lock.acquire()
    assert lock.statistics() == {**free, "locked": True, "owner": threading.get_ident()}
    runners = [Runner(lock.acquire) for _ in range(3)]
    until(lambda: waiters(lock) == 3, "three wait")
    for left in (2, 1, 0):
        lock.release()
        until(lambda left=left: lock.locked() and waiters(lock) == left, "the next one has it")  # type: ignore[misc]
    for runner in runners:
        runner.result()


def test_a_timeout_leaves_no_waiter() -> None:
    lock = tress.threading.Lock()
    lock.acquire()
    for _ in range(20):
        assert not lock.acquire(timeout=0.0005)
    assert lock.statistics()["waiters"] == 0
    lock.release()
    assert lock.acquire(False)


def test_nobody_starves() -> None:
    """Whoever has waited for a millisecond is handed the lock: who releases it cannot take it back
    at once, however quick.
    """
    lock = tress.threading.Lock()
    for _ in range(20):
        lock.acquire()
        waiter = blocked(lock.acquire)
        until(
            lambda: [(w.seconds or 0) > 0.002 for w in tress.waits() if w.object is lock] == [True],
            "it has waited for long",
        )
        lock.release()
        assert lock.acquire(False) is False
        assert waiter.result() is True
        lock.release()


def test_many_timeouts_beside_releases_lose_no_lock() -> None:
    """Waits that give up at the moment of a release neither swallow the lock nor take it twice."""
    lock = tress.threading.Lock()
    taken = 0

    def grab() -> None:
        nonlocal taken
        for turn in range(200):
            if lock.acquire(timeout=0.00005 * (turn % 7)):
                before = taken
                sum(range(50))
                taken = before + 1
                lock.release()

    runners = [Runner(grab) for _ in range(4)]
    for runner in runners:
        runner.result()
    assert not lock.locked()
    assert lock.statistics()["waiters"] == 0
    assert lock.acquire(False)


def test_isinstance_of_the_type_of_the_module(library: ModuleType) -> None:
    kind: Any = type(library.Lock())
    assert kind.__name__ in ("Lock", "lock")
