"""Semaphore and BoundedSemaphore, beside the standard library's."""

from __future__ import annotations

import threading
import weakref
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

import tress.threading
from tests.threads.ordering import Attempt, Runner, blocked, is_ours, outcome, until, waiters

LATER = 0.01
NAMES = ["Semaphore", "BoundedSemaphore"]


@pytest.fixture(params=NAMES)
def make(request: pytest.FixtureRequest, library: ModuleType) -> Any:
    return getattr(library, request.param)


def test_counts(make: Any) -> None:
    semaphore = make(2)
    assert semaphore._value == 2
    assert semaphore.acquire() is True
    assert semaphore.acquire(True) is True
    assert semaphore._value == 0
    assert semaphore.acquire(False) is False
    assert semaphore.acquire(blocking=False) is False
    assert semaphore.acquire(timeout=LATER) is False
    assert semaphore.acquire(True, LATER) is False
    assert semaphore.acquire(timeout=0) is False
    assert semaphore.release() is None
    assert semaphore.acquire(timeout=LATER) is True
    semaphore.release(2)
    assert semaphore._value == 2


def test_one_permit_by_default(make: Any) -> None:
    semaphore = make()
    assert semaphore.acquire(False) is True
    assert semaphore.acquire(False) is False


def test_the_value_may_be_named_and_nought(make: Any) -> None:
    assert make(value=3)._value == 3
    assert make(0).acquire(False) is False


def test_with(make: Any) -> None:
    semaphore = make(1)
    with semaphore as entered:
        assert entered is True
        assert semaphore.acquire(False) is False
    with pytest.raises(ZeroDivisionError), semaphore:
        1 / 0  # noqa: B018
    assert semaphore._value == 1


def test_a_waiter_gets_a_permit(make: Any) -> None:
    semaphore = make(1)
    semaphore.acquire()
    waiter = blocked(semaphore.acquire)
    timed = blocked(semaphore.acquire, True, 1000)
    semaphore.release()
    until(lambda: waiter.is_running + timed.is_running == 1, "one of two goes on")
    assert semaphore._value == 0
    semaphore.release()
    assert waiter.result() is True
    assert timed.result() is True


def test_release_n_lets_n_go(library: ModuleType) -> None:
    semaphore = library.Semaphore(0)
    runners = [blocked(semaphore.acquire) for _ in range(5)]
    semaphore.release(3)
    until(lambda: sum(runner.is_running for runner in runners) == 2, "three of five go on")
    semaphore.release(n=4)
    assert all(runner.result() is True for runner in runners)
    assert semaphore._value == 2


def test_a_bound(library: ModuleType) -> None:
    semaphore = library.BoundedSemaphore(2)
    with pytest.raises(ValueError, match="Semaphore released too many times"):
        semaphore.release()
    semaphore.acquire()
    with pytest.raises(ValueError, match="Semaphore released too many times"):
        semaphore.release(2)
    assert semaphore._value == 1
    semaphore.release()
    with pytest.raises(ValueError, match="Semaphore released too many times"), semaphore:
        semaphore.release()
    assert semaphore._initial_value == 2


def test_no_bound(library: ModuleType) -> None:
    semaphore = library.Semaphore(1)
    semaphore.release(1000)
    assert semaphore._value == 1001


