"""Event, beside the standard library's."""

from __future__ import annotations

import threading
import weakref
from types import ModuleType

import pytest

import tress.threading
from tests.threads.ordering import Attempt, Runner, blocked, outcome, until, waiters

LATER = 0.01


def test_set_and_clear(library: ModuleType) -> None:
    event = library.Event()
    assert event.is_set() is False
    assert event.set() is None
    assert event.is_set() is True
    event.set()
    assert event.is_set() is True
    assert event.clear() is None
    assert event.is_set() is False
    event.clear()


def test_wait_of_a_set_event_returns_at_once(library: ModuleType) -> None:
    event = library.Event()
    event.set()
    assert event.wait() is True
    assert event.wait(0) is True
    assert event.wait(timeout=-1) is True
    assert event.wait(None) is True


def test_wait_of_a_clear_event_times_out(library: ModuleType) -> None:
    event = library.Event()
    assert event.wait(LATER) is False
    assert event.wait(0) is False
    assert event.wait(-1) is False
    assert event.wait(timeout=LATER) is False


def test_set_lets_all_go(library: ModuleType) -> None:
    event = library.Event()
    runners = [blocked(event.wait) for _ in range(3)]
    runners += [blocked(event.wait, 1000) for _ in range(3)]
    event.set()
    assert [runner.result() for runner in runners] == [True] * 6


def test_set_and_clear_at_once_lets_all_go(library: ModuleType) -> None:
    event = library.Event()
    runners = [blocked(event.wait) for _ in range(3)]
    event.set()
    event.clear()
    assert [runner.result() for runner in runners] == [True] * 3
    assert event.wait(0) is False


def test_ping_pong(library: ModuleType) -> None:
    """Neither side ever misses a set, however the waits and the sets fall."""
    ping, pong = library.Event(), library.Event()

    def answer() -> None:
        for _ in range(500):
            assert ping.wait()
            ping.clear()
            pong.set()

    answerer = Runner(answer)
    for _ in range(500):
        ping.set()
        assert pong.wait(30)
        pong.clear()
    answerer.result()


ATTEMPTS: list[Attempt] = [
    lambda library: library.Event(1),
    lambda library: library.Event(flag=True),
    lambda library: library.Event().wait("1"),
    lambda library: library.Event().wait(1, 2),
    lambda library: library.Event().wait(seconds=1),
    lambda library: library.Event().wait(threading.TIMEOUT_MAX * 2),
    lambda library: library.Event().set(1),
    lambda library: library.Event().is_set(1),
    lambda library: library.Event().isSet(),
    lambda library: setattr(library.Event(), "extra", 1),
    lambda library: library.Event() == library.Event(),
    lambda library: library.Event()._at_fork_reinit(),
    lambda library: bool(library.Event()),
]


@pytest.mark.filterwarnings("ignore:isSet:DeprecationWarning")
@pytest.mark.parametrize(
    "attempt", ATTEMPTS, ids=lambda attempt: str(attempt.__code__.co_firstlineno)
)
def test_calls_come_to_the_same(attempt: Attempt) -> None:
    assert outcome(attempt, tress.threading) == outcome(attempt, threading)


def test_is_set_has_its_old_name(library: ModuleType) -> None:
    with pytest.warns(DeprecationWarning, match="is_set"):
        assert library.Event().isSet() is False


def test_errors_name_the_argument() -> None:
    with pytest.raises(TypeError, match=r"timeout.*seconds.*str"):
        tress.threading.Event().wait("1")  # type: ignore[arg-type]
    with pytest.raises(OverflowError, match="TIMEOUT_MAX"):
        tress.threading.Event().wait(1e300)
    with pytest.raises(ValueError, match="NaN"):
        tress.threading.Event().wait(float("nan"))


def test_subclasses(library: ModuleType) -> None:
    class Named(library.Event):  # type: ignore[name-defined, misc]
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    event = Named("n")
    assert event.name == "n"
    event.set()
    assert event.wait() is True
    assert isinstance(event, threading.Event)


def test_repr(library: ModuleType) -> None:
    event = library.Event()
    assert f"threading.Event at {id(event):#x}: unset" in repr(event)
    event.set()
    assert f"threading.Event at {id(event):#x}: set" in repr(event)


def test_statistics() -> None:
    event = tress.threading.Event()
    assert event.statistics() == {"set": False, "waiters": 0}
    runners = [Runner(event.wait) for _ in range(3)]
    until(lambda: waiters(event) == 3, "three wait")
    event.set()
    assert event.statistics() == {"set": True, "waiters": 0}
    for runner in runners:
        runner.result()


def test_timeouts_leave_no_waiters() -> None:
    event = tress.threading.Event()
    for _ in range(50):
        assert not event.wait(0.0002)
    assert event.statistics()["waiters"] == 0
    first = blocked(event.wait)
    assert not event.wait(LATER)
    event.set()
    assert first.result() is True


def test_weak_references(library: ModuleType) -> None:
    event = library.Event()
    reference = weakref.ref(event)
    del event
    assert reference() is None
