"""Deadlocks raise, say who holds what and where, and nothing false is ever raised."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import tress
import tress.threading
from tests.threads.ordering import BOUND_S, OURS, Runner, blocked, until, waiters

KINDS: dict[str, Callable[[], Any]] = {
    "Lock": lambda: tress.threading.Lock(),
    "RLock": lambda: tress.threading.RLock(),
}
HERE = os.path.abspath(__file__)


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Callable[[], Any]:
    return KINDS[request.param]


@pytest.fixture(autouse=True)
def no_warning() -> Iterator[None]:
    """A warning that a test does not expect fails it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", tress.DeadlockWarning)
        yield


def hold_and_take(held: Any, wanted: Any) -> None:
    with held, wanted:
        pass


@contextmanager
def crossing(held: Any, wanted: Any) -> Iterator[Runner]:
    """A thread that holds the one lock and waits for the other, which the caller holds."""
    wanted.acquire()
    try:
        runner = blocked(hold_and_take, held, wanted, name="the other")
        yield runner
    finally:
        wanted.release()
    runner.result()


def is_usable(lock: Any) -> bool:
    """Whether nobody holds the lock or waits for it, and it can be taken and given back."""
    taken = Runner(lambda: (lock.acquire(False), lock.release())).result()
    return bool(taken[0]) and waiters(lock) == 0


def test_two_locks_in_opposite_order_raise(make: Callable[[], Any]) -> None:
    a, b = make(), make()
    with crossing(a, b) as other:
        with pytest.raises(tress.DeadlockError), a:
            pass
        assert other.is_running
    assert is_usable(a)
    assert is_usable(b)


def test_two_threads_that_race_never_hang(make: Callable[[], Any]) -> None:
    """However the two come together, at most one of them raises, and both end."""
    a, b = make(), make()
    raised = passed = 0
    for _ in range(100):
        meeting = tress.threading.Barrier(2)

        def take(first: Any, second: Any, meeting: Any = meeting) -> bool:
            with first:
                meeting.wait(BOUND_S)
                try:
                    with second:
                        return True
                except tress.DeadlockError:
                    return False

        one, two = Runner(take, a, b), Runner(take, b, a)
        outcomes = [one.result(), two.result()]
        raised += outcomes.count(False)
        passed += outcomes.count(True)
        assert outcomes.count(False) == 1
    assert (raised, passed) == (100, 100)
    assert is_usable(a)
    assert is_usable(b)


def line_of(comment: str) -> int:
    """The number of the only line of this file that ends with a comment."""
    with open(HERE) as source:
        lines = [n for n, line in enumerate(source, 1) if line.endswith(f"  # {comment}\n")]
    (found,) = lines
    return found


def test_the_chain_says_who_holds_what_and_where(make: Callable[[], Any]) -> None:
    a, b = make(), make()

    def hold_by_with() -> None:
        with a:  # taken by with
            b.acquire()  # wanted by the other
            b.release()

    b.acquire()  # taken by acquire
    other = blocked(hold_by_with, name="the other")
    with pytest.raises(tress.DeadlockError) as raised:
        a.acquire()  # wanted by this one
    error = raised.value
    own: Any
    others: Any
    own, others = error.chain
    assert own.thread_name == threading.current_thread().name
    assert own.thread_ident == threading.get_ident()
    assert own.holds is b
    assert own.wants is a
    assert own.held_since is not None
    assert f"{HERE}:{line_of('taken by acquire')} in " in own.held_since
    assert own.held_since.endswith("b.acquire()  # taken by acquire")
    assert own.stack[-1].lineno == line_of("wanted by this one")
    assert others.thread_name == "the other"
    assert others.thread_ident == other.thread.ident
    assert others.holds is a
    assert others.wants is b
    assert others.held_since is not None
    assert f"{HERE}:{line_of('taken by with')} in hold_by_with" in others.held_since
    assert others.stack[-1].lineno == line_of("wanted by the other")
    assert others.stack[-1].name == "hold_by_with"
    text = str(error)
    assert text.startswith("deadlock: 2 threads wait for one another's locks\n")
    for part in (own, others):
        assert part.thread_name in text
        assert f"{id(part.holds):#x}" in text
        assert str(part.held_since) in text
    assert "# wanted by this one" in text
    assert "# wanted by the other" in text
    stacks = [entry.filename for part in error.chain for entry in part.stack]
    assert not any(name.startswith(OURS) for name in stacks)
    b.release()
    other.result()


