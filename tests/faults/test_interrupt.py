"""Ctrl-C reaches the main thread in every blocking call, and leaves everything usable."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from itertools import starmap
from pathlib import Path

import pytest

import tress
from tests.faults.scenes import SCENES, ConditionScene, Scene
from tests.threads.ordering import BOUND_S, Runner, until

ROUNDS = 200


@pytest.fixture(params=SCENES, ids=lambda scene: scene.__name__.removesuffix("Scene"))
def scene(request: pytest.FixtureRequest) -> Scene:
    made: Scene = request.param()
    return made


@pytest.fixture(autouse=True)
def interrupts() -> Iterator[None]:
    """SIGINT means KeyboardInterrupt, whoever started the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def main_waits() -> bool:
    main = threading.main_thread().ident
    return any(wait.thread_ident == main for wait in tress.waits())


def main_sleeps() -> bool:
    """Whether the main thread is asleep in the kernel, looked at again and again."""
    main = threading.main_thread()
    for _ in range(5):
        stat = Path(f"/proc/self/task/{main.native_id}/stat").read_text()
        if stat.rpartition(")")[2].split()[0] != "S":
            return False
        time.sleep(0.001)
    return main_waits()


def await_wait_of_main(scene: Scene) -> None:
    """Waits until the main thread waits: a signal may come at any moment from then on."""
    until(main_waits, "the main thread waits")
    if scene.sleeps_in_the_standard_library:
        until(main_sleeps, "the main thread sleeps")


def interrupt_main() -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def interrupt_once_it_waits(scene: Scene) -> None:
    await_wait_of_main(scene)
    interrupt_main()


def test_ctrl_c_ends_the_call_and_takes_nothing(scene: Scene) -> None:
    for _ in range(3):
        scene.prepare()
        results: list[object] = []
        sender = Runner(interrupt_once_it_waits, scene)
        with pytest.raises(KeyboardInterrupt), scene.context():
            results.extend(starmap(scene.call, [scene.arguments]))
        sender.result()
        assert results == []
        assert scene.waiters() == 0
        assert not main_waits()
        scene.settle(results)


def test_after_ctrl_c_the_call_goes_through(scene: Scene) -> None:
    scene.prepare()
    sender = Runner(interrupt_once_it_waits, scene)
    with pytest.raises(KeyboardInterrupt), scene.context():
        scene.call(*scene.arguments)
    sender.result()

    def release_once_it_waits() -> None:
        until(main_waits, "the main thread waits")
        scene.release()

    results: list[object] = []
    releaser = Runner(release_once_it_waits)
    with scene.context():
        results.extend(starmap(scene.call, [scene.arguments]))
    releaser.result()
    assert len(results) == 1
    scene.settle(results)


def test_a_handler_that_raises_nothing_does_not_end_the_call(scene: Scene) -> None:
    seen: list[int] = []
    signal.signal(signal.SIGINT, lambda signum, frame: seen.append(signum))
    scene.prepare()

    def interrupt_and_release() -> None:
        for count in range(1, 6):
            await_wait_of_main(scene)
            interrupt_main()
            until(lambda count=count: len(seen) == count, "the handler ran")  # type: ignore[misc]
        until(main_waits, "the main thread waits again")
        scene.release()

    results: list[object] = []
    other = Runner(interrupt_and_release)
    with scene.context():
        results.extend(starmap(scene.call, [scene.arguments]))
    other.result()
    assert len(results) == 1
    assert seen == [signal.SIGINT] * 5
    scene.settle(results)


class Interrupted(Exception):
    """What the handler of the race raises."""


