"""Queues as one thread sees them: order, bounds, errors, numbers, and what they are."""

from __future__ import annotations

import copy
import gc
import pickle
import queue as standard
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from tress import queue
from tress.queue import Empty, Full, LifoQueue, PriorityQueue, Queue, ShutDown, SimpleQueue

CLASSES: list[type[Queue[Any]]] = [Queue, LifoQueue, PriorityQueue]
EVERY_CLASS: list[Callable[[], Any]] = [*CLASSES, SimpleQueue]


@pytest.mark.parametrize(
    ("cls", "expected"), [(Queue, [2, 1, 3]), (LifoQueue, [3, 1, 2]), (PriorityQueue, [1, 2, 3])]
)
def test_order(cls: type[Queue[int]], expected: list[int]) -> None:
    q = cls()
    for item in [2, 1, 3]:
        q.put(item)
    assert [q.get() for _ in range(3)] == expected


def test_the_classes_are_kin_of_the_standard_ones() -> None:
    for cls in CLASSES:
        assert issubclass(cls, getattr(standard, cls.__name__))
        assert isinstance(cls(), Queue)
    assert queue.Empty is standard.Empty
    assert queue.Full is standard.Full
    if sys.version_info >= (3, 13):
        assert queue.ShutDown is standard.ShutDown


def test_every_standard_name_is_there() -> None:
    assert set(standard.__all__) <= set(queue.__all__)
    assert all(hasattr(queue, name) for name in queue.__all__)


@pytest.mark.parametrize("cls", CLASSES)
def test_bound(cls: type[Queue[int]]) -> None:
    q = cls(2)
    q.put(1)
    assert not q.full()
    q.put(2, timeout=1)
    assert q.full()
    with pytest.raises(Full):
        q.put(3, block=False)
    with pytest.raises(Full):
        q.put_nowait(3)
    with pytest.raises(Full):
        q.put(3, timeout=0.001)
    assert q.qsize() == 2
    assert {q.get(), q.get()} == {1, 2}
    assert q.empty()


@pytest.mark.parametrize("cls", EVERY_CLASS)
def test_get_from_an_empty_queue(cls: Callable[[], Any]) -> None:
    q = cls()
    with pytest.raises(Empty):
        q.get(block=False)
    with pytest.raises(Empty):
        q.get_nowait()
    with pytest.raises(Empty):
        q.get(timeout=0)
    with pytest.raises(Empty):
        q.get(timeout=0.001)
    with pytest.raises(Empty):
        q.get(False, -1)


@pytest.mark.parametrize("cls", EVERY_CLASS)
def test_bad_timeouts(cls: Callable[[], Any]) -> None:
    q = cls()
    with pytest.raises(ValueError, match="'timeout' must be a non-negative number"):
        q.get(timeout=-1)
    with pytest.raises(TypeError, match="timeout must be a number of seconds or None, not str"):
        q.get(timeout="1")
    with pytest.raises(ValueError, match="NaN"):
        q.get(timeout=float("nan"))
    with pytest.raises(OverflowError, match="TIMEOUT_MAX"):
        q.get(timeout=1e20)
    q.put(1)
    with pytest.raises(ValueError, match="'timeout' must be a non-negative number"):
        q.get(timeout=-1)
    assert q.get() == 1


def test_a_negative_timeout_of_put() -> None:
    q: Queue[int] = Queue(1)
    with pytest.raises(ValueError, match="'timeout' must be a non-negative number"):
        q.put(1, timeout=-1)
    assert q.empty()
    unbounded: Queue[int] = Queue()
    unbounded.put(1, timeout=-1)  # where there is always room, nobody looks at it
    assert unbounded.get() == 1


@pytest.mark.parametrize("maxsize", [0, -1, 3, True, 2.5, float("inf"), 10**30])
def test_maxsize_is_kept_as_it_was_given(maxsize: Any) -> None:
    q: Queue[int] = Queue(maxsize)
    assert q.maxsize == maxsize
    bound = 0
    while not q.full() and bound < 10:
        q.put(0)
        bound += 1
    assert bound == {3: 3, True: 1, 2.5: 3}.get(maxsize, 10)


@pytest.mark.parametrize("maxsize", ["1", None, [], 1j])
def test_a_maxsize_that_is_no_number(maxsize: Any) -> None:
    with pytest.raises(TypeError, match="maxsize must be a number of items"):
        Queue(maxsize)
    q: Queue[int] = Queue(1)
    with pytest.raises(TypeError, match="maxsize must be a number of items"):
        q.maxsize = maxsize
    assert q.maxsize == 1


