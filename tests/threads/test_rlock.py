"""RLock, beside the standard library's."""

from __future__ import annotations

import sys
import threading
import weakref
from types import ModuleType
from typing import Any

import pytest

import tress.threading
from tests.threads.ordering import (
    BOUND_S,
    Attempt,
    Runner,
    blocked,
    is_ours,
    outcome,
    until,
    waiters,
)

LATER = 0.01


def times_held(lock: Any) -> int:
    """How often the calling thread holds the lock; early releases of 3.11 have no method for it."""
    if hasattr(lock, "_recursion_count"):
        count: int = lock._recursion_count()
    elif lock._is_owned():
        state = lock._release_save()
        lock._acquire_restore(state)
        count = state[0]
    else:
        count = 0
    return count


def test_its_owner_takes_it_again(library: ModuleType) -> None:
    lock = library.RLock()
    assert lock.acquire() is True
    assert lock.acquire() is True
    assert lock.acquire(False) is True
    assert lock.acquire(timeout=LATER) is True
    with lock as entered:
        assert entered is True
        assert times_held(lock) == 5
    for left in (3, 2, 1, 0):
        assert Runner(lock.acquire, False).result() is False
        assert lock.release() is None
        assert times_held(lock) == left
    assert not lock._is_owned()
    with pytest.raises(RuntimeError, match="cannot release un-acquired lock"):
        lock.release()


def test_another_thread_waits_for_all_releases(library: ModuleType) -> None:
    lock = library.RLock()
    lock.acquire()
    lock.acquire()
    waiter = blocked(lock.acquire)
    lock.release()
    assert waiter.is_running
    lock.release()
    assert waiter.result() is True
    assert not lock._is_owned()
    assert times_held(lock) == 0


def test_another_thread_cannot_release(library: ModuleType) -> None:
    lock = library.RLock()
    lock.acquire()
    with pytest.raises(RuntimeError, match="cannot release un-acquired lock"):
        Runner(lock.release).result()
    assert lock._is_owned()
    lock.release()


def test_a_held_lock_is_not_had(library: ModuleType) -> None:
    lock = library.RLock()
    lock.acquire()
    for arguments in [(False,), (True, 0), (True, LATER)]:
        assert Runner(lock.acquire, *arguments).result() is False
    assert times_held(lock) == 1


def test_release_save_and_acquire_restore(library: ModuleType) -> None:
    lock = library.RLock()
    for _ in range(3):
        lock.acquire()
    state = lock._release_save()
    assert not lock._is_owned()
    with pytest.raises(RuntimeError, match="cannot release un-acquired lock"):
        lock._release_save()
    lock._acquire_restore(state)
    assert times_held(lock) == 3
    if is_ours(library):
        with pytest.raises(RuntimeError, match="cannot release un-acquired lock"):
            Runner(lock._release_save).result()


def test_acquire_restore_waits(library: ModuleType) -> None:
    lock = library.RLock()
    for _ in range(3):
        lock.acquire()
    state = lock._release_save()

    main = threading.main_thread().ident
    held = threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            if is_ours(library):
                until(lambda: main in {wait.thread_ident for wait in tress.waits()}, "main waits")

    holder = Runner(hold)
    assert held.wait(BOUND_S)
    lock._acquire_restore(state)
    assert times_held(lock) == 3
    holder.result()
    for _ in range(3):
        lock.release()
    assert not lock._is_owned()


def test_deep(library: ModuleType) -> None:
    lock = library.RLock()
    for _ in range(10_000):
        lock.acquire()
    assert times_held(lock) == 10_000
    for _ in range(9_999):
        lock.release()
    assert Runner(lock.acquire, False).result() is False
    lock.release()
    assert Runner(lock.acquire, False).result() is True


def test_one_at_a_time(library: ModuleType) -> None:
    lock = library.RLock()
    total = 0

    def work() -> None:
        nonlocal total
        for _ in range(300):
            with lock, lock:
                before = total
                sum(range(20))
                total = before + 1

    for runner in [Runner(work) for _ in range(6)]:
        runner.result()
    assert total == 1800


