"""Condition, beside the standard library's, around every kind of lock."""

from __future__ import annotations

import itertools
import sys
import threading
import weakref
from collections.abc import Callable
from types import ModuleType, TracebackType
from typing import Any

import pytest

import tress.threading
from tests.threads.ordering import Attempt, Runner, is_ours, outcome, until

LATER = 0.01


class OwnLock:
    """Anybody's lock: no more than `acquire`, `release`, `locked` (which the standard Condition
    asks for from Python 3.14 on) and a context manager.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.entered = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        return self.lock.acquire(blocking, timeout)

    def release(self) -> None:
        self.lock.release()

    def locked(self) -> bool:
        return self.lock.locked()

    def __enter__(self) -> str:
        self.entered += 1
        self.lock.acquire()
        return "entered"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.lock.release()


LOCKS: dict[str, Callable[[], Any]] = {
    "default": lambda: None,
    "Lock": lambda: tress.threading.Lock(),
    "RLock": lambda: tress.threading.RLock(),
    "standard Lock": lambda: threading.Lock(),
    "standard RLock": lambda: threading.RLock(),
    "own": lambda: OwnLock(),
    "Condition": lambda: threading.Condition(),
}
REENTRANT = ("default", "RLock", "standard RLock")


@pytest.fixture(params=LOCKS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def condition(library: ModuleType, kind: str) -> Any:
    return library.Condition(LOCKS[kind]())


def waiting(condition: Any) -> int:
    if isinstance(condition, tress.threading.Condition):
        count: int = condition.statistics()["waiters"]
        return count
    return len(condition._waiters)


def wait_in(condition: Any, timeout: float | None = None) -> Any:
    with condition:
        return condition.wait(timeout)


def waiter_of(condition: Any, timeout: float | None = None) -> Runner:
    before = waiting(condition)
    runner = Runner(wait_in, condition, timeout)
    until(lambda: waiting(condition) == before + 1, "one more waits")
    return runner


def test_the_lock(condition: Any, kind: str) -> None:
    assert condition.acquire() is True
    assert Runner(condition.acquire, False).result() is False
    assert condition.release() is None
    with condition as entered:
        assert entered == ("entered" if kind == "own" else True)
        assert Runner(condition.acquire, False).result() is False
    assert condition.acquire(False) is True
    condition.release()


def test_a_lock_of_ones_own_is_entered_by_its_own_method(library: ModuleType) -> None:
    lock = OwnLock()
    condition = library.Condition(lock)
    with condition:
        assert lock.entered == 1
        assert lock.lock.locked()
    assert not lock.lock.locked()


def test_wait_without_the_lock(condition: Any) -> None:
    with pytest.raises(RuntimeError, match="cannot wait on un-acquired lock"):
        condition.wait()
    with pytest.raises(RuntimeError, match="cannot notify on un-acquired lock"):
        condition.notify()
    with pytest.raises(RuntimeError, match="cannot notify on un-acquired lock"):
        condition.notify_all()
    assert condition.acquire(False) is True


def test_wait_with_a_reentrant_lock_of_another_thread(library: ModuleType) -> None:
    condition = library.Condition()
    condition.acquire()
    for method in (condition.wait, condition.notify, condition.notify_all):
        with pytest.raises(RuntimeError, match="un-acquired lock"):
            Runner(method).result()


def test_wait_times_out_with_the_lock_held(condition: Any) -> None:
    with condition:
        assert condition.wait(LATER) is False
        assert condition.wait(0) is False
        assert condition.wait(timeout=-1) is False
        assert Runner(condition.acquire, False).result() is False
    assert waiting(condition) == 0


def test_wait_releases_every_level(library: ModuleType) -> None:
    for kind in REENTRANT:
        condition = library.Condition(LOCKS[kind]())
        with condition, condition, condition:
            runner = Runner(lambda condition=condition: notify_in(condition))
            assert condition.wait(30) is True
            runner.result()
            assert Runner(condition.acquire, False).result() is False
            condition.release()
            condition.release()
            assert Runner(condition.acquire, False).result() is False
            condition.acquire()
            condition.acquire()
        assert Runner(condition.acquire, False).result() is True


def notify_in(condition: Any, n: int = 1) -> None:
    with condition:
        condition.notify(n)


def test_notify_lets_as_many_go_oldest_first(condition: Any) -> None:
    runners = [waiter_of(condition) for _ in range(5)]
    notify_in(condition)
    assert runners[0].result() is True
    assert waiting(condition) == 4
    notify_in(condition, 2)
    assert [runner.result() for runner in runners[1:3]] == [True] * 2
    assert all(runner.is_running for runner in runners[3:])
    notify_in(condition, 0)
    assert waiting(condition) == 2
    with condition:
        condition.notify_all()
    assert [runner.result() for runner in runners[3:]] == [True] * 2
    notify_in(condition, 7)
    assert condition.acquire(False) is True


def test_a_notified_wait_goes_on_once_the_lock_is_free(condition: Any) -> None:
    runner = waiter_of(condition)
    with condition:
        condition.notify()
        assert waiting(condition) == 0
        assert runner.is_running
    assert runner.result() is True


def test_a_notification_before_its_timeout_counts_after_it(library: ModuleType, kind: str) -> None:
    """The lock is not free until the timeout is long past: the wait was notified all the same."""
    if not is_ours(library):
        pytest.skip("the moment of the standard library's timeout cannot be seen")
    condition = library.Condition(LOCKS[kind]())
    runner = waiter_of(condition, 0.02)
    with condition:
        condition.notify()
        threading.Event().wait(0.05)
    assert runner.result() is True


def test_wait_for(condition: Any) -> None:
    state = 0

    def wait_for(value: int) -> Any:
        with condition:
            return condition.wait_for(lambda: state == value and "there")

    runner = Runner(wait_for, 3)
    for value in range(1, 4):
        with condition:
            state = value
            condition.notify_all()
    assert runner.result() == "there"
    with condition:
        assert condition.wait_for(lambda: [1]) == [1]
        assert condition.wait_for(lambda: 0, timeout=LATER) == 0
        assert condition.wait_for(lambda: False, LATER) is False


def test_a_queue_of_condition_loses_nothing(library: ModuleType, kind: str) -> None:
    condition = library.Condition(LOCKS[kind]())
    items: list[int] = []
    taken: list[int] = []

    def take() -> None:
        for _ in range(100):
            with condition:
                while not items:
                    condition.wait()
                taken.append(items.pop())

    def put(first: int) -> None:
        for item in range(first, first + 100):
            with condition:
                items.append(item)
                condition.notify()

    runners = [Runner(take) for _ in range(3)] + [Runner(put, 100 * n) for n in range(3)]
    for runner in runners:
        runner.result()
    assert sorted(taken) == list(range(300))
    assert waiting(condition) == 0


def test_timeouts_beside_notifications_lose_none(library: ModuleType) -> None:
    """Each notification of a condition that somebody waits for ends exactly one wait with True.

    The standard library's comes to nothing when the wait it ends has just timed out.
    """
    condition = library.Condition()
    notified = woken = 0
    over = False

    def wait(place: int) -> None:
        nonlocal woken
        for turn in itertools.count(place):
            with condition:
                if over:
                    return
                ended = condition.wait(0.00005 * (turn % 6))
                woken += ended

    runners = [Runner(wait, place) for place in range(4)]
    rounds = 400 if is_ours(library) else 100
    while notified < rounds:
        with condition:
            if waiting(condition):
                condition.notify()
                notified += 1
    with condition:
        over = True
    for runner in runners:
        runner.result()
    assert woken == notified if is_ours(library) else woken <= notified


ATTEMPTS: list[Attempt] = [
    lambda library: library.Condition(1),
    lambda library: library.Condition("lock"),
    lambda library: library.Condition(None) and None,
    lambda library: library.Condition(lock=library.Lock()) and None,
    lambda library: library.Condition(library.Lock(), 1),
    lambda library: library.Condition(mutex=1),
    lambda library: library.Condition().wait(1, 2),
    lambda library: library.Condition().wait_for(),
    lambda library: library.Condition().release(),
    lambda library: library.Condition().__exit__(None, None, None),
    lambda library: library.Condition(library.Lock()).release(),
    lambda library: library.Condition()._is_owned(),
    lambda library: library.Condition().acquire(False, 1),
    lambda library: library.Condition().acquire(timeout=-5),
    lambda library: hasattr(library.Condition(), "locked"),
    lambda library: hasattr(library.Condition(library.Lock()), "locked"),
    lambda library: setattr(library.Condition(), "extra", 1),
    lambda library: library.Condition()._at_fork_reinit(),
]


@pytest.mark.parametrize(
    "attempt", ATTEMPTS, ids=lambda attempt: str(attempt.__code__.co_firstlineno)
)
def test_calls_come_to_the_same(attempt: Attempt) -> None:
    assert outcome(attempt, tress.threading) == outcome(attempt, threading)


@pytest.mark.parametrize("arguments", [("1",), (object(),)])
def test_bad_timeouts_leave_the_lock_held(library: ModuleType, arguments: tuple[Any, ...]) -> None:
    condition = library.Condition()
    with condition:
        with pytest.raises(TypeError):
            condition.wait(*arguments)
        assert condition._is_owned()


def test_bad_numbers_to_notify(library: ModuleType) -> None:
    condition = library.Condition()
    waiter_of(condition)
    with condition:
        with pytest.raises(TypeError):
            condition.notify("1")
        condition.notify(10**30)
    until(lambda: waiting(condition) == 0, "it is notified")


def test_notify_all_has_its_old_name(library: ModuleType) -> None:
    condition = library.Condition()
    runner = waiter_of(condition)
    with condition, pytest.warns(DeprecationWarning, match="notify_all"):
        condition.notifyAll()
    assert runner.result() is True


@pytest.mark.skipif(sys.version_info < (3, 14), reason="Condition.locked came with 3.14")
def test_locked(library: ModuleType) -> None:
    condition = library.Condition()
    assert condition.locked() is False
    with condition:
        assert condition.locked() is True


def test_a_subclass_with_a_wait_of_its_own(library: ModuleType) -> None:
    class Counted(library.Condition):  # type: ignore[name-defined, misc]
        waits = 0

        def wait(self, timeout: float | None = None) -> bool:
            self.waits += 1
            ended: bool = super().wait(timeout)
            return ended

    condition = Counted()
    with condition:
        assert not condition.wait_for(lambda: False, 0.001)
    assert condition.waits >= 1


def test_repr(library: ModuleType) -> None:
    lock = library.Lock()
    condition = library.Condition(lock)
    assert repr(condition) == f"<Condition({lock!r}, 0)>"
    runner = waiter_of(condition)
    assert repr(condition) == f"<Condition({lock!r}, 1)>"
    notify_in(condition)
    runner.result()


def test_statistics() -> None:
    condition = tress.threading.Condition()
    free = {"owner": None, "task": None, "count": 0, "waiters": 0}
    assert condition.statistics() == {"waiters": 0, "lock": free}
    runner = waiter_of(condition)
    assert condition.statistics() == {"waiters": 1, "lock": free}
    with condition:
        condition.notify()
        numbers = condition.statistics()
        assert numbers["waiters"] == 0
        # A notified wait is one for the lock.
        assert numbers["lock"] == {**free, "owner": threading.get_ident(), "count": 1, "waiters": 1}
    runner.result()
    assert tress.threading.Condition(threading.Lock()).statistics() == {"waiters": 0}


def test_isinstance() -> None:
    assert isinstance(tress.threading.Condition(), threading.Condition)


def test_weak_references(library: ModuleType) -> None:
    condition = library.Condition()
    reference = weakref.ref(condition)
    del condition
    assert reference() is None


def test_two_conditions_of_one_lock(library: ModuleType) -> None:
    lock = library.Lock()
    empty, full = library.Condition(lock), library.Condition(lock)
    first, second = waiter_of(empty), waiter_of(full)
    notify_in(full)
    assert second.result() is True
    assert first.is_running
    notify_in(empty)
    assert first.result() is True