def test_the_line_that_holds_is_found_through_attributes() -> None:
    class Account:
        def __init__(self) -> None:
            self.lock = tress.threading.Lock()
            self.before: Callable[[], object] = lambda: None

        def move_to(self, other: Any) -> None:
            with self.lock:  # the attribute
                self.before()
                self.touch(other)

        def touch(self, other: Any) -> None:
            with other.lock:
                pass

    one, two = Account(), Account()
    with crossing(one.lock, two.lock):
        # Two's lock is held by `crossing`, one's wanted here.
        with pytest.raises(tress.DeadlockError) as raised:
            one.lock.acquire()
        # No line of this thread's stack took it.
        assert raised.value.chain[0].held_since is None
    meeting = tress.threading.Barrier(2)
    for account in (one, two):
        account.before = lambda: meeting.wait(BOUND_S)
    runners = [Runner(one.move_to, two), Runner(two.move_to, one)]
    errors: list[tress.DeadlockError] = []
    for runner in runners:
        try:
            runner.result()
        except tress.DeadlockError as error:
            errors.append(error)
    assert len(errors) == 1
    for link in errors[0].chain:
        where = f":{line_of('the attribute')} in move_to: with self.lock:"
        assert where in str(link.held_since)


@pytest.mark.parametrize("threads", [3, 5])
def test_a_ring(make: Callable[[], Any], threads: int) -> None:
    locks = [make() for _ in range(threads)]
    gates = [tress.threading.Event() for _ in range(threads)]

    def take(place: int) -> None:
        with locks[place]:
            gates[place].set()
            for gate in gates:
                assert gate.wait(BOUND_S)
            turn[place].wait(BOUND_S)
            with locks[(place + 1) % threads]:
                pass

    turn = [tress.threading.Event() for _ in range(threads)]
    runners = [Runner(take, place, name=f"thread {place}") for place in range(threads)]
    for place in range(threads - 1):
        turn[place].set()
        until(lambda place=place: waiters(locks[place + 1]) == 1, "it waits")  # type: ignore[misc]
    turn[-1].set()
    with pytest.raises(tress.DeadlockError, match=f"deadlock: {threads} threads") as raised:
        runners[-1].result()
    order = [threads - 1, *range(threads - 1)]
    chain = raised.value.chain
    assert [link.thread_name for link in chain] == [f"thread {place}" for place in order]
    assert [link.holds for link in chain] == [locks[place] for place in order]
    assert [link.wants for link in chain] == [locks[(place + 1) % threads] for place in order]
    for runner in runners[:-1]:
        runner.result()
    assert all(is_usable(lock) for lock in locks)


def test_a_tail_that_leads_into_a_ring_is_no_cycle_of_its_own() -> None:
    """Who waits for a thread of a deadlock without being part of it goes on waiting."""
    a, b = tress.threading.Lock(), tress.threading.Lock()
    with crossing(a, b):
        bystander = blocked(a.acquire)
        with pytest.raises(tress.DeadlockError):
            a.acquire()
        assert bystander.is_running
    bystander.result()
    a.release()


