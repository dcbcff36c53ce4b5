"""`install()` in the middle of a program: what was made before keeps working, the rest fits."""

from __future__ import annotations

import _thread
import concurrent.futures
import os
import queue
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from queue import LifoQueue, PriorityQueue, Queue, SimpleQueue
from threading import (
    Barrier,
    BoundedSemaphore,
    Condition,
    Event,
    Lock,
    RLock,
    Semaphore,
    Thread,
    Timer,
    current_thread,
    main_thread,
)
from typing import Any

import pytest

import tress

WAIT_S = 30.0


class Explicit(threading.Thread):
    """A class of the usual kind, defined before, that names its base."""

    def __init__(self, outcome: list[object]) -> None:
        threading.Thread.__init__(self, name="explicit")
        self.outcome = outcome

    def run(self) -> None:
        current = threading.current_thread()
        self.outcome.append(current is self and isinstance(current, threading.Thread))


class Implicit(Explicit):
    def __init__(self, outcome: list[object]) -> None:
        super().__init__(outcome)
        self.name = "implicit"


def is_a_thread_in_a_thread() -> bool:
    """Whether the current thread counts as one, asked in a thread that Python did not start."""
    answers: SimpleQueue[bool] = SimpleQueue()
    _thread.start_new_thread(
        lambda: answers.put(isinstance(threading.current_thread(), threading.Thread)), ()
    )
    return answers.get(timeout=WAIT_S)


def test_every_thread_is_a_thread() -> None:
    go_on = Event()
    before: list[Thread] = [
        Thread(target=go_on.wait, name="plain"),
        Timer(WAIT_S, print),
        Explicit([]),
        Implicit([]),
    ]
    before[0].start()
    before[1].start()
    tress.install()
    try:
        assert isinstance(main_thread(), threading.Thread)
        assert isinstance(current_thread(), threading.Thread)
        for thread in (*before, *threading.enumerate(), Explicit([]), Timer(1, print)):
            assert isinstance(thread, threading.Thread), thread
        assert is_a_thread_in_a_thread()
        assert issubclass(Explicit, threading.Thread)
        tress.uninstall()
        for thread in before:
            assert isinstance(thread, threading.Thread)
        assert type(before[0]) is threading.Thread
        assert type(main_thread()).__bases__ == (threading.Thread,)
        assert Explicit.__bases__ == (threading.Thread,)
        assert is_a_thread_in_a_thread()
    finally:
        go_on.set()
        before[1].cancel()  # type: ignore[attr-defined]
        before[0].join()
        before[1].join()


@pytest.mark.parametrize("undo", [False, True], ids=["installed", "uninstalled"])
def test_threads_made_before(undo: bool) -> None:
    go_on = Event()
    outcome: list[object] = []
    running = Thread(target=go_on.wait, name="running")
    running.start()
    waiting = Thread(target=outcome.append, args=("waiting",))
    explicit, implicit = Explicit(outcome), Implicit(outcome)
    timer = Timer(0.0, outcome.append, ["timer"])
    tress.install()
    if undo:
        tress.uninstall()
    for thread in (waiting, explicit, implicit, timer):
        assert not thread.is_alive()
        thread.start()
        with pytest.raises(RuntimeError, match="threads can only be started once"):
            thread.start()
        thread.join(WAIT_S)
        assert not thread.is_alive()
        assert thread.ident is not None
    assert outcome == ["waiting", True, True, "timer"]
    assert running.is_alive()
    running.join(0.01)
    assert running.is_alive()
    assert running.native_id is not None
    assert "running" in repr(running)
    go_on.set()
    running.join(WAIT_S)
    assert not running.is_alive()


def test_main_thread_can_be_joined_and_shown() -> None:
    tress.install()
    with pytest.raises(RuntimeError, match="cannot join current thread"):
        main_thread().join()
    assert main_thread().is_alive()
    assert main_thread().native_id == threading.get_native_id()
    assert "MainThread" in repr(main_thread())


def test_classes_defined_before_and_used_after() -> None:
    tress.install()
    outcome: list[object] = []
    for thread in (Explicit(outcome), Implicit(outcome)):
        thread.start()
        thread.join(WAIT_S)
    assert outcome == [True, True]


