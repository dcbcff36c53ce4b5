"""Fork while other threads hold and wait on everything: the child can use it all.

TRESS_FORKS says how often a fork is made while threads do everything at once.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import pytest

import tress
import tress.queue
import tress.threading
from tests.threads.ordering import BOUND_S, Runner, blocked, until
from tress.concurrent import futures

pytestmark = pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")

CHILD_S = 60
"""A child that lives longer hangs."""

FORKS = int(os.environ.get("TRESS_FORKS", "15"))
"""How many forks are made in the middle of everything."""


def in_child(function: Callable[[], object]) -> None:
    """Forks, and calls a function in the child, within a bound; fails with what the child says."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(read)
            # A hang ends with the stacks of all threads, and by the signal.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            faulthandler.register(signal.SIGALRM, file=write, chain=True)
            signal.alarm(CHILD_S)
            function()
            code = 0
        except BaseException:
            os.write(write, traceback.format_exc().encode())
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    assert (os.waitstatus_to_exitcode(status), said) == (0, "")


def hold(lock: Any, let_go: threading.Event) -> Runner:
    """A thread that holds a lock."""

    def run() -> None:
        with lock:
            assert let_go.wait(BOUND_S)

    runner = Runner(run)
    until(lambda: Runner(lock.acquire, False).result() is False, "it is held")
    return runner


def use(lock: Any) -> None:
    """Two threads of this process have to do with a lock, and one waits for the other."""
    lock.acquire()
    other = blocked(lock.acquire)
    lock.release()
    assert other.result() is True


@pytest.mark.parametrize("make", [tress.threading.Lock, tress.threading.RLock])
def test_a_lock_that_another_thread_held_stays_locked(make: Callable[[], Any]) -> None:
    lock, let_go = make(), threading.Event()
    holder = hold(lock, let_go)
    waiter = blocked(lock.acquire, True, 1000)

    def child() -> None:
        assert lock.acquire(False) is False
        assert lock.acquire(timeout=0.01) is False
        assert lock.statistics()["waiters"] == 0
        lock._at_fork_reinit()
        use(lock)

    in_child(child)
    let_go.set()
    holder.result()
    assert waiter.result() is True


def test_a_plain_lock_may_be_released_by_the_child() -> None:
    lock, let_go = tress.threading.Lock(), threading.Event()
    holder = hold(lock, let_go)
    waiters = [blocked(lock.acquire, True, 1000) for _ in range(2)]

    def child() -> None:
        lock.release()
        # It is not handed to those that waited in the parent.
        assert lock.acquire(False) is True
        lock.release()
        use(lock)

    in_child(child)
    let_go.set()
    holder.result()
    lock_runners = [waiters[0].result()]
    lock.release()
    lock_runners.append(waiters[1].result())
    assert lock_runners == [True, True]


@pytest.mark.parametrize("make", [tress.threading.Lock, tress.threading.RLock])
def test_a_lock_that_the_forking_thread_holds_is_its_own(make: Callable[[], Any]) -> None:
    lock = make()
    lock.acquire()
    waiter = blocked(lock.acquire)

    def child() -> None:
        assert Runner(lock.acquire, False).result() is False
        lock.release()
        assert lock.acquire(False) is True
        lock.release()
        use(lock)

    in_child(child)
    lock.release()
    assert waiter.result() is True


@pytest.mark.parametrize("kind", ["Semaphore", "BoundedSemaphore"])
def test_a_semaphore(kind: str) -> None:
    semaphore = getattr(tress.threading, kind)(1)
    semaphore.acquire()
    waiters = [blocked(semaphore.acquire) for _ in range(2)]
    whole = semaphore.statistics()

    def child() -> None:
        assert semaphore.statistics()["waiters"] == 0
        assert semaphore.acquire(False) is False
        semaphore.release()
        assert semaphore._value == 1
        assert semaphore.acquire(False) is True
        other = blocked(semaphore.acquire)
        semaphore.release()
        assert other.result() is True

    in_child(child)
    for left in (1, 0):
        semaphore.release()
        until(
            lambda left=left: semaphore.statistics() == {**whole, "value": 0, "waiters": left},  # type: ignore[misc]
            "one of them has it",
        )
    assert [waiter.result() for waiter in waiters] == [True, True]