@pytest.mark.parametrize("kind", ["default", "Lock"])
def test_through_a_conditions_lock(kind: str) -> None:
    condition = tress.threading.Condition(KINDS["Lock"]() if kind == "Lock" else None)
    a = tress.threading.Lock()

    def hold_a_and_take_the_condition() -> None:
        with a, condition:
            pass

    with condition:
        other = blocked(hold_a_and_take_the_condition)
        with pytest.raises(tress.DeadlockError) as raised:
            a.acquire()
        assert raised.value.chain[0].holds is condition._lock
        assert "with condition:" in str(raised.value.chain[0].held_since)
        assert other.is_running
    other.result()


@pytest.mark.parametrize("timeout", [None, 1000.0])
@pytest.mark.parametrize("notified", [False, True])
def test_a_wait_for_a_condition_needs_its_lock_to_end(
    timeout: float | None, notified: bool
) -> None:
    """Notified or not: that thread goes on only when the one that asks lets go of the lock."""
    condition = tress.threading.Condition()
    a = tress.threading.Lock()

    def wait() -> bool:
        with a, condition:
            return condition.wait(timeout)

    waiter = Runner(wait)
    until(lambda: waiters(condition) == 1, "it waits")
    with condition:
        if notified:
            condition.notify()
        with pytest.raises(tress.DeadlockError) as raised:
            a.acquire()
        assert raised.value.chain[1].wants is condition
        assert "with a, condition:" in str(raised.value.chain[1].held_since)
        condition.notify_all()
    assert waiter.result() is True
    assert is_usable(a)


def test_every_object_is_usable_after_it(make: Callable[[], Any]) -> None:
    a, b = make(), make()
    for _ in range(20):
        with crossing(a, b):
            for _ in range(3):
                with pytest.raises(tress.DeadlockError):
                    a.acquire()
            with pytest.raises(tress.DeadlockError), a:
                pass
            assert waiters(a) == 0
    assert is_usable(a)
    assert is_usable(b)
    assert [wait for wait in tress.waits() if wait.object in (a, b)] == []


def test_an_rlock_that_was_held_is_held_as_often_afterwards() -> None:
    a, b = tress.threading.RLock(), tress.threading.RLock()
    with crossing(a, b):
        b.acquire()
        with pytest.raises(tress.DeadlockError):
            a.acquire()
        assert b._recursion_count() == 2
        b.release()


@contextmanager
def when_waiting(thing: Any, handler: Callable[[], object]) -> Iterator[None]:
    """Runs `handler` as a signal handler of this thread once it waits for `thing`."""
    me = threading.get_ident()
    before = signal.signal(signal.SIGUSR2, lambda signum, frame: handler())

    def send() -> None:
        until(lambda: waiters(thing) > 0, "this thread waits")
        signal.pthread_kill(me, signal.SIGUSR2)

    sender = Runner(send)
    try:
        yield
        sender.result()
    finally:
        signal.signal(signal.SIGUSR2, before)


