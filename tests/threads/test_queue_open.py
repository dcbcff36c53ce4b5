"""Queues that somebody reaches into: the live parts, the hooks, and the move."""

from __future__ import annotations

import gc
import heapq
import queue as standard
import threading
import weakref
from collections import deque
from typing import Any

import pytest

import tress.threading
from tests.threads.ordering import Runner, blocked, until
from tress.queue import Empty, Full, LifoQueue, PriorityQueue, Queue, ShutDown

PARTS = ["mutex", "not_empty", "not_full", "all_tasks_done", "queue"]


@pytest.mark.parametrize("part", PARTS)
def test_asking_for_a_part_opens_the_queue(part: str) -> None:
    q: Queue[int] = Queue(2)
    q.put_many([1, 2])
    assert not q.statistics()["open"]
    assert getattr(q, part) is getattr(q, part)
    assert q.statistics()["open"]
    assert (q.qsize(), q.unfinished_tasks, q.full()) == (2, 2, True)
    assert q.get() == 1
    q.put(3)
    with pytest.raises(Full):
        q.put_nowait(4)
    assert (q.get(), q.get()) == (2, 3)
    with pytest.raises(Empty):
        q.get(timeout=0.001)


@pytest.mark.parametrize(
    ("cls", "kind", "order"),
    [(Queue, deque, [2, 1, 3]), (LifoQueue, list, [3, 1, 2]), (PriorityQueue, list, [1, 2, 3])],
)
def test_the_container_is_the_standard_one(
    cls: type[Queue[int]], kind: type, order: list[int]
) -> None:
    q = cls()
    q.put_many([2, 1, 3])
    assert type(q.queue) is kind
    assert q.qsize() == 3
    assert [q.get() for _ in range(3)] == order


def test_numbers_and_sizes_are_read_without_opening() -> None:
    q: Queue[int] = Queue(3)
    q.maxsize = 4
    q.unfinished_tasks = 0
    q.is_shutdown = False
    assert (q.maxsize, q.unfinished_tasks, q.is_shutdown) == (4, 0, False)
    assert (q.qsize(), q.empty(), q.full()) == (0, True, False)
    assert "size=0" in repr(q)
    assert not q.statistics()["open"]


def test_the_queue_is_cleared_behind_its_back() -> None:
    q: Queue[int] = Queue(2)
    q.put_many([1, 2])
    putter = blocked(q.put, 3)
    with q.mutex:
        q.queue.clear()
        q.unfinished_tasks = 0
        q.not_full.notify_all()
    putter.result()
    assert q.get() == 3


def test_a_condition_is_waited_for() -> None:
    q: Queue[int] = Queue()
    q.put(1)

    def wait_for_the_end() -> None:
        with q.all_tasks_done:
            q.all_tasks_done.wait_for(lambda: q.unfinished_tasks == 0)

    waiting = blocked(wait_for_the_end)
    q.get()
    q.task_done()
    waiting.result()
    assert isinstance(q.all_tasks_done, tress.threading.Condition)


def test_whoever_waits_while_the_queue_is_opened_goes_on_waiting() -> None:
    q: Queue[int] = Queue(1)
    getters = [blocked(q.get), blocked(q.get, True, 60), blocked(q.get_many, 5)]
    q.mutex  # noqa: B018
    q.put(1)
    q.put(2)
    q.put(3)
    results = [getter.result() for getter in getters]
    assert sorted(item if isinstance(item, int) else item[0] for item in results) == [1, 2, 3]
    for _ in range(3):
        q.task_done()

    full: Queue[int] = Queue(1)
    full.put(0)
    putters = [blocked(full.put, 1), blocked(full.put, 2, True, 60), blocked(full.put_many, [3, 4])]
    joiner = blocked(full.join)
    assert list(full.queue) == [0]
    assert sorted(full.get() for _ in range(5)) == [0, 1, 2, 3, 4]
    for putter in putters:
        putter.result()
    for _ in range(5):
        full.task_done()
    joiner.result()


def test_a_timeout_goes_on_across_the_opening() -> None:
    q: Queue[int] = Queue()
    getter = blocked(q.get, True, 0.2)
    q.mutex  # noqa: B018
    with pytest.raises(Empty):
        getter.result()


def test_shutdown_of_an_open_queue() -> None:
    q: Queue[int] = Queue(1)
    q.put(1)
    with q.mutex:
        pass
    putter = blocked(q.put, 2)
    q.shutdown()
    with pytest.raises(ShutDown):
        putter.result()
    assert q.get() == 1
    with pytest.raises(ShutDown):
        q.get()


def test_statistics_of_an_open_queue() -> None:
    q: Queue[int] = Queue()
    q.put_many([1, 2, 3])
    q.mutex  # noqa: B018
    q.get()
    q.put(4)
    numbers = q.statistics()
    assert (numbers["puts"], numbers["gets"], numbers["size"]) == (4, 1, 3)
    assert numbers["high_water"] == 3
    q.get_many(9)
    getter = blocked(q.get)
    until(lambda: q.statistics()["getters"] == 1, "the getter waits")
    q.put(5)
    getter.result()


class Unique(Queue[Any]):
    """No item twice: a set in place of the deque, as people write it."""

    def _init(self, maxsize: int) -> None:
        self.queue = set()

    def _put(self, item: Any) -> None:
        self.queue.add(item)

    def _get(self) -> Any:
        return self.queue.pop()