def test_an_event() -> None:
    event = tress.threading.Event()
    waiters = [blocked(event.wait) for _ in range(3)]

    def child() -> None:
        assert event.statistics() == {"set": False, "waiters": 0}
        assert event.wait(0.01) is False
        other = blocked(event.wait)
        event.set()
        assert other.result() is True
        assert event.wait() is True

    in_child(child)
    assert not event.is_set()
    event.set()
    assert [waiter.result() for waiter in waiters] == [True] * 3


@pytest.mark.parametrize("make", [lambda: None, tress.threading.Lock, threading.Lock])
def test_a_condition(make: Callable[[], Any]) -> None:
    condition = tress.threading.Condition(make())

    def wait() -> Any:
        with condition:
            return condition.wait()

    waiters = [Runner(wait) for _ in range(2)]
    until(lambda: condition.statistics()["waiters"] == 2, "both wait")

    def child() -> None:
        assert condition.statistics()["waiters"] == 0
        with condition:
            condition.notify_all()
        other = Runner(wait)
        until(lambda: condition.statistics()["waiters"] == 1, "it waits")
        with condition:
            condition.notify()
        assert other.result() is True

    in_child(child)
    with condition:
        condition.notify_all()
    assert [waiter.result() for waiter in waiters] == [True, True]


def test_a_condition_whose_notified_waiters_had_the_lock_to_come() -> None:
    """Notified waits stand in the lock's list: in the child nobody is there to take it."""
    condition = tress.threading.Condition()

    def wait() -> Any:
        with condition:
            return condition.wait()

    waiters = [Runner(wait) for _ in range(2)]
    until(lambda: condition.statistics()["waiters"] == 2, "both wait")
    with condition:
        condition.notify_all()

        def child() -> None:
            condition.release()
            use(condition)

        in_child(child)
    assert [waiter.result() for waiter in waiters] == [True, True]


def test_a_barrier() -> None:
    barrier = tress.threading.Barrier(2)
    waiter = Runner(barrier.wait)
    until(lambda: barrier.n_waiting == 1, "it waits")

    def child() -> None:
        # As with the standard library's: the arrival counts, though its thread is gone.
        assert barrier.wait() == 1
        barrier.reset()
        other = Runner(barrier.wait)
        assert sorted((barrier.wait(), other.result())) == [0, 1]

    in_child(child)
    assert sorted((barrier.wait(), waiter.result())) == [0, 1]


@pytest.mark.parametrize("kind", ["Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"])
def test_a_queue_that_others_wait_on(kind: str) -> None:
    queue: Any = getattr(tress.queue, kind)()
    waiters = [blocked(queue.get) for _ in range(2)]

    def child() -> None:
        queue.put(1)
        assert queue.get(timeout=BOUND_S) == 1
        other = blocked(queue.get)
        queue.put(2)
        assert other.result() == 2
        assert queue.empty()

    in_child(child)
    for item in (1, 2):
        queue.put(item)
    assert sorted(waiter.result() for waiter in waiters) == [1, 2]


def test_a_full_queue_that_others_wait_to_put_into() -> None:
    queue: Any = tress.queue.Queue(1)
    queue.put("first")
    waiter = blocked(queue.put, "second")

    def child() -> None:
        assert queue.get() == "first"
        # What a thread of the parent wanted to put in went with it.
        assert queue.empty()
        queue.put("third", timeout=BOUND_S)
        other = blocked(queue.put, "fourth")
        assert queue.get(timeout=BOUND_S) == "third"
        other.result()
        assert queue.get(timeout=BOUND_S) == "fourth"

    in_child(child)
    assert [queue.get(), queue.get()] == ["first", "second"]
    waiter.result()


def test_a_queue_that_others_join() -> None:
    queue: Any = tress.queue.Queue()
    queue.put(1)
    waiter = blocked(queue.join)

    def child() -> None:
        assert queue.unfinished_tasks == 1
        other = blocked(queue.join)
        queue.get()
        queue.task_done()
        queue.join()
        other.result()

    in_child(child)
    queue.get()
    queue.task_done()
    waiter.result()