ATTEMPTS: list[Attempt] = [
    lambda make: make(-1),
    lambda make: make(value=-1),
    lambda make: make("1"),
    lambda make: make(None),
    lambda make: make(1, 2),
    lambda make: make(number=1),
    lambda make: make(True)._value == 1,
    lambda make: make().acquire(False, 1),
    lambda make: make().acquire(False, None),
    lambda make: make().acquire(False, timeout=0),
    lambda make: make().acquire(True, None),
    lambda make: make(0).acquire(True, -1),
    lambda make: make(0).acquire(True, 0.0),
    lambda make: make(0).acquire(True, "1"),
    lambda make: make().acquire(True, 1, 1),
    lambda make: make().acquire(wait=True),
    lambda make: make(0).acquire(0),
    lambda make: make(0).acquire([]),
    lambda make: make().release(0),
    lambda make: make().release(-1),
    lambda make: make().release("1"),
    lambda make: make().release(None),
    lambda make: make().release(count=1),
    lambda make: make().locked() if hasattr(make(), "locked") else None,
    lambda make: setattr(make(), "extra", 1),
    lambda make: make(0).__exit__(None, None, None),
    lambda make: make() == make(),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "attempt", ATTEMPTS, ids=lambda attempt: str(attempt.__code__.co_firstlineno)
)
def test_calls_come_to_the_same(name: str, attempt: Attempt) -> None:
    ours, standard = getattr(tress.threading, name), getattr(threading, name)
    assert outcome(attempt, ours) == outcome(attempt, standard)