@pytest.mark.skipif(sys.version_info < (3, 14), reason="RLock.locked came with 3.14")
def test_locked(library: ModuleType) -> None:
    lock = library.RLock()
    assert lock.locked() is False
    lock.acquire()
    assert lock.locked() is True
    assert Runner(lock.locked).result() is True
    lock.release()
    assert lock.locked() is False


ATTEMPTS: list[Attempt] = [
    lambda library: library.RLock().release(),
    lambda library: library.RLock().__exit__(None, None, None),
    lambda library: library.RLock()._release_save(),
    lambda library: library.RLock().acquire(False, 1),
    lambda library: library.RLock().acquire(False, -1),
    lambda library: library.RLock().acquire(timeout=-2),
    lambda library: library.RLock().acquire(timeout=1e100),
    lambda library: library.RLock().acquire(timeout=float("nan")),
    lambda library: library.RLock().acquire(timeout=None),
    lambda library: library.RLock().acquire(timeout="1"),
    lambda library: library.RLock().acquire(True, 1, 1),
    lambda library: library.RLock().acquire(wait=True),
    lambda library: library.RLock()._is_owned(),
    # Early releases of 3.11 have no such method.
    *(
        [lambda library: library.RLock()._recursion_count()]
        if hasattr(threading.RLock(), "_recursion_count")
        else []
    ),
    lambda library: library.RLock()._at_fork_reinit(),
    lambda library: hasattr(library.RLock(), "locked"),
    lambda library: hasattr(library.RLock(), "acquire_lock"),
    lambda library: setattr(library.RLock(), "extra", 1),
    lambda library: library.RLock() == library.RLock(),
    lambda library: __import__("pickle").dumps(library.RLock()),
    lambda library: __import__("copy").copy(library.RLock()),
]


@pytest.mark.parametrize(
    "attempt", ATTEMPTS, ids=lambda attempt: str(attempt.__code__.co_firstlineno)
)
def test_calls_come_to_the_same(attempt: Attempt) -> None:
    assert outcome(attempt, tress.threading) == outcome(attempt, threading)


def test_it_may_be_subclassed(library: ModuleType) -> None:
    kind: Any = type(library.RLock())

    class Counted(kind):  # type: ignore[misc]
        def __init__(self, start: int) -> None:
            self.entered = start

        def __enter__(self) -> bool:
            self.entered += 1
            entered: bool = super().__enter__()
            return entered

    lock = Counted(5)
    with lock:
        assert lock._is_owned()
    assert lock.entered == 6
    with library.Condition(lock) as entered:
        assert entered is True
    assert lock.entered == 7


def test_at_fork_reinit_frees_it(library: ModuleType) -> None:
    lock = library.RLock()
    Runner(lock.acquire).result()
    assert lock.acquire(False) is False
    lock._at_fork_reinit()
    assert lock.acquire(False) is True
    lock.release()


def test_weak_references(library: ModuleType) -> None:
    lock = library.RLock()
    reference = weakref.ref(lock)
    del lock
    assert reference() is None


def test_repr_and_statistics(library: ModuleType) -> None:
    lock = library.RLock()
    assert repr(lock).startswith("<unlocked ")
    lock.acquire()
    lock.acquire()
    assert repr(lock).startswith("<locked ")
    assert f"owner={threading.get_ident()} count=2" in repr(lock)
    assert f"at {id(lock):#x}" in repr(lock)


def test_statistics() -> None:
    lock = tress.threading.RLock()
    free = {"owner": None, "task": None, "count": 0, "waiters": 0}
    assert lock.statistics() == free
    lock.acquire()
    lock.acquire()
    runners = [Runner(lock.acquire) for _ in range(2)]
    until(lambda: waiters(lock) == 2, "two wait")
    assert lock.statistics() == {**free, "owner": threading.get_ident(), "count": 2, "waiters": 2}
    lock._at_fork_reinit()
    assert lock.statistics() == free
    assert all(runner.is_running for runner in runners)


def test_a_timeout_leaves_no_waiter() -> None:
    lock = tress.threading.RLock()
    lock.acquire()
    assert Runner(lock.acquire, True, LATER).result() is False
    assert lock.statistics()["waiters"] == 0