@pytest.mark.parametrize("kind", ["Queue", "LifoQueue", "PriorityQueue"])
def test_a_queue_whose_mutex_another_thread_holds(kind: str) -> None:
    """As with the standard library's, the mutex stays locked; a queue of the child's own works."""
    queue: Any = getattr(tress.queue, kind)()
    let_go = threading.Event()
    holder = hold(queue.mutex, let_go)

    def child() -> None:
        assert queue.mutex.acquire(False) is False
        own: Any = getattr(tress.queue, kind)()
        own.put(1)
        assert own.get() == 1

    in_child(child)
    let_go.set()
    holder.result()


def test_a_future() -> None:
    future: Any = futures.Future()
    waiter = blocked(future.result)

    def child() -> None:
        assert not future.done()
        other = blocked(future.result)
        future.set_result(1)
        assert other.result() == 1
        assert future.result(0) == 1

    in_child(child)
    future.set_result(2)
    assert waiter.result() == 2


def test_waiting_for_futures() -> None:
    pair: list[Any] = [futures.Future(), futures.Future()]
    waiters = [
        blocked(futures.wait, pair),
        blocked(lambda: list(futures.as_completed(pair))),
    ]

    def child() -> None:
        for future in pair:
            future.set_result(1)
        assert futures.wait(pair, timeout=BOUND_S).done == set(pair)
        assert len(list(futures.as_completed(pair))) == 2

    in_child(child)
    for future in pair:
        future.set_result(2)
    for waiter in waiters:
        waiter.result()


def test_a_pool_of_the_childs_own() -> None:
    event = tress.threading.Event()
    with futures.ThreadPoolExecutor(2) as pool:
        running = [pool.submit(event.wait) for _ in range(4)]

        def child() -> None:
            with futures.ThreadPoolExecutor(2) as own:
                assert list(own.map(abs, range(-50, 0))) == list(range(50, 0, -1))

        in_child(child)
        event.set()
        assert [future.result(BOUND_S) for future in running] == [True] * 4


def test_the_threads_of_the_parent_are_gone() -> None:
    event = tress.threading.Event()
    thread = tress.threading.Thread(target=event.wait)
    thread.start()
    joiner = blocked(thread.join)

    def child() -> None:
        assert not thread.is_alive()
        thread.join()
        assert thread not in threading.enumerate()
        with pytest.raises(RuntimeError, match="without a result"):
            thread.result()
        assert threading.active_count() == 1
        own = tress.threading.Thread(target=lambda: 5)
        own.start()
        assert own.result(BOUND_S) == 5

    in_child(child)
    event.set()
    joiner.result()
    assert thread.result() is True


def test_timers() -> None:
    far = tress.threading.Timer(1000, print)
    far.start()
    near = tress.threading.Timer(0.1, lambda: None)
    near.start()
    joiner = blocked(far.join)

    def child() -> None:
        for timer in (far, near):
            assert not timer.is_alive()
            timer.join()
            timer.cancel()
        assert threading.active_count() == 1
        assert threading.enumerate() == [threading.main_thread()]
        called: list[int] = []
        own = tress.threading.Timer(0.01, called.append, (1,))
        own.start()
        assert own.is_alive()
        own.join(BOUND_S)
        assert called == [1]
        cancelled = tress.threading.Timer(1000, called.append, (2,))
        cancelled.start()
        cancelled.cancel()
        cancelled.join(BOUND_S)
        assert called == [1]

    in_child(child)
    assert far.is_alive()
    far.cancel()
    joiner.result()
    near.join(BOUND_S)


def test_waits_and_deadlocks_are_the_childs_own() -> None:
    lock = tress.threading.Lock()
    lock.acquire()
    waiters = [blocked(lock.acquire, True, 1000) for _ in range(3)]

    def child() -> None:
        assert tress.waits() == []
        a, b = tress.threading.Lock(), tress.threading.Lock()
        b.acquire()

        def take() -> None:
            with a, b:
                pass

        other = blocked(take)
        assert [wait.object for wait in tress.waits()] == [b]
        with pytest.raises(tress.DeadlockError):
            a.acquire()
        b.release()
        other.result()

    in_child(child)
    for _ in waiters:
        lock.release()
    for waiter in waiters:
        assert waiter.result() is True