@pytest.mark.parametrize(
    ("attempt", "text"),
    [
        (lambda make: make(-1), "semaphore initial value must be >= 0"),
        (lambda make: make().acquire(False, 1), "can't specify timeout for non-blocking acquire"),
        (lambda make: make().release(0), "n must be one or more"),
    ],
)
def test_errors_say_the_same(make: Any, attempt: Attempt, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        attempt(make)


def test_numbers_too_large_are_refused_and_change_nothing() -> None:
    """Permits are counted in 61 bits; what does not fit must not wrap round."""
    with pytest.raises(ValueError, match="61 bits"):
        tress.threading.Semaphore(2**62)
    semaphore = tress.threading.Semaphore(5)
    for count in (2**61, 2**62, 2**63 - 1, 2**63, 2**70):
        with pytest.raises(ValueError, match="61 bits"):
            semaphore.release(count)
        assert semaphore._value == 5
    semaphore.release(2**60)
    with pytest.raises(ValueError, match="61 bits"):
        semaphore.release(2**61 - 2**60)
    assert semaphore._value == 5 + 2**60


def test_isinstance_works_both_ways() -> None:
    assert isinstance(tress.threading.Semaphore(), threading.Semaphore)
    assert isinstance(tress.threading.BoundedSemaphore(), threading.BoundedSemaphore)
    assert isinstance(tress.threading.BoundedSemaphore(), tress.threading.Semaphore)
    assert not isinstance(tress.threading.Semaphore(), threading.BoundedSemaphore)


def test_subclasses_that_override_are_honoured(library: ModuleType, make: Any) -> None:
    class Counted(make):  # type: ignore[misc]
        def __init__(self, value: int) -> None:
            super().__init__(value)
            self.calls: list[str] = []

        def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
            self.calls.append("acquire")
            taken: bool = super().acquire(blocking, timeout)
            return taken

        def release(self, n: int = 1) -> None:
            self.calls.append("release")
            super().release(n)

    semaphore = Counted(1)
    semaphore.acquire()
    semaphore.release()
    assert semaphore.calls == ["acquire", "release"]
    # `__enter__` is the function `acquire` of the class it was written in, `__exit__` calls the
    # method.
    with semaphore:
        pass
    assert semaphore.calls == ["acquire", "release", "release"]
    assert semaphore._value == 1


def test_repr(make: Any) -> None:
    semaphore = make(3)
    semaphore.acquire()
    bounded = "/3" if "Bounded" in make.__name__ else ""
    assert repr(semaphore).endswith(f" at {id(semaphore):#x}: value=2{bounded}>")
    assert make.__qualname__ in repr(semaphore)


def test_statistics() -> None:
    semaphore = tress.threading.BoundedSemaphore(2)
    assert semaphore.statistics() == {"value": 2, "bound": 2, "waiters": 0}
    semaphore.acquire()
    semaphore.acquire()
    runners = [Runner(semaphore.acquire) for _ in range(2)]
    until(lambda: waiters(semaphore) == 2, "two wait")
    assert semaphore.statistics() == {"value": 0, "bound": 2, "waiters": 2}
    semaphore.release(2)
    for runner in runners:
        runner.result()
    assert semaphore.statistics()["waiters"] == 0
    assert tress.threading.Semaphore(5).statistics() == {"value": 5, "bound": None, "waiters": 0}


def test_weak_references(make: Any) -> None:
    semaphore = make()
    reference = weakref.ref(semaphore)
    del semaphore
    assert reference() is None


def test_timeouts_beside_releases_conserve_permits(library: ModuleType) -> None:
    semaphore = library.Semaphore(0)
    rounds = 300 if is_ours(library) else 60
    done = 0
    got = [0] * 4

    def grab(place: int) -> None:
        turn = 0
        while not done:
            turn += 1
            got[place] += semaphore.acquire(timeout=0.00003 * (turn % 5))

    grabbers = [Runner(grab, place) for place in range(4)]
    given_ = 0
    for turn in range(rounds):
        semaphore.release(1 + turn % 3)
        given_ += 1 + turn % 3
    done = 1
    for grabber in grabbers:
        grabber.result()
    left = 0
    while semaphore.acquire(False):
        left += 1
    assert sum(got) + left == given_


STEPS = st.lists(
    st.one_of(
        st.just(("acquire", 0)),
        st.just(("acquire_with_timeout", 0)),
        st.just(("with", 0)),
        st.tuples(st.just("release"), st.integers(-1, 4)),
        st.just(("wait", 0)),
        st.just(("waiter_gives_up", 0)),
    ),
    max_size=40,
)


class _Model:
    """What a semaphore must do: a number, and the threads that wait while it is nought."""

    def __init__(self, value: int, bound: int | None) -> None:
        self.value = value
        self.bound = bound
        self.waiting: list[Runner] = []
        self.served: list[Runner] = []

    def settle(self) -> None:
        """Permits go to those that wait."""
        until(
            lambda: (
                sum(runner.is_running for runner in self.waiting)
                == max(0, len(self.waiting) - self.value)
            ),
            "as many waiters go on as there are permits",
        )
        done = [runner for runner in self.waiting if not runner.is_running]
        self.value -= len(done)
        self.served += done
        self.waiting = [runner for runner in self.waiting if runner.is_running]


@settings(max_examples=60, deadline=None)
@given(value=st.integers(0, 4), bounded=st.booleans(), steps=STEPS)
def test_a_semaphore_is_its_model(value: int, bounded: bool, steps: list[tuple[str, int]]) -> None:
    """Any sequence of calls comes to what a plain number would."""
    kind = tress.threading.BoundedSemaphore if bounded else tress.threading.Semaphore
    value += bounded  # bounded at nought, it could never be released
    semaphore = kind(value)
    model = _Model(value, value if bounded else None)
    for step, count in steps:
        if step in ("acquire", "acquire_with_timeout"):
            taken = (
                semaphore.acquire(False) if step == "acquire" else semaphore.acquire(timeout=0.0001)
            )
            assert taken == (model.value > 0)
            model.value -= taken
        elif step == "with" and model.value:
            with semaphore:
                assert semaphore._value == model.value - 1
        elif step == "wait" and not model.value and len(model.waiting) < 3:
            model.waiting.append(blocked(semaphore.acquire))
        elif step == "waiter_gives_up" and not model.value:
            assert Runner(semaphore.acquire, True, 0.0005).result() is False
        elif step == "release":
            too_many = model.bound is not None and model.value + count > model.bound
            if count < 1 or too_many:
                with pytest.raises(ValueError, match=r"n must be|too many"):
                    semaphore.release(count)
            else:
                semaphore.release(count)
                model.value += count
                model.settle()
        assert semaphore._value == model.value
        assert waiters(semaphore) == len(model.waiting)
    while model.waiting:
        semaphore.release()
        model.value += 1
        model.settle()
    for runner in model.served:
        assert runner.result() is True