def test_names_taken_before_still_make_working_objects() -> None:
    tress.install()
    done: list[str] = []
    thread = Thread(target=done.append, args=("thread",))
    timer = Timer(0.0, done.append, ["timer"])
    for each in (thread, timer):
        each.start()
        each.join(WAIT_S)
    assert done == ["thread", "timer"]
    for lock in (Lock(), RLock(), Condition(), Semaphore(), BoundedSemaphore()):
        with lock:
            pass
    event = Event()
    event.set()
    assert event.wait(WAIT_S)
    assert Barrier(1).wait(WAIT_S) == 0
    kinds: list[Any] = [Queue, LifoQueue, PriorityQueue, SimpleQueue]
    for kind in kinds:
        items = kind()
        items.put(1)
        assert items.get(timeout=WAIT_S) == 1
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(pow, 2, n) for n in range(5)]
        assert sorted(future.result() for future in as_completed(futures)) == [1, 2, 4, 8, 16]
        assert wait(futures).not_done == set()
    future: Future[int] = Future()
    future.set_result(1)
    assert future.result(WAIT_S) == 1


def test_waits_begun_before_end_after() -> None:
    lock, rlock, condition = Lock(), RLock(), Condition()
    semaphore, event, barrier = Semaphore(0), Event(), Barrier(2)
    items: list[Any] = [Queue(), LifoQueue(), PriorityQueue(), SimpleQueue()]
    future: Future[str] = Future()
    lock.acquire()
    rlock.acquire()

    def take(lock: Any) -> str:
        with lock:
            return "taken"

    def wait_for_notification() -> str:
        with condition:
            waits_for_notification.set()
            condition.wait()
        return "notified"

    waits_for_notification = Event()
    work: list[Callable[[], object]] = [
        lambda: take(lock),
        lambda: take(rlock),
        wait_for_notification,
        semaphore.acquire,
        event.wait,
        lambda: barrier.wait() is not None,
        *(each.get for each in items),
        future.result,
        lambda: wait([future]).done == {future},
        lambda: [each.result() for each in as_completed([future])],
    ]
    outcomes: list[object] = [None] * len(work)

    def run(number: int) -> None:
        outcomes[number] = work[number]()

    threads = [Thread(target=run, args=(number,)) for number in range(len(work))]
    for thread in threads:
        thread.start()
    waits_for_notification.wait()
    tress.install()
    lock.release()
    rlock.release()
    with condition:
        condition.notify()
    semaphore.release()
    event.set()
    barrier.wait()
    for each in items:
        each.put("item")
    future.set_result("result")
    for thread in threads:
        thread.join(WAIT_S)
    items_got = ["item"] * len(items)
    assert outcomes == [
        *("taken", "taken", "notified", True, True, True),
        *items_got,
        *("result", True, ["result"]),
    ]


def test_executor_made_before_takes_tasks_after() -> None:
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(int, "1")
        tress.install()
        futures = [first, *(pool.submit(int, text) for text in "234")]
        done, _ = concurrent.futures.wait(futures, WAIT_S)
        assert sorted(future.result() for future in done) == [1, 2, 3, 4]
        assert list(pool.map(abs, range(-3, 0))) == [3, 2, 1]
        tress.uninstall()
        assert pool.submit(int, "5").result(WAIT_S) == 5
        done, _ = concurrent.futures.wait([*futures, pool.submit(int, "6")], WAIT_S)
        assert len(done) == 5


def test_objects_of_tress_outlive_uninstall() -> None:
    tress.install()
    lock, event = threading.Lock(), threading.Event()
    items: queue.Queue[int] = queue.Queue()
    pool = concurrent.futures.ThreadPoolExecutor(1)

    class Late(threading.Thread):
        def run(self) -> None:
            with lock:
                items.put(1)

    tress.uninstall()
    late = Late()
    late.start()
    assert items.get(timeout=WAIT_S) == 1
    late.join(WAIT_S)
    assert isinstance(late, threading.Thread)
    event.set()
    assert event.wait(WAIT_S)
    assert pool.submit(int, "7").result(WAIT_S) == 7
    pool.shutdown()


def test_adoption_keeps_nothing_alive() -> None:
    class Local(threading.Thread):
        pass

    thread, local = Thread(), Local()
    gone: list[weakref.ref[Any]] = [weakref.ref(thread), weakref.ref(local)]
    tress.install()
    del thread, local
    assert [reference() for reference in gone] == [None, None]
    tress.uninstall()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_fork_after_install() -> None:
    tress.install()
    started = threading.Event()
    go_on = threading.Event()

    def work() -> None:
        started.set()
        go_on.wait()

    thread = threading.Thread(target=work)
    thread.start()
    started.wait()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            assert isinstance(threading.current_thread(), threading.Thread)
            assert threading.active_count() == 1
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                assert list(pool.map(abs, [-1, -2])) == [1, 2]
            tress.uninstall()
            code = 0
        finally:
            os._exit(code)
    go_on.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
