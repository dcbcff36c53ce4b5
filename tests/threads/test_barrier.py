"""Barrier, beside the standard library's."""

from __future__ import annotations

import threading
import weakref
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

import tress.threading
from tests.threads.ordering import BOUND_S, Attempt, Runner, blocked, is_ours, outcome, until

LATER = 0.01


def arrive(barrier: Any, timeout: float | None = None) -> Runner:
    """A thread that waits at the barrier, which is not the last to come."""
    before = barrier.n_waiting
    runner = Runner(barrier.wait, timeout)
    until(lambda: barrier.n_waiting == before + 1, "one more waits")
    return runner


def test_one_party_passes_at_once(library: ModuleType) -> None:
    barrier = library.Barrier(1)
    assert [barrier.wait() for _ in range(3)] == [0, 0, 0]


def test_all_meet_and_each_has_a_place_of_its_own(library: ModuleType) -> None:
    barrier = library.Barrier(4)
    assert (barrier.parties, barrier.n_waiting, barrier.broken) == (4, 0, False)
    runners = [arrive(barrier) for _ in range(3)]
    assert barrier.n_waiting == 3
    assert barrier.wait() == 3
    assert [runner.result() for runner in runners] == [0, 1, 2]
    until(lambda: barrier.n_waiting == 0, "all have left")


def test_again_and_again(library: ModuleType) -> None:
    barrier = library.Barrier(4)
    rounds = [0] * 4

    def go_round(place: int) -> None:
        for number in range(200):
            rounds[place] = number
            barrier.wait(BOUND_S)
            assert set(rounds) <= {number, number + 1}
            barrier.wait(BOUND_S)

    for runner in [Runner(go_round, place) for place in range(4)]:
        runner.result()


def test_the_last_runs_the_action_before_any_goes_on(library: ModuleType) -> None:
    by: list[int] = []
    barrier = library.Barrier(3, lambda: by.append(threading.get_ident()))
    runners = [arrive(barrier) for _ in range(2)]
    assert by == []
    barrier.wait()
    assert by == [threading.get_ident()]
    for runner in runners:
        runner.result()


def test_an_action_that_fails_breaks_the_barrier(library: ModuleType) -> None:
    barrier = library.Barrier(2, lambda: 1 / 0)
    runner = arrive(barrier)
    with pytest.raises(ZeroDivisionError):
        barrier.wait()
    with pytest.raises(threading.BrokenBarrierError):
        runner.result()
    assert barrier.broken is True
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait()


def test_abort(library: ModuleType) -> None:
    barrier = library.Barrier(3)
    runners = [arrive(barrier) for _ in range(2)]
    assert barrier.abort() is None
    for runner in runners:
        with pytest.raises(threading.BrokenBarrierError):
            runner.result()
    assert barrier.broken is True
    until(lambda: barrier.n_waiting == 0, "all have left")
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait()


def test_reset_ends_the_waits_and_mends(library: ModuleType) -> None:
    barrier = library.Barrier(3)
    runners = [arrive(barrier) for _ in range(2)]
    assert barrier.reset() is None
    for runner in runners:
        with pytest.raises(threading.BrokenBarrierError):
            runner.result()
    until(lambda: barrier.n_waiting == 0, "all have left")
    assert barrier.broken is False
    barrier.abort()
    barrier.reset()
    assert barrier.broken is False
    runners = [arrive(barrier) for _ in range(2)]
    assert barrier.wait() == 2
    for runner in runners:
        runner.result()


def test_a_timeout_breaks_it_for_all(library: ModuleType) -> None:
    barrier = library.Barrier(3)
    runner = arrive(barrier)
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait(LATER)
    with pytest.raises(threading.BrokenBarrierError):
        runner.result()
    assert barrier.broken


def test_its_own_timeout_counts_where_none_is_given(library: ModuleType) -> None:
    barrier = library.Barrier(2, None, LATER)
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait()
    barrier.reset()
    runner = arrive(barrier, 1000)
    assert barrier.wait() == 1
    assert runner.result() == 0
    with pytest.raises(threading.BrokenBarrierError):
        library.Barrier(parties=2, action=None, timeout=1000).wait(timeout=LATER)


def test_no_time_at_all(library: ModuleType) -> None:
    barrier = library.Barrier(2)
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait(0)
    assert barrier.broken


def test_while_the_action_runs_nobody_of_its_round_times_out(library: ModuleType) -> None:
    """All have met: that the action takes longer than a wait's timeout does not break the round."""
    acting, go_on = threading.Event(), threading.Event()

    def act() -> None:
        acting.set()
        assert go_on.wait(BOUND_S)

    barrier = library.Barrier(2, act)
    early = arrive(barrier, 0.5)
    late = Runner(barrier.wait)
    assert acting.wait(BOUND_S)
    threading.Event().wait(0.6)
    go_on.set()
    assert sorted((early.result(), late.result())) == [0, 1]
    assert not barrier.broken


def test_who_comes_while_the_action_runs_is_of_the_next_round(library: ModuleType) -> None:
    acting, go_on = threading.Event(), threading.Event()

    def act() -> None:
        acting.set()
        assert go_on.wait(BOUND_S)

    barrier = library.Barrier(2, act)
    early, late = arrive(barrier), Runner(barrier.wait)
    assert acting.wait(BOUND_S)
    next_one = blocked(barrier.wait)
    go_on.set()
    assert sorted((early.result(), late.result())) == [0, 1]
    until(lambda: barrier.n_waiting == 1, "the next round has begun")
    assert next_one.is_running
    barrier.wait()
    next_one.result()