def test_maxsize_may_change() -> None:
    q: Queue[int] = Queue(1)
    q.put(1)
    q.maxsize = 2
    q.put_nowait(2)
    q.maxsize = 1
    assert q.full()
    assert q.get() == 1
    with pytest.raises(Full):
        q.put_nowait(3)
    q.maxsize = 0
    for item in range(100):
        q.put_nowait(item)
    assert q.qsize() == 101


def test_unfinished_tasks() -> None:
    q: Queue[int] = Queue()
    q.join()
    with pytest.raises(ValueError, match=r"task_done\(\) called too many times"):
        q.task_done()
    q.put(1)
    q.put(2)
    assert q.unfinished_tasks == 2
    q.task_done()
    q.task_done()
    q.join()
    with pytest.raises(ValueError, match=r"task_done\(\) called too many times"):
        q.task_done()
    q.unfinished_tasks = 1
    q.task_done()


@pytest.mark.parametrize("cls", CLASSES)
def test_shutdown(cls: type[Queue[int]]) -> None:
    q = cls(2)
    q.put(1)
    q.shutdown()
    assert q.is_shutdown
    with pytest.raises(ShutDown):
        q.put(2)
    with pytest.raises(ShutDown):
        q.put_nowait(2)
    assert q.get() == 1
    for block in (True, False):
        with pytest.raises(ShutDown):
            q.get(block)
    q.task_done()
    q.join()


@pytest.mark.parametrize("cls", CLASSES)
def test_immediate_shutdown(cls: type[Queue[int]]) -> None:
    q = cls()
    for item in range(3):
        q.put(item)
    q.get()
    q.shutdown(immediate=True)
    assert q.empty()
    assert q.unfinished_tasks == 1
    with pytest.raises(ShutDown):
        q.get()
    q.task_done()
    q.join()


@pytest.mark.parametrize("cls", CLASSES)
def test_many(cls: type[Queue[int]]) -> None:
    q = cls()
    q.put_many([])
    q.put_many(range(5))
    q.put_many(iter([5, 6]))
    assert q.unfinished_tasks == 7
    assert sorted(q.get_many(4) + q.get_many(100)) == list(range(7))
    with pytest.raises(Empty):
        q.get_many(1, timeout=0)
    with pytest.raises(Empty):
        q.get_many(1, 0.001)
    with pytest.raises(ValueError, match="max_items must be at least 1, not 0"):
        q.get_many(0)
    with pytest.raises(TypeError):
        q.get_many("1")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        q.put_many(1)  # type: ignore[arg-type]


@pytest.mark.parametrize("cls", CLASSES)
def test_put_many_tells_what_is_not_in(cls: type[Queue[int]]) -> None:
    q = cls(3)
    with pytest.raises(Full) as full:
        q.put_many(range(5), timeout=0)
    assert full.value.remaining == [3, 4]  # type: ignore[attr-defined]
    with pytest.raises(Full) as full:
        q.put_many(range(2), timeout=0.001)
    assert full.value.remaining == [0, 1]  # type: ignore[attr-defined]
    q.shutdown()
    with pytest.raises(ShutDown) as shut:
        q.put_many([7])
    assert shut.value.remaining == [7]  # type: ignore[attr-defined]
    assert sorted(q.get_many(9)) == [0, 1, 2]


def test_put_many_reads_its_items_before_it_puts_any() -> None:
    def items() -> Any:
        yield 1
        raise LookupError

    q: Queue[int] = Queue()
    with pytest.raises(LookupError):
        q.put_many(items())
    assert q.empty()


def test_lifo_get_many_takes_the_youngest_first() -> None:
    q: LifoQueue[int] = LifoQueue()
    q.put_many(range(5))
    assert q.get_many(3) == [4, 3, 2]


def test_initialised_again_it_is_as_good_as_new() -> None:
    q: Queue[int] = Queue(1)
    q.put(1)
    q.shutdown()
    q.__init__(2)  # type: ignore[misc]
    assert q.maxsize == 2
    assert q.unfinished_tasks == 0
    q.put_many([1, 2])
    assert q.get() == 1


def test_a_subclass_that_forgets_to_initialise_has_no_bound() -> None:
    class Forgetful(Queue[int]):
        def __init__(self) -> None:
            pass

    q = Forgetful()
    q.put(1)
    assert (q.maxsize, q.get()) == (0, 1)


def test_subclasses_have_their_own_arguments_and_attributes() -> None:
    class Named(Queue[int]):
        def __init__(self, name: str, *, maxsize: int = 0) -> None:
            super().__init__(maxsize)
            self.name = name

    q = Named("jobs", maxsize=1)
    q.put(1)
    assert (q.name, q.full()) == ("jobs", True)


