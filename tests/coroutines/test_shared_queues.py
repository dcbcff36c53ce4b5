"""One queue for threads and coroutines: what arrives, in which order, and what a cancellation takes
with it (nothing).
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import threading
import warnings
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

import tress.asyncio
from tests.coroutines.sharing import bounded, in_thread, reached, waiting
from tests.threads.ordering import BOUND_S, Runner, blocked, until
from tress.queue import LifoQueue, PriorityQueue, Queue, ShutDown, SimpleQueue

CLASSES: list[type[Queue[Any]]] = [Queue, LifoQueue, PriorityQueue]


class Opened(Queue[Any]):
    """A queue that keeps its items by hooks of its own."""

    def _put(self, item: Any) -> None:
        super()._put(item)


EVERY: list[Any] = [*CLASSES, Opened]


@pytest.mark.parametrize("cls", [*EVERY, SimpleQueue])
def test_a_coroutine_gets_what_a_thread_puts(library: ModuleType, cls: Callable[[], Any]) -> None:
    async def main() -> list[int]:
        got = []
        putter = Runner(lambda: [q.put(number) for number in range(200)])
        for _ in range(200):
            got.append(await q.aget())
        putter.result()
        return got

    q = cls()
    got = bounded(library, main())
    assert sorted(got) == list(range(200))
    if cls is not LifoQueue:
        assert got == sorted(got)


@pytest.mark.parametrize("cls", EVERY)
def test_a_thread_gets_what_a_coroutine_puts(library: ModuleType, cls: Callable[..., Any]) -> None:
    async def main() -> None:
        for number in range(200):
            await q.aput(number)
        await q.ajoin()

    def get() -> list[int]:
        got = []
        for _ in range(200):
            got.append(q.get())
            q.task_done()
        return got

    q = cls(3)
    getter = Runner(get)
    bounded(library, main())
    assert sorted(getter.result()) == list(range(200))
    assert waiting(q, "joiners") == waiting(q, "putters") == 0


def test_what_is_there_is_had_without_a_turn_of_the_loop() -> None:
    q: Queue[int] = Queue(1)
    with pytest.raises(StopIteration):
        q.aput(1).send(None)
    with pytest.raises(StopIteration) as ended:
        q.aget().send(None)
    assert ended.value.value == 1
    q.task_done()
    with pytest.raises(StopIteration):
        q.ajoin().send(None)
    assert q.empty()


def test_waiting_wants_a_loop() -> None:
    q: Queue[int] = Queue(1)
    with pytest.raises(RuntimeError, match="no running event loop"):
        q.aget().send(None)
    q.put(1)
    for coroutine in (q.aput(2), q.ajoin()):
        with pytest.raises(RuntimeError, match="no running event loop"):
            coroutine.send(None)
    assert q.statistics()["putters"] == q.statistics()["joiners"] == 0


def test_one_that_nobody_awaits_is_told_of() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        abandoned = Queue[int]().aget()
        del abandoned
        gc.collect()
    assert [str(warning.message) for warning in told] == [
        "coroutine 'Queue.aget' was never awaited"
    ]


def test_there_is_one_order_of_threads_and_of_coroutines_of_several_loops() -> None:
    q: Queue[int] = Queue()
    waits: list[Runner] = []
    for kind in (asyncio, None, tress.asyncio, None, asyncio):
        waits.append(Runner(q.get) if kind is None else in_thread(kind, q.aget()))
        until(lambda: waiting(q, "getters") == len(waits), "the next one waits")
    for number in range(len(waits)):
        q.put(number)
    assert [wait.result() for wait in waits] == list(range(len(waits)))


def test_who_puts_is_let_in_in_order() -> None:
    q: Queue[int] = Queue(1)
    q.put(0)
    putters: list[Runner] = []
    for kind in (asyncio, None, tress.asyncio, None, asyncio):
        number = len(putters) + 1
        putters.append(Runner(q.put, number) if kind is None else in_thread(kind, q.aput(number)))
        until(lambda: waiting(q, "putters") == len(putters), "the next one waits")
    for number in range(len(putters) + 1):
        assert q.get(timeout=BOUND_S) == number
        if number < len(putters):
            until(q.full, "the next one is in")
    for putter in putters:
        putter.result()


@pytest.mark.parametrize("cls", [*EVERY, SimpleQueue])
def test_a_cancelled_get_takes_no_item(library: ModuleType, cls: Callable[[], Any]) -> None:
    async def main() -> None:
        for late in (False, True):
            task = asyncio.create_task(q.aget())
            other = asyncio.create_task(q.aget())
            await reached(lambda: waiting(q, "getters") == 2)
            if late:
                q.put("item")  # it is handed to the one that is cancelled at once
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            if not late:
                q.put("item")
            assert await other == "item"
            assert q.empty()
        task = asyncio.create_task(q.aget())
        await reached(lambda: waiting(q, "getters") == 1)
        q.put(1)
        q.put(2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sorted([q.get_nowait(), q.get_nowait()]) == [1, 2]

    q = cls()
    bounded(library, main())


def test_an_item_that_comes_back_is_first_again(library: ModuleType) -> None:
    async def main() -> None:
        task = asyncio.create_task(q.aget())
        await reached(lambda: waiting(q, "getters") == 1)
        for number in range(3):
            q.put(number)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [q.get_nowait() for _ in range(3)] == [0, 1, 2]
        assert q.statistics()["gets"] == q.statistics()["puts"] == 3

    q: Queue[int] = Queue()
    bounded(library, main())


@pytest.mark.parametrize("cls", EVERY)
def test_a_cancelled_put_has_put_nothing(library: ModuleType, cls: Callable[..., Any]) -> None:
    async def main() -> None:
        for late in (False, True):
            q.put(0)
            task = asyncio.create_task(q.aput(1))
            other = asyncio.create_task(q.aput(2))
            await reached(lambda: waiting(q, "putters") == 2)
            if late:
                assert q.get() == 0  # there is room for the one that is cancelled at once
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            if not late:
                assert q.get() == 0
            await other
            assert q.get() == 2
            assert q.empty()

    q = cls(1)
    bounded(library, main())


def test_room_for_several_lets_several_in(library: ModuleType) -> None:
    async def main() -> None:
        tasks = [asyncio.create_task(q.aput(number)) for number in range(4)]
        await reached(lambda: waiting(q, "putters") == 4)
        assert q.get_many(4) == ["full"] * 4
        await asyncio.gather(*tasks)
        assert q.get_many(4) == [0, 1, 2, 3]

        q.maxsize = 1
        q.put("full")
        tasks = [asyncio.create_task(q.aput(number)) for number in range(4)]
        await reached(lambda: waiting(q, "putters") == 4)
        q.maxsize = 0
        await asyncio.gather(*tasks)
        assert q.get_many(5) == ["full", 0, 1, 2, 3]

    q: Queue[Any] = Queue(4)
    q.put_many(["full"] * 4)
    bounded(library, main())


@pytest.mark.parametrize("cls", EVERY)
@pytest.mark.parametrize("immediate", [False, True])
def test_shutting_down_ends_the_waits(
    library: ModuleType, cls: Callable[..., Any], immediate: bool
) -> None:
    async def main() -> None:
        getting = asyncio.create_task(empty.aget())
        putting = asyncio.create_task(full.aput(2))
        joining = asyncio.create_task(full.ajoin())
        await reached(
            lambda: (
                waiting(empty, "getters")
                == waiting(full, "putters")
                == waiting(full, "joiners")
                == 1
            )
        )
        await asyncio.to_thread(empty.shutdown, immediate)
        await asyncio.to_thread(full.shutdown, immediate)
        for task in (getting, putting):
            with pytest.raises(ShutDown):
                await task
        if not immediate:
            assert await full.aget() == 1
            full.task_done()
        await joining
        for coroutine in (full.aget(), full.aput(3)):
            with pytest.raises(ShutDown):
                await coroutine

    empty, full = cls(), cls(1)
    full.put(1)
    bounded(library, main())


def test_a_queue_that_is_opened_meanwhile(library: ModuleType) -> None:
    async def main() -> None:
        waits = [asyncio.create_task(q.aget()) for _ in range(2)]
        joining = asyncio.create_task(q.ajoin())
        await reached(lambda: waiting(q, "getters") == 2)
        q.put("first")
        await waits[0]
        await asyncio.to_thread(lambda: q.mutex)
        await reached(lambda: waiting(q, "getters") == 1)
        await asyncio.to_thread(q.put, "second")
        assert await waits[1] == "second"
        assert q.statistics()["open"]
        putting = [asyncio.create_task(q.aput(number)) for number in range(2)]
        await reached(lambda: waiting(q, "putters") == 1)
        putting[1].cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting[1]
        assert await q.aget() == 0
        for _ in range(3):
            q.task_done()
        await joining

    q: Queue[Any] = Queue(1)
    bounded(library, main())


def test_a_closed_coroutine_passes_its_item_on(library: ModuleType) -> None:
    async def main() -> None:
        coroutine = q.aget()
        future = coroutine.send(None)
        q.put(1)
        await reached(future.done)
        coroutine.close()
        assert q.get_nowait() == 1
        coroutine = q.aget()
        coroutine.send(None)
        assert waiting(q, "getters") == 1
        del coroutine
        gc.collect()
        assert waiting(q, "getters") == 0

    q: Queue[int] = Queue()
    bounded(library, main())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("late", [False, True])
def test_a_loop_that_is_closed_loses_nothing(library: ModuleType, late: bool) -> None:
    q: Queue[int] = Queue()
    loop = library.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # of the task that is never finished
    task = loop.create_task(q.aget())
    loop.run_until_complete(asyncio.sleep(0))
    getter = blocked(q.get)
    assert waiting(q, "getters") == 2
    if late:
        q.put(1)  # for a turn of the loop that never comes
        loop.close()
    else:
        loop.close()
        q.put(1)
    assert getter.result() == 1
    assert not task.done()
    kept = weakref.ref(loop)
    del loop, task
    gc.collect()
    assert kept() is None
    assert q.statistics()["getters"] == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_item_passes_by_all_of_a_closed_loop(library: ModuleType) -> None:
    q: Queue[int] = Queue()
    loop = library.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # of the tasks that are never finished
    tasks = [loop.create_task(q.aget()) for _ in range(20_000)]
    loop.run_until_complete(asyncio.sleep(0))
    assert waiting(q, "getters") == len(tasks)
    loop.close()
    q.put(1)
    assert waiting(q, "getters") == 0
    assert q.get_nowait() == 1


class Accepting(asyncio.SelectorEventLoop):
    """A loop that takes calls when it is closed, and makes none of them."""

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Any = None
    ) -> Any:
        if self.is_closed():
            return asyncio.Handle(callback, args, self)
        return super().call_soon_threadsafe(callback, *args, context=context)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_closed_loop_need_not_refuse() -> None:
    q: Queue[int] = Queue()
    loop = Accepting()
    loop.set_exception_handler(lambda *_: None)  # of the task that is never finished
    task = loop.create_task(q.aget())
    loop.run_until_complete(asyncio.sleep(0))
    assert waiting(q, "getters") == 1
    loop.close()
    q.put(1)
    assert q.get_nowait() == 1
    assert not task.done()


def test_a_signal_handler_puts(library: ModuleType) -> None:
    """In the thread of the loop, which sleeps."""

    async def main() -> None:
        sends = Runner(send)
        assert await q.aget() == "item"
        sends.result()

    def send() -> None:
        until(lambda: waiting(q, "getters") == 1, "the coroutine waits")
        os.kill(os.getpid(), signal.SIGUSR1)

    q: SimpleQueue[str] = SimpleQueue()
    before = signal.signal(signal.SIGUSR1, lambda *_: q.put("item"))
    try:
        bounded(library, main())
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_waits_for_ever_is_collected_with_its_loop(library: ModuleType) -> None:
    def leave() -> weakref.ref[Queue[Any]]:
        async def wait() -> None:
            await q.aput([q, asyncio.current_task()])

        q: Queue[Any] = Queue(1)
        q.put(0)
        loop = library.new_event_loop()
        loop.set_exception_handler(lambda *_: None)  # of the task that is never finished
        loop.create_task(wait())
        loop.run_until_complete(asyncio.sleep(0))
        assert waiting(q, "putters") == 1
        loop.close()
        return weakref.ref(q)

    kept = leave()
    gc.collect()
    assert kept() is None


def test_a_task_that_nobody_holds_goes_on(library: ModuleType) -> None:
    async def main() -> None:
        got: list[int] = []

        async def get() -> None:
            got.append(await q.aget())

        asyncio.ensure_future(get())  # noqa: RUF006 - that is the point
        await reached(lambda: waiting(q, "getters") == 1)
        gc.collect()
        q.put(1)
        await reached(lambda: got)

    q: Queue[int] = Queue()
    bounded(library, main())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_the_child_of_a_fork_has_none_of_the_coroutines(library: ModuleType) -> None:
    async def main() -> None:
        task = asyncio.create_task(q.aget())
        await reached(lambda: waiting(q, "getters") == 1)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                q.put(1)
                status = 0 if q.get_nowait() == 1 else 2
            finally:
                os._exit(status)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert status == 0
        q.put("item")
        assert await task == "item"

    q: Queue[Any] = Queue()
    bounded(library, main())


class Numbers:
    """Numbers that are put and got, of which none may be missing or come twice."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.put: list[int] = []
        self.got: list[int] = []

    def note(self, which: list[int], number: int) -> None:
        with self._lock:
            which.append(number)