class Race:
    """A signal and a release that come at the same moment."""

    def __init__(self) -> None:
        self.armed = False
        self.handled = 0
        self.outcomes = [0, 0]
        signal.signal(signal.SIGINT, self.handle)

    def handle(self, signum: int, frame: object) -> None:
        self.handled += 1
        if self.armed:
            raise Interrupted

    def disturb(self, scene: Scene, turn: int) -> None:
        await_wait_of_main(scene)
        if turn % 2:
            interrupt_main()
            scene.release()
        else:
            scene.release()
            interrupt_main()

    def run(self, scene: Scene, turn: int) -> None:
        scene.prepare()
        results: list[object] = []
        before = self.handled
        other = Runner(self.disturb, scene, turn)
        try:
            with scene.context():
                self.armed = True
                # From the call's return to the list there is no place for a signal.
                results.extend(starmap(scene.call, [scene.arguments]))
                self.armed = False
        except Interrupted:
            pass
        finally:
            self.armed = False
        other.result()
        until(lambda: self.handled == before + 1, "the handler ran")
        self.outcomes[len(results)] += 1
        scene.settle(results)
        assert scene.waiters() == 0


def test_a_release_and_a_signal_at_once_lose_nothing(scene: Scene) -> None:
    race = Race()
    for turn in range(ROUNDS):
        race.run(scene, turn)
    assert sum(race.outcomes) == ROUNDS


def test_the_lock_of_a_condition_is_held_when_ctrl_c_arrives_while_it_is_taken_again() -> None:
    """Notified, the wait is for the lock, which another thread keeps: the exception comes when the
    lock is had, and not before.
    """
    scene = ConditionScene()
    condition = scene.condition
    go_on = threading.Event()

    def notify_and_keep() -> None:
        until(main_waits, "the main thread waits")
        with condition:
            condition.notify()
            interrupt_main()
            assert go_on.wait(BOUND_S)

    def let_go() -> None:
        until(lambda: condition.statistics()["lock"]["owner"] == keeper.thread.ident, "it is kept")
        go_on.set()

    keeper = Runner(notify_and_keep)
    releaser = Runner(let_go)
    with condition:
        with pytest.raises(KeyboardInterrupt):
            condition.wait()
        assert condition._is_owned()
    keeper.result()
    releaser.result()
    assert Runner(condition.acquire, False).result() is True


def test_two_signals_while_a_conditions_lock_is_taken_again() -> None:
    condition = tress.threading.Condition()
    seen: list[int] = []

    class Second(Exception):
        pass

    def handle(signum: int, frame: object) -> None:
        seen.append(signum)
        raise Interrupted if len(seen) == 1 else Second

    signal.signal(signal.SIGINT, handle)

    def notify_and_keep() -> None:
        until(main_waits, "the main thread waits")
        with condition:
            interrupt_main()
            until(lambda: len(seen) == 1, "the first is handled")
            until(main_waits, "the main thread waits for the lock")
            interrupt_main()
            until(lambda: len(seen) == 2, "the second is handled")

    keeper = Runner(notify_and_keep)
    with condition:
        with pytest.raises((Interrupted, Second)):
            condition.wait()
        assert condition._is_owned()
    keeper.result()
    assert seen == [signal.SIGINT] * 2


def test_a_signal_at_any_moment_is_seen() -> None:
    """Also one that comes when the main thread has looked for signals and does not sleep yet."""
    event = tress.threading.Event()
    seen: list[int] = []
    signal.signal(signal.SIGINT, lambda signum, frame: seen.append(signum))

    def send() -> None:
        try:
            for count in range(1, 501):
                until(main_waits, "the main thread waits")
                interrupt_main()
                # No pause: the next one comes while the main thread goes back to sleep.
                end = time.monotonic() + BOUND_S
                while len(seen) < count:
                    assert time.monotonic() < end, f"signal {count} is not seen"
                    time.sleep(0)
        finally:
            event.set()

    sender = Runner(send)
    assert event.wait() is True
    sender.result()
    assert len(seen) == 500


def test_the_place_of_an_interrupted_arrival_goes_to_the_next() -> None:
    barrier = tress.threading.Barrier(3)

    def arrive_and_interrupt() -> int:
        until(main_waits, "the main thread waits")
        other = Runner(barrier.wait)
        until(lambda: barrier.n_waiting == 2, "the other waits")
        interrupt_main()
        place: int = other.result()
        return place

    other = Runner(arrive_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        barrier.wait()
    assert barrier.n_waiting == 1
    third = Runner(barrier.wait)
    until(lambda: barrier.n_waiting == 2, "the third waits")
    assert sorted((barrier.wait(), third.result(), other.result())) == [0, 1, 2]