@pytest.mark.parametrize("cls", EVERY_CLASS)
def test_numbers_and_repr(cls: Any) -> None:
    q = cls()
    for item in range(5):
        q.put(item)
    q.get()
    q.put(9)
    numbers = q.statistics()
    assert (numbers["size"], numbers["puts"], numbers["gets"]) == (5, 6, 1)
    assert numbers["high_water"] == 5
    assert numbers["getters"] == 0
    assert repr(q).startswith(f"<tress.queue.{cls.__name__} at 0x")
    assert "size=5" in repr(q)


@pytest.mark.parametrize("cls", EVERY_CLASS)
def test_not_to_be_copied(cls: Callable[[], Any]) -> None:
    q = cls()
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(q)
    with pytest.raises(TypeError, match="cannot pickle"):
        copy.deepcopy(q)


@pytest.mark.parametrize("cls", EVERY_CLASS)
def test_cycles_are_collected(cls: Callable[[], Any]) -> None:
    class Item:
        queue: Any

        def __lt__(self, other: object) -> bool:
            return False

    q = cls()
    for _ in range(3):
        item = Item()
        item.queue = q
        q.put(item)
    alive = weakref.ref(item)
    queue_alive = weakref.ref(q)
    del q, item
    gc.collect()
    assert alive() is None
    assert queue_alive() is None


@pytest.mark.parametrize("cls", EVERY_CLASS)
def test_items_are_released(cls: Callable[[], Any]) -> None:
    class Item:
        pass

    q = cls()
    item = Item()
    alive = weakref.ref(item)
    q.put(item)
    del item
    assert q.get() is alive()
    assert alive() is None
    q.put(Item())
    del q
    gc.collect()


@pytest.mark.parametrize("cls", EVERY_CLASS)
def test_generic(cls: Any) -> None:
    assert cls[int].__origin__ is cls


def test_simple_queue_ignores_block_and_timeout() -> None:
    q: SimpleQueue[int] = SimpleQueue()
    q.put(1, False, -5)
    q.put(2, block=True, timeout=3)
    q.put_nowait(3)
    assert (q.qsize(), q.empty()) == (3, False)
    assert [q.get(), q.get(False), q.get_nowait()] == [1, 2, 3]


def test_simple_queue_has_subclasses() -> None:
    class Named(SimpleQueue[int]):
        def __init__(self, name: str) -> None:
            self.name = name

    q = Named("jobs")
    q.put(1)
    assert (q.name, q.get()) == ("jobs", 1)


@pytest.mark.parametrize("cls", [Queue, SimpleQueue])
def test_put_from_a_finalizer(cls: Callable[[], Any]) -> None:
    """An item whose last reference goes while the queue drops it puts another one."""
    q = cls()

    class Reborn:
        def __del__(self) -> None:
            q.put("again")

    q.put(Reborn())
    q.get()
    assert q.get(timeout=1) == "again"
    holder = [Reborn() for _ in range(100)]
    holder[:] = []
    assert q.qsize() == 100


class Refuses:
    """An item that may refuse to be compared."""

    refusing = False

    def __init__(self, value: int) -> None:
        self.value = value

    def __lt__(self, other: Refuses) -> bool:
        if Refuses.refusing:
            raise LookupError("not now")
        return self.value < other.value


def test_a_comparison_that_raises_in_put() -> None:
    q: PriorityQueue[Refuses] = PriorityQueue()
    q.put(Refuses(1))
    Refuses.refusing = True
    try:
        with pytest.raises(LookupError):
            q.put(Refuses(0))
    finally:
        Refuses.refusing = False
    assert (q.qsize(), q.unfinished_tasks) == (2, 1)
    assert {q.get().value, q.get().value} == {0, 1}


def test_a_comparison_that_raises_in_get_loses_nothing() -> None:
    q: PriorityQueue[Refuses] = PriorityQueue()
    q.put_many([Refuses(value) for value in (5, 3, 8, 1, 9, 7)])
    Refuses.refusing = True
    try:
        with pytest.raises(LookupError):
            q.get()
    finally:
        Refuses.refusing = False
    assert q.qsize() == 6
    assert [q.get().value for _ in range(6)] == [1, 3, 5, 7, 8, 9]


def test_a_comparison_that_raises_in_put_many() -> None:
    q: PriorityQueue[Any] = PriorityQueue()
    with pytest.raises(TypeError) as error:
        q.put_many([1, 2, "three", 4])
    # The one that could not be sorted in is in the queue all the same, as with put.
    assert error.value.remaining == [4]  # type: ignore[attr-defined]
    assert (q.qsize(), q.unfinished_tasks) == (3, 2)


def test_a_comparison_that_uses_its_own_queue_is_told_so() -> None:
    q: PriorityQueue[Any] = PriorityQueue()

    class Item:
        def __lt__(self, other: object) -> bool:
            q.put_nowait(self)
            return False

    q.put(Item())
    with pytest.raises(RuntimeError, match="comparison of two items uses the queue"):
        q.put(Item())
    assert q.qsize() == 2