async def cancelling(
    seed: int, count: int, attempt: Callable[[int], Any], done: Callable[[int, Any], None]
) -> None:
    """Makes `count` attempts succeed, one after another, and cancels many on the way."""
    chance = random.Random(seed)
    number = 0
    while number < count:
        task = asyncio.ensure_future(attempt(number))
        if chance.random() < 0.5:
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            task.cancel()
        try:
            result = await task
        except asyncio.CancelledError:
            continue
        done(number, result)
        number += 1


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    cls=st.sampled_from(EVERY),
    bound=st.integers(0, 3),
    loops=st.lists(st.sampled_from([asyncio, tress.asyncio]), min_size=1, max_size=3),
    threads=st.integers(0, 2),
)
@pytest.mark.bound(300)
def test_random_cancellation_loses_nothing(
    seed: int, cls: Any, bound: int, loops: list[ModuleType], threads: int
) -> None:
    each = 60
    q = cls(bound)
    numbers = Numbers()
    sides = len(loops) + threads

    def put_in_thread(side: int) -> None:
        for number in range(side * each, (side + 1) * each):
            q.put(number)
            numbers.note(numbers.put, number)

    def get_in_thread() -> None:
        for _ in range(each):
            numbers.note(numbers.got, q.get())

    async def both(side: int) -> None:
        await asyncio.gather(
            cancelling(
                seed + side,
                each,
                lambda number: q.aput(side * each + number),
                lambda number, _: numbers.note(numbers.put, side * each + number),
            ),
            cancelling(
                seed - side,
                each,
                lambda _: q.aget(),
                lambda _, item: numbers.note(numbers.got, item),
            ),
        )

    running = [in_thread(library, both(side)) for side, library in enumerate(loops)]
    for side in range(len(loops), sides):
        running += [Runner(put_in_thread, side), Runner(get_in_thread)]
    for run in running:
        run.result()
    assert sorted(numbers.put) == sorted(numbers.got) == list(range(sides * each))
    told = q.statistics()
    assert (told["size"], told["getters"], told["putters"]) == (0, 0, 0)
    assert told["puts"] == told["gets"] == q.unfinished_tasks == sides * each