def test_a_fork_from_a_thread_other_than_the_main_one() -> None:
    event = tress.threading.Event()
    waiters = [blocked(event.wait) for _ in range(3)]

    def child() -> None:
        other = blocked(event.wait)
        event.set()
        assert other.result() is True

    Runner(in_child, child).result()
    event.set()
    assert [waiter.result() for waiter in waiters] == [True] * 3


def test_a_fork_in_a_signal_handler_of_a_thread_that_waits() -> None:
    """The child's main thread is in the middle of a wait that the parent's goes on with."""
    event = tress.threading.Event()
    me = threading.get_ident()
    forked: list[bool] = []

    def child() -> None:
        # The wait in which the handler was called.
        assert [(w.thread_ident, w.operation) for w in tress.waits()] == [(me, "Event.wait")]
        lock = tress.threading.Lock()
        use(lock)

    def handle(signum: int, frame: object) -> None:
        in_child(child)
        forked.append(True)

    before = signal.signal(signal.SIGUSR2, handle)

    def send() -> None:
        until(lambda: any(wait.thread_ident == me for wait in tress.waits()), "it waits")
        signal.pthread_kill(me, signal.SIGUSR2)
        until(lambda: forked, "it has forked")
        event.set()

    try:
        sender = Runner(send)
        assert event.wait(BOUND_S) is True
        sender.result()
    finally:
        signal.signal(signal.SIGUSR2, before)


@pytest.mark.bound(900)  # each of its children has a bound of its own
def test_forks_in_the_middle_of_everything() -> None:
    """Whatever other threads are just doing, everything of the child's own works at once."""
    lock, rlock = tress.threading.Lock(), tress.threading.RLock()
    semaphore = tress.threading.Semaphore(2)
    queue: Any = tress.queue.Queue(3)
    simple: Any = tress.queue.SimpleQueue()
    condition = tress.threading.Condition()
    over = False

    def work(number: int) -> None:
        turn = number
        while not over:
            turn += 1
            with lock:
                pass
            with rlock, semaphore:
                pass
            if number % 2:
                queue.put(turn)
                simple.put(turn)
            else:
                queue.get()
                simple.get()
            with condition:
                condition.notify_all()
                condition.wait(0.0001)
            timer = tress.threading.Timer(0.0005, abs, (1,))
            timer.start()
            if turn % 16:
                timer.cancel()
            timer.join()

    def child() -> None:
        own = tress.threading.Lock()
        use(own)
        own_queue: Any = tress.queue.Queue()
        getter = blocked(own_queue.get)
        own_queue.put(1)
        assert getter.result() == 1
        event = tress.threading.Event()
        timer = tress.threading.Timer(0, event.set)
        timer.start()
        assert event.wait(BOUND_S)
        thread = tress.threading.Thread(target=lambda: 3)
        thread.start()
        assert thread.result(BOUND_S) == 3
        with futures.ThreadPoolExecutor(1) as pool:
            assert pool.submit(abs, -2).result(BOUND_S) == 2
        # Objects of the parent work, too: nothing of the engine's own is left locked.
        lock._at_fork_reinit()
        rlock._at_fork_reinit()
        condition._at_fork_reinit()
        use(lock)
        use(rlock)
        for thing in (lock, rlock, semaphore, condition, queue, simple):
            thing.statistics()
            repr(thing)
        while semaphore.acquire(False):
            pass
        semaphore.release()
        assert semaphore.acquire(timeout=BOUND_S)
        while not simple.empty():
            simple.get()
        simple.put(1)
        assert simple.get(timeout=BOUND_S) == 1

    runners = [Runner(work, number) for number in range(6)]
    try:
        for _ in range(FORKS):
            in_child(child)
    finally:
        over = True
        # Those that wait for the other side of a queue.
        end = time.monotonic() + BOUND_S
        while any(runner.is_running for runner in runners) and time.monotonic() < end:
            simple.put(0)
            try:
                queue.put_nowait(0)
            except tress.queue.Full:
                queue.get_nowait()
            time.sleep(0.001)
    for runner in runners:
        runner.result()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the warning came with 3.12")
def test_importing_tress_starts_no_thread() -> None:
    program = (
        "import os, tress, tress.threading, tress.queue, tress.concurrent.futures\n"
        "os._exit(os.fork() and 0)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