ATTEMPTS: list[Attempt] = [
    lambda library: library.Barrier(),
    lambda library: library.Barrier(1, 2, 3, 4),
    lambda library: library.Barrier(members=2),
    lambda library: library.Barrier(1).wait(1, 2),
    lambda library: library.Barrier(2).wait("1"),
    lambda library: library.Barrier(1).parties,
    lambda library: library.Barrier(1).n_waiting,
    lambda library: library.Barrier(1).broken,
    lambda library: setattr(library.Barrier(1), "parties", 2),
    lambda library: setattr(library.Barrier(1), "extra", 2),
    lambda library: library.Barrier(1) == library.Barrier(1),
]


@pytest.mark.parametrize(
    "attempt", ATTEMPTS, ids=lambda attempt: str(attempt.__code__.co_firstlineno)
)
def test_calls_come_to_the_same(attempt: Attempt) -> None:
    assert outcome(attempt, tress.threading) == outcome(attempt, threading)


def test_errors_name_the_argument() -> None:
    for parties in (0, -1):
        with pytest.raises(ValueError, match=f"parties must be >= 1, not {parties}"):
            tress.threading.Barrier(parties)
    with pytest.raises(TypeError, match="must be an int, not str") as raised:
        tress.threading.Barrier("2")  # type: ignore[arg-type]
    assert "'parties'" in raised.value.__notes__[0]
    assert tress.threading.Barrier(2**70).n_waiting == 0


def test_subclasses(library: ModuleType) -> None:
    class Counting(library.Barrier):  # type: ignore[name-defined, misc]
        def __init__(self, parties: int) -> None:
            super().__init__(parties, self.act)
            self.rounds = 0

        def act(self) -> None:
            self.rounds += 1

    barrier = Counting(1)
    barrier.wait()
    barrier.wait()
    assert barrier.rounds == 2
    assert isinstance(barrier, threading.Barrier)


def test_repr(library: ModuleType) -> None:
    barrier = library.Barrier(3)
    runner = arrive(barrier)
    assert repr(barrier).endswith(f"threading.Barrier at {id(barrier):#x}: waiters=1/3>")
    barrier.abort()
    assert repr(barrier).endswith(": broken>")
    with pytest.raises(threading.BrokenBarrierError):
        runner.result()


def test_statistics() -> None:
    barrier = tress.threading.Barrier(3)
    assert barrier.statistics() == {"parties": 3, "waiters": 0, "broken": False}
    runner = arrive(barrier)
    assert barrier.statistics() == {"parties": 3, "waiters": 1, "broken": False}
    barrier.abort()
    assert barrier.statistics() == {"parties": 3, "waiters": 0, "broken": True}
    with pytest.raises(threading.BrokenBarrierError):
        runner.result()


def test_the_error_is_the_standard_one(library: ModuleType) -> None:
    assert library.BrokenBarrierError is threading.BrokenBarrierError


def test_weak_references(library: ModuleType) -> None:
    barrier = library.Barrier(2)
    reference = weakref.ref(barrier)
    del barrier
    assert reference() is None


@settings(max_examples=40, deadline=None)
@given(
    parties=st.integers(1, 3),
    steps=st.lists(st.sampled_from(["arrive", "abort", "reset", "time out"]), max_size=20),
)
def test_a_barrier_is_its_model(parties: int, steps: list[str]) -> None:
    """Any sequence of calls comes to what a count of arrivals would."""
    barrier = tress.threading.Barrier(parties)
    waiting: list[Runner] = []
    broken = False

    def all_break() -> None:
        for runner in waiting:
            with pytest.raises(threading.BrokenBarrierError):
                runner.result()
        waiting.clear()

    for step in steps:
        if step == "abort":
            barrier.abort()
            broken = True
            all_break()
        elif step == "reset":
            barrier.reset()
            broken = False
            all_break()
        elif broken:
            with pytest.raises(threading.BrokenBarrierError):
                barrier.wait()
        elif len(waiting) + 1 == parties:
            assert barrier.wait(0 if step == "time out" else None) == parties - 1
            assert [runner.result() for runner in waiting] == list(range(parties - 1))
            waiting.clear()
        elif step == "time out":
            with pytest.raises(threading.BrokenBarrierError):
                barrier.wait(0.0001)
            broken = True
            all_break()
        else:
            waiting.append(arrive(barrier))
        assert (barrier.n_waiting, barrier.broken) == (len(waiting), broken)
    barrier.abort()
    all_break()


def test_a_generation_never_mixes_with_the_next(library: ModuleType) -> None:
    """A thread that comes round again before the others have left does not pass in their stead."""
    parties, rounds = 3, 300 if is_ours(library) else 100
    barrier = library.Barrier(parties)
    passed = [0] * parties

    def go_round(place: int) -> None:
        for number in range(1, rounds + 1):
            barrier.wait(BOUND_S)
            passed[place] = number
            assert max(passed) - min(passed) <= 1

    for runner in [Runner(go_round, place) for place in range(parties)]:
        runner.result()