class TestNothingFalse:
    """What looks like a deadlock and need not be one."""

    def test_a_lock_ever_released_by_another_thread_is_owned_by_nobody(self) -> None:
        a, b = tress.threading.Lock(), tress.threading.Lock()
        a.acquire()
        Runner(a.release).result()
        with crossing(a, b):
            waiter = blocked(a.acquire)
            assert waiter.is_running
        waiter.result()
        assert a.statistics()["owner"] == waiter.thread.ident

    def test_two_threads_that_signal_each_other_by_locks(self) -> None:
        """Each waits for a lock that it took itself and the other releases."""
        ping, pong = tress.threading.Lock(), tress.threading.Lock()
        ping.acquire()
        pong.acquire()

        def answer() -> None:
            for _ in range(200):
                ping.acquire()
                pong.release()

        answerer = Runner(answer)
        for _ in range(200):
            ping.release()
            assert pong.acquire()
        answerer.result()

    def test_a_lock_used_as_a_signal_waits_without_a_word(self) -> None:
        signal = tress.threading.Lock()
        signal.acquire()

        def release() -> None:
            until(lambda: waiters(signal) == 1, "somebody waits")
            signal.release()

        releaser = Runner(release)
        assert signal.acquire() is True
        releaser.result()

    def test_a_wait_with_a_timeout_raises_nothing(self, make: Callable[[], Any]) -> None:
        a, b = make(), make()
        with crossing(a, b) as other:
            assert a.acquire(timeout=0.02) is False
            assert other.is_running

    def test_a_wait_with_a_timeout_is_no_part_of_a_cycle(self, make: Callable[[], Any]) -> None:
        a, b = make(), make()

        def hold_and_try() -> bool:
            with a:
                taken: bool = b.acquire(timeout=0.1)
                return taken

        b.acquire()
        other = blocked(hold_and_try)
        assert a.acquire() is True
        assert other.result() is False
        a.release()
        b.release()

    def test_a_try_raises_nothing(self, make: Callable[[], Any]) -> None:
        a, b = make(), make()
        with crossing(a, b):
            assert a.acquire(False) is False

    def test_an_rlock_of_ones_own(self) -> None:
        lock = tress.threading.RLock()
        with lock, lock, lock:
            assert lock.acquire()
            lock.release()

    def test_locks_handed_over_at_the_last_moment(self, make: Callable[[], Any]) -> None:
        """Threads that take two locks in one order and are handed them in turn never cross."""
        a, b = make(), make()
        done = 0

        def take() -> None:
            nonlocal done
            for _ in range(150):
                with a, b:
                    before = done
                    sum(range(10))
                    done = before + 1

        for runner in [Runner(take) for _ in range(6)]:
            runner.result()
        assert done == 900

    def test_a_ring_of_threads_that_hand_one_lock_round(self) -> None:
        """Locks used as batons: the owner is never the one who will release."""
        threads = 4
        batons = [tress.threading.Lock() for _ in range(threads)]
        for baton in batons:
            baton.acquire()

        def run(place: int) -> None:
            for _ in range(50):
                batons[place].acquire()
                batons[(place + 1) % threads].release()

        runners = [Runner(run, place) for place in range(threads)]
        batons[0].release()
        for runner in runners:
            runner.result()

    def test_waiting_for_a_thread_that_waits_for_something_else(self) -> None:
        a, b = tress.threading.Lock(), tress.threading.Lock()
        go_on = tress.threading.Event()

        def hold() -> None:
            with a:
                go_on.wait(BOUND_S)

        holder = blocked(hold)
        with b:
            waiter = blocked(a.acquire)
            other = blocked(b.acquire)
            go_on.set()
        for runner in (holder, waiter, other):
            runner.result()

    def test_a_standard_lock_in_the_circle_cannot_be_seen(self) -> None:
        """The standard library's locks are out of sight: the circle ends by the timeout alone."""
        ours, standard = tress.threading.Lock(), threading.Lock()

        def hold_and_try() -> bool:
            with ours:
                return standard.acquire(timeout=0.1)

        standard.acquire()
        other = Runner(hold_and_try)
        until(ours.locked, "it holds ours")
        assert ours.acquire() is True
        assert other.result() is False
        ours.release()
        standard.release()

    def test_the_engines_locks_beside_standard_ones_in_order(self) -> None:
        ours, standard = tress.threading.RLock(), threading.RLock()

        def take() -> None:
            for _ in range(100):
                with ours, standard, ours:
                    pass

        for runner in [Runner(take) for _ in range(4)]:
            runner.result()


