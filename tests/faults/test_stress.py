"""What is put in comes out once, whatever times out or is interrupted meanwhile.

TRESS_STRESS_ITEMS says how many items each thread puts in.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import starmap
from typing import Any

import pytest

import tress.queue
import tress.threading
from tests.threads.ordering import Runner, until

ITEMS = int(os.environ.get("TRESS_STRESS_ITEMS", "5000"))
GIVERS = TAKERS = 3

pytestmark = pytest.mark.bound(60 + ITEMS / 50)


class Interrupted(Exception):
    """What the handler raises while the main thread is ready for it."""


class Interrupts:
    """A storm of signals to the main thread."""

    def __init__(self) -> None:
        self.armed = False
        self.raised = 0

    def handle(self, signum: int, frame: object) -> None:
        if self.armed:
            self.raised += 1
            raise Interrupted

    def extend(self, results: list[Any], call: Callable[..., object], *arguments: object) -> None:
        """Adds what a native call returns; no signal can come between its return and that."""
        try:
            self.armed = True
            results.extend(starmap(call, [arguments]))
            self.armed = False
        except Interrupted:
            pass
        finally:
            self.armed = False


@contextmanager
def interrupting() -> Iterator[Interrupts]:
    interrupts = Interrupts()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.00001)
    before = signal.signal(signal.SIGALRM, interrupts.handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
    try:
        yield interrupts
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        sys.setswitchinterval(interval)


def put_all(queue: Any, first: int) -> None:
    chance = random.Random(first)
    for item in range(first, first + ITEMS):
        while True:
            try:
                if chance.random() < 0.3:
                    queue.put(item)
                else:
                    queue.put(item, timeout=0.0001 * chance.random())
                break
            except tress.queue.Full:
                continue


def take_all(queue: Any, seed: int, taken: list[int], over: threading.Event) -> None:
    chance = random.Random(seed)
    while not over.is_set():
        try:
            taken.append(queue.get(timeout=0.0002 * chance.random()))
        except tress.queue.Empty:
            continue


QUEUES: dict[str, Callable[[], Any]] = {
    "Queue": tress.queue.Queue,
    "Queue(1)": lambda: tress.queue.Queue(1),
    "Queue(7)": lambda: tress.queue.Queue(7),
    "LifoQueue(3)": lambda: tress.queue.LifoQueue(3),
    "PriorityQueue(3)": lambda: tress.queue.PriorityQueue(3),
    "SimpleQueue": tress.queue.SimpleQueue,
}


@pytest.mark.parametrize("make", QUEUES.values(), ids=QUEUES)
def test_items(make: Callable[[], Any]) -> None:
    queue = make()
    over = threading.Event()
    taken: list[list[int]] = [[] for _ in range(TAKERS + 1)]
    takers = [Runner(take_all, queue, place, taken[place], over) for place in range(TAKERS)]
    with interrupting() as interrupts:
        givers = [Runner(put_all, queue, place * ITEMS) for place in range(GIVERS)]
        while not interrupts.raised or any(giver.is_running for giver in givers):
            try:
                interrupts.extend(taken[-1], queue.get, True, 0.01)
            except tress.queue.Empty:
                continue
    for giver in givers:
        giver.result()
    while not queue.empty():
        try:
            taken[-1].append(queue.get_nowait())
        except tress.queue.Empty:
            continue
    over.set()
    for taker in takers:
        taker.result()
    counted = Counter(item for items in taken for item in items)
    assert len(counted) == GIVERS * ITEMS
    assert set(counted.values()) == {1}
    numbers = queue.statistics()
    assert (numbers["puts"], numbers["gets"]) == (GIVERS * ITEMS, GIVERS * ITEMS)
    assert numbers["getters"] == 0


@pytest.mark.parametrize("kind", ["Semaphore", "BoundedSemaphore"])
def test_permits(kind: str) -> None:
    permits = 3
    semaphore = getattr(tress.threading, kind)(permits)
    inside = most = 0
    count = threading.Lock()

    def enter() -> None:
        nonlocal inside, most
        with count:
            inside += 1
            most = max(most, inside)

    def leave() -> None:
        nonlocal inside
        with count:
            inside -= 1

    def work(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(ITEMS):
            if semaphore.acquire(timeout=0.0003 * chance.random()):
                enter()
                leave()
                semaphore.release()
            elif chance.random() < 0.2:
                with semaphore:
                    enter()
                    leave()

    with interrupting() as interrupts:
        workers = [Runner(work, seed) for seed in range(6)]
        while not interrupts.raised or any(worker.is_running for worker in workers):
            taken: list[Any] = []
            interrupts.extend(taken, semaphore.acquire, True, 0.001)
            if taken == [True]:
                enter()
                leave()
                semaphore.release()
    for worker in workers:
        worker.result()
    assert most <= permits
    assert semaphore._value == permits
    assert semaphore.statistics()["waiters"] == 0


@pytest.mark.parametrize("make", [tress.threading.Lock, tress.threading.RLock])
def test_locks(make: Callable[[], Any]) -> None:
    lock = make()
    inside = 0

    def visit() -> None:
        nonlocal inside
        inside += 1
        assert inside == 1
        sum(range(10))
        assert inside == 1
        inside -= 1

    def work(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(ITEMS):
            if chance.random() < 0.3:
                with lock:
                    visit()
            elif lock.acquire(timeout=0.0003 * chance.random()):
                visit()
                lock.release()

    with interrupting() as interrupts:
        workers = [Runner(work, seed) for seed in range(6)]
        while not interrupts.raised or any(worker.is_running for worker in workers):
            taken: list[Any] = []
            interrupts.extend(taken, lock.acquire)
            if taken:
                visit()
                lock.release()
    for worker in workers:
        worker.result()
    assert lock.acquire(False)
    assert lock.statistics()["waiters"] == 0


def test_a_condition() -> None:
    """Tokens behind a condition, taken by threads that time out and one that is interrupted."""
    condition = tress.threading.Condition()
    tokens = given = taken = 0
    over = threading.Event()

    def take(seed: int) -> None:
        nonlocal tokens, taken
        chance = random.Random(seed)
        while not over.is_set():
            with condition:
                if not tokens:
                    condition.wait(0.0005 * chance.random())
                if tokens:
                    tokens -= 1
                    taken += 1

    def give() -> None:
        nonlocal tokens, given
        for _ in range(ITEMS):
            with condition:
                tokens += 1
                given += 1
                condition.notify()

    with interrupting() as interrupts:
        takers = [Runner(take, seed) for seed in range(3)]
        givers = [Runner(give) for _ in range(2)]
        while not interrupts.raised or any(giver.is_running for giver in givers):
            with condition:
                interrupts.extend([], condition.wait, 0.001)
                assert condition._is_owned()
    for giver in givers:
        giver.result()
    until(lambda: not tokens, "all tokens are taken")
    over.set()
    for taker in takers:
        taker.result()
    assert (given, taken, tokens) == (2 * ITEMS, 2 * ITEMS, 0)
    assert condition.statistics()["waiters"] == 0
