"""Queues between threads: who waits, who is woken, what arrives; nothing lost and nothing twice."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.threads.ordering import Runner, blocked, until
from tress.queue import (
    Empty,
    Full,
    LifoQueue,
    PriorityQueue,
    Queue,
    ShutDown,
    SimpleQueue,
)

CLASSES: list[type[Queue[Any]]] = [Queue, LifoQueue, PriorityQueue]
EVERY_CLASS: list[Callable[[], Any]] = [*CLASSES, SimpleQueue]


class Opened(Queue[Any]):
    """A queue that keeps its items by hooks of its own."""

    def _put(self, item: Any) -> None:
        super()._put(item)


BOUNDED: list[type[Queue[Any]]] = [*CLASSES, Opened]


@pytest.mark.parametrize("cls", [*EVERY_CLASS, Opened])
def test_get_waits_for_put(cls: Callable[[], Any]) -> None:
    q = cls()
    getter = blocked(q.get)
    q.put("item")
    assert getter.result() == "item"


@pytest.mark.parametrize("cls", BOUNDED)
def test_put_waits_for_get(cls: type[Queue[int]]) -> None:
    q = cls(1)
    q.put(1)
    putter = blocked(q.put, 2)
    assert q.get() == 1
    putter.result()
    assert q.get() == 2


@pytest.mark.parametrize("cls", EVERY_CLASS)
def test_a_wait_is_seen(cls: Callable[[], Any]) -> None:
    import tress

    q = cls()
    getter = blocked(q.get)
    until(lambda: q.statistics()["getters"] == 1, "the getter waits")
    (wait,) = [wait for wait in tress.waits() if wait.thread_ident == getter.thread.ident]
    assert wait.operation.endswith("Queue.get")
    assert "getters=1" in repr(q)
    q.put(None)
    getter.result()
    assert q.statistics()["getters"] == 0


def test_getters_are_served_in_the_order_in_which_they_came() -> None:
    q: Queue[int] = Queue()
    getters = []
    for count in range(1, 6):
        getters.append(Runner(q.get))
        until(lambda count=count: q.statistics()["getters"] == count, "one more waits")  # type: ignore[misc]
    q.put_many(range(5))
    assert [getter.result() for getter in getters] == [0, 1, 2, 3, 4]


def test_putters_are_let_in_in_the_order_in_which_they_came() -> None:
    q: Queue[int] = Queue(1)
    q.put(0)
    putters = []
    for item in range(1, 6):
        putters.append(Runner(q.put, item))
        until(lambda item=item: q.statistics()["putters"] == item, "one more waits")  # type: ignore[misc]
    assert [q.get() for _ in range(6)] == [0, 1, 2, 3, 4, 5]
    for putter in putters:
        putter.result()


@pytest.mark.parametrize("cls", CLASSES)
def test_raising_maxsize_lets_putters_in(cls: type[Queue[int]]) -> None:
    q = cls(1)
    q.put(0)
    putters = [blocked(q.put, 1), blocked(q.put, 2)]
    q.maxsize = 3
    for putter in putters:
        putter.result()


@pytest.mark.parametrize("cls", BOUNDED)
def test_join_waits_until_all_is_done(cls: type[Queue[int]]) -> None:
    q = cls()
    q.put_many([1, 2])
    joiner = blocked(q.join)
    q.task_done()
    assert joiner.is_running
    q.task_done()
    joiner.result()


@pytest.mark.parametrize("cls", BOUNDED)
@pytest.mark.parametrize("immediate", [False, True])
def test_shutdown_ends_every_wait(cls: type[Queue[int]], immediate: bool) -> None:
    q = cls(1)
    getters = [blocked(q.get), blocked(q.get_many, 3)]
    q.shutdown(immediate)
    for getter in getters:
        with pytest.raises(ShutDown):
            getter.result()
    q = cls(1)
    q.put(1)
    putters = [blocked(q.put, 2), blocked(q.put_many, [3, 4])]
    q.shutdown(immediate)
    for putter in putters:
        with pytest.raises(ShutDown):
            putter.result()
    assert q.qsize() == (0 if immediate else 1)


@pytest.mark.parametrize("cls", BOUNDED)
def test_immediate_shutdown_ends_join(cls: type[Queue[int]]) -> None:
    q = cls()
    q.put_many([1, 2])
    joiner = blocked(q.join)
    q.shutdown(immediate=True)
    joiner.result()


@pytest.mark.parametrize("cls", [Queue, LifoQueue, Opened])
def test_put_many_waits_for_room_for_all(cls: type[Queue[int]]) -> None:
    q = cls(2)
    putter = blocked(q.put_many, range(7))
    items = [q.get() for _ in range(7)]
    putter.result()
    assert sorted(items) == list(range(7))


def test_put_many_keeps_its_place_in_the_row() -> None:
    q: Queue[int] = Queue(1)
    q.put(0)
    many = blocked(q.put_many, [1, 2, 3])
    one = blocked(q.put, 4)
    assert [q.get() for _ in range(5)] == [0, 1, 2, 3, 4]
    many.result()
    one.result()


@pytest.mark.parametrize("cls", BOUNDED)
def test_timeouts_of_waiters_leave_the_queue_as_it_was(cls: type[Queue[int]]) -> None:
    q = cls(1)
    with pytest.raises(Empty):
        q.get(timeout=0.001)
    q.put(1)
    with pytest.raises(Full):
        q.put(2, timeout=0.001)
    waiting = q.statistics()
    assert (waiting["getters"], waiting["putters"]) == (0, 0)
    assert q.get() == 1
    with pytest.raises(Empty):
        q.get(timeout=0)


def test_a_comparison_that_takes_long_makes_others_wait_for_their_turn() -> None:
    class Slow:
        asked = threading.Event()
        goes_on = threading.Event()

        def __init__(self, value: int) -> None:
            self.value = value

        def __lt__(self, other: Slow) -> bool:
            Slow.asked.set()
            assert Slow.goes_on.wait(30)
            return self.value < other.value

    q: PriorityQueue[Slow] = PriorityQueue()
    q.put(Slow(3))
    putter = Runner(q.put, Slow(2))
    assert Slow.asked.wait(30)
    assert q.qsize() == 1
    others = [blocked(q.put, Slow(1)), blocked(q.get_nowait)]
    Slow.goes_on.set()
    putter.result()
    for other in others:
        other.result()
    assert q.qsize() == 2


def test_put_is_reentrant_from_a_signal_handler_and_a_weakref_callback() -> None:
    import signal
    import weakref

    q: SimpleQueue[str] = SimpleQueue()

    class Thing:
        pass

    def handle(signum: int, frame: object) -> None:
        q.put("signal")

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        thing = Thing()
        reference = weakref.ref(thing, lambda _: q.put("weakref"))
        del thing
        os.kill(os.getpid(), signal.SIGUSR1)
        assert {q.get(timeout=30), q.get(timeout=30)} == {"signal", "weakref"}
        assert reference() is None
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("cls", BOUNDED)
@pytest.mark.parametrize("bound", [1, 5, 0])
def test_every_item_arrives_once(cls: type[Queue[Any]], bound: int) -> None:
    """Producers and consumers that time out at random and take and put several at a time."""
    producers, consumers, each = 3, 3, 400
    q = cls(bound)
    received: list[list[tuple[int, int]]] = [[] for _ in range(consumers)]

    def produce(producer: int) -> None:
        dice = random.Random(producer)
        items = [(producer, number) for number in range(each)]
        while items:
            count = dice.choice([1, 1, 1, 4, 20])
            batch, items = items[:count], items[count:]
            timeout = dice.choice([None, 0, 0.0001, 0.001])
            if count == 1:
                try:
                    q.put(batch[0], timeout=timeout)
                except Full:
                    items = batch + items
                continue
            try:
                q.put_many(batch, timeout)
            except Full as full:
                items = full.remaining + items  # type: ignore[attr-defined]

    def consume(consumer: int) -> None:
        dice = random.Random(-consumer)
        mine = received[consumer]
        while True:
            timeout = dice.choice([None, 0, 0.0001, 0.001])
            try:
                if dice.random() < 0.5:
                    got = [q.get(timeout=timeout)]
                else:
                    got = q.get_many(dice.choice([1, 3, 50]), timeout)
            except Empty:
                continue
            except ShutDown:
                return
            mine += got
            for _ in got:
                q.task_done()

    threads = [Runner(produce, number) for number in range(producers)]
    ends = [Runner(consume, number) for number in range(consumers)]
    for thread in threads:
        thread.result()
    q.join()
    q.shutdown()
    for end in ends:
        end.result()
    everything = sorted(item for mine in received for item in mine)
    assert everything == [(a, b) for a in range(producers) for b in range(each)]
    if cls is Queue or cls is Opened:
        for mine in received:
            for producer in range(producers):
                numbers = [number for who, number in mine if who == producer]
                assert numbers == sorted(numbers), "first in, first out, for each producer"


def test_simple_queue_under_stress() -> None:
    q: SimpleQueue[int | None] = SimpleQueue()
    each = 5_000
    sums = []

    def produce() -> None:
        for item in range(each):
            q.put(item)

    def consume() -> None:
        total = 0
        while (item := q.get()) is not None:
            total += item
        sums.append(total)

    consumers = [Runner(consume) for _ in range(3)]
    producers = [Runner(produce) for _ in range(3)]
    for producer in producers:
        producer.result()
    for _ in consumers:
        q.put(None)
    for consumer in consumers:
        consumer.result()
    assert sum(sums) == 3 * sum(range(each))


def test_the_child_of_a_fork_uses_the_queues_on() -> None:
    """Threads of the parent wait in every call; the child has their queues to itself."""
    full: Queue[int] = Queue(1)
    full.put(1)
    empty: Queue[int] = Queue()
    simple: SimpleQueue[int] = SimpleQueue()
    waiting = [
        blocked(full.put, 2),
        blocked(full.join),
        blocked(empty.get),
        blocked(empty.get),
        blocked(simple.get),
    ]
    child = os.fork()
    if child == 0:
        code = 1
        try:
            # What the parent's threads were about to put is theirs; what they waited for is not.
            assert full.get(timeout=10) == 1
            assert full.empty()
            full.put(3, timeout=10)
            empty.put(4)
            assert empty.get(timeout=10) == 4
            simple.put(5)
            assert simple.get(timeout=10) == 5
            numbers = empty.statistics()
            assert (numbers["getters"], full.statistics()["putters"]) == (0, 0)
            full.task_done()
            full.task_done()
            full.join()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert full.get() == 1
    empty.put_many([1, 2])
    simple.put(1)
    full.task_done()
    full.task_done()
    for thread in waiting:
        thread.result()