def test_hooks_that_bring_a_container_of_their_own() -> None:
    q = Unique(2)
    q.put(1)
    q.put(1)
    assert (q.qsize(), q.unfinished_tasks) == (1, 2)
    q.put_many([2])
    with pytest.raises(Full):
        q.put(3, timeout=0)
    assert set(q.get_many(5)) == {1, 2}
    with pytest.raises(Empty):
        q.get_nowait()


def test_hooks_run_with_the_mutex_held() -> None:
    seen = []

    class Watched(PriorityQueue[int]):
        def _qsize(self) -> int:
            seen.append(("_qsize", self.mutex.locked()))
            return super()._qsize()

        def _put(self, item: int) -> None:
            seen.append(("_put", self.mutex.locked()))
            heapq.heappush(self.queue, item)

        def _get(self) -> int:
            seen.append(("_get", self.mutex.locked()))
            return super()._get()

    q = Watched()
    q.put(2)
    q.put(1)
    assert q.get() == 1
    assert q.qsize() == 1
    assert {name for name, _ in seen} == {"_qsize", "_put", "_get"}
    assert all(held for _, held in seen)


def test_a_hook_that_raises() -> None:
    class Fails(Queue[int]):
        def _put(self, item: int) -> None:
            raise LookupError

    q = Fails()
    with pytest.raises(LookupError):
        q.put(1)
    assert (q.qsize(), q.unfinished_tasks) == (0, 0)
    with pytest.raises(LookupError) as error:
        q.put_many([1, 2])
    assert error.value.remaining == [1, 2]  # type: ignore[attr-defined]


def test_hooks_of_a_standard_class_keep_the_queue_native() -> None:
    class Plain(LifoQueue[int]):
        def describe(self) -> str:
            return "plain"

    q = Plain()
    q.put_many([1, 2])
    assert (q.get(), q.statistics()["open"]) == (2, False)


def test_methods_of_the_standard_class_work_on_ours() -> None:
    q: Queue[int] = Queue(2)
    q.put(1)
    standard.Queue.put(q, 2)
    assert standard.Queue.qsize(q) == 2
    assert standard.Queue.get(q) == 1
    assert q.get() == 2
    assert q._qsize() == 0


def test_opening_from_many_threads_at_once_moves_every_item_once() -> None:
    for _ in range(50):
        q: Queue[int] = Queue()
        q.put_many(range(100))
        start = threading.Barrier(4)
        taken: list[list[int]] = []

        def reach(
            q: Queue[int] = q,
            start: threading.Barrier = start,
            taken: list[list[int]] = taken,
        ) -> None:
            start.wait(30)
            with q.mutex:
                mine = [q._get() for _ in range(25)]
            taken.append(mine)

        threads = [threading.Thread(target=reach) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(item for mine in taken for item in mine) == list(range(100))


def test_opening_while_others_put_and_get_loses_nothing() -> None:
    for bound in (0, 3):
        q: Queue[int] = Queue(bound)
        received: list[int] = []

        def produce(q: Queue[int] = q) -> None:
            for item in range(2_000):
                q.put(item)
            q.shutdown()

        def consume(q: Queue[int] = q, received: list[int] = received) -> None:
            try:
                while True:
                    received.append(q.get())
            except ShutDown:
                pass

        threads = [threading.Thread(target=produce), threading.Thread(target=consume)]
        for thread in threads:
            thread.start()
        until(lambda received=received: len(received) > 500, "some have arrived")  # type: ignore[misc]
        q.mutex  # noqa: B018
        for thread in threads:
            thread.join(30)
        assert received == list(range(2_000))


@pytest.mark.parametrize("part", ["mutex", "not_empty", "not_full", "all_tasks_done"])
def test_parts_may_be_replaced(part: str) -> None:
    q: Queue[int] = Queue()
    mutex = threading.Lock()
    for name, value in {
        "mutex": mutex,
        "not_empty": threading.Condition(mutex),
        "not_full": threading.Condition(mutex),
        "all_tasks_done": threading.Condition(mutex),
    }.items():
        setattr(q, name, value)
    assert isinstance(getattr(q, part), type(mutex) if part == "mutex" else threading.Condition)
    getter = Runner(q.get)
    q.put(1)
    assert getter.result() == 1
    with mutex:
        putter = Runner(q.put, 2)
        assert putter.is_running
    putter.result()
    assert q.get() == 2
    q.task_done()
    q.task_done()
    q.join()


@pytest.mark.parametrize("cls", [Queue, LifoQueue, PriorityQueue, Unique])
def test_open_queues_are_collected_with_what_is_in_them(cls: type[Queue[Any]]) -> None:
    class Item:
        queue: Any

        def __lt__(self, other: object) -> bool:
            return False

    q = cls()
    q.mutex  # noqa: B018
    for _ in range(3):
        item = Item()
        item.queue = q
        q.put(item)
    alive, queue_alive = weakref.ref(item), weakref.ref(q)
    del q, item
    gc.collect()
    assert alive() is None
    assert queue_alive() is None


def test_a_container_replaced_behind_the_queues_back() -> None:
    q: Queue[int] = Queue()
    q.put(1)
    with q.mutex:
        q.queue = deque([7, 8])
    assert (q.qsize(), q.get(), q.get()) == (2, 7, 8)