class TestModes:
    def test_raise_is_the_default(self) -> None:
        command = [sys.executable, "-c", "import tress._native as n; print(n.deadlock_mode())"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout == "raise\n"

    def test_warn_warns_and_waits_on(self, make: Callable[[], Any]) -> None:
        tress.deadlock("warn")
        a, b = make(), make()
        a.acquire()
        other = blocked(hold_and_take, b, a)
        with warnings.catch_warnings(record=True) as recorded:
            warnings.simplefilter("always", tress.DeadlockWarning)
            # The handler opens the circle that the wait closes.
            with when_waiting(b, a.release):
                assert b.acquire() is True
        b.release()
        other.result()
        (warning,) = recorded
        assert issubclass(warning.category, tress.DeadlockWarning)
        assert str(warning.message).startswith("deadlock: 2 threads wait for one another's locks")
        assert warning.filename == HERE
        assert is_usable(a)
        assert is_usable(b)

    def test_off_does_not_look(self, make: Callable[[], Any]) -> None:
        tress.deadlock("off")
        a, b = make(), make()
        a.acquire()
        other = blocked(hold_and_take, b, a)
        with when_waiting(b, a.release):
            assert b.acquire() is True
        b.release()
        other.result()

    @pytest.mark.parametrize("mode", ["", "RAISE", "error", None, 1])
    def test_a_bad_mode_is_refused(self, mode: Any) -> None:
        with pytest.raises((ValueError, TypeError), match=r"mode|str"):
            tress.deadlock(mode)
        a, b = tress.threading.Lock(), tress.threading.Lock()
        with crossing(a, b), pytest.raises(tress.DeadlockError):
            a.acquire()


ALONE = """
import signal, sys, warnings
import tress, tress.threading
lock = tress.threading.Lock()
lock.acquire()
signal.signal(signal.SIGALRM, lambda signum, frame: lock.release())
signal.setitimer(signal.ITIMER_REAL, 0.2)
lock.acquire()
print("acquired")
"""


def test_the_only_thread_that_waits_for_its_own_lock_is_warned() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, timeout=BOUND_S, check=False
    )
    assert done.stdout == "acquired\n"
    assert "DeadlockWarning: the only thread waits for a lock that it took itself" in done.stderr
    assert done.returncode == 0


def test_the_program_of_the_issue_raises_soon() -> None:
    """Two threads, two locks, opposite order: the second to wait is told at once."""
    text = """
from tress import threading
a, b = threading.{kind}(), threading.{kind}()
meeting = threading.Barrier(2)
def take(first, second):
    with first:
        meeting.wait()
        with second:
            pass
threads = [threading.Thread(target=take, args=order) for order in ((a, b), (b, a))]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("over")
"""
    for kind in KINDS:
        done = subprocess.run(
            [sys.executable, "-c", text.format(kind=kind)],
            capture_output=True,
            text=True,
            timeout=BOUND_S,
            check=False,
        )
        assert done.stdout == "over\n"
        assert done.stderr.count("tress.DeadlockError: deadlock: 2 threads") == 1
        assert done.returncode == 0


def test_a_signal_handler_that_waits_while_its_thread_waits() -> None:
    a, b = tress.threading.Lock(), tress.threading.Lock()
    outer = tress.threading.Event()
    me = threading.get_ident()
    seen: list[Any] = []

    def handle() -> None:
        seen.extend(wait.operation for wait in tress.waits() if wait.thread_ident == me)
        with pytest.raises(tress.DeadlockError):
            a.acquire()
        seen.extend(wait.operation for wait in tress.waits() if wait.thread_ident == me)
        outer.set()

    with crossing(a, b), when_waiting(outer, handle):
        assert outer.wait(BOUND_S) is True
    assert seen == ["Event.wait", "Event.wait"]


def test_numbers_of_dead_threads_are_not_owners() -> None:
    """A thread that ended with a plain lock taken does not own it by its number's next bearer."""
    for turn in itertools.count():
        left = tress.threading.Lock()
        first = Runner(left.acquire)
        first.result()
        other = tress.threading.Lock()
        other.acquire()
        second = Runner(other.acquire, name="second")
        until(lambda other=other: waiters(other) == 1, "it waits")  # type: ignore[misc]
        if second.thread.ident != first.thread.ident:
            other.release()
            second.result()
            if turn > 50:
                pytest.skip("the system does not use the number again")
            continue
        third = blocked(lambda left=left: left.release() if left.acquire() else None)
        left.release()
        third.result()
        other.release()
        second.result()
        return
