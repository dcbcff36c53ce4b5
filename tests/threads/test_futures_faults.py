"""Signals, forks and exits beside futures and executors: nothing hangs, nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import tress
from tests.threads.futures_of import Gate
from tests.threads.ordering import BOUND_S, Runner, until
from tress.concurrent.futures import (
    Future,
    ThreadPoolExecutor,
    as_completed,
    wait,
)


class Interrupt(Exception):
    """What the signal handler of these tests raises."""


@pytest.fixture
def interrupt() -> Iterator[Callable[[str], Runner]]:
    """Sends the main thread a signal whose handler raises, once it is seen in a given wait."""

    def handler(number: int, frame: Any) -> None:
        raise Interrupt

    main = threading.main_thread().ident
    assert main is not None

    def send(operation: str) -> None:
        until(
            lambda: any(
                wait.thread_ident == main and wait.operation == operation for wait in tress.waits()
            ),
            f"the main thread is in {operation}",
        )
        signal.pthread_kill(main, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handler)
    yield lambda operation: Runner(send, operation)
    signal.signal(signal.SIGUSR1, before)


def test_a_signal_in_result(interrupt: Callable[[str], Runner]) -> None:
    for operation in ("result", "exception"):
        future: Future[int] = Future()
        sender = interrupt(f"Future.{operation}")
        with pytest.raises(Interrupt):
            getattr(future, operation)()
        sender.result()
        assert future.statistics()["waiters"] == 0
        future.set_result(1)
        assert future.result() == 1


def test_a_signal_in_wait(interrupt: Callable[[str], Runner]) -> None:
    futures = [Future[int]() for _ in range(3)]
    sender = interrupt("wait")
    with pytest.raises(Interrupt):
        wait(futures)
    sender.result()
    assert [future.statistics()["observers"] for future in futures] == [0] * 3
    for future in futures:
        future.set_result(1)
    assert wait(futures, 0).not_done == set()


def test_a_signal_in_as_completed(interrupt: Callable[[str], Runner]) -> None:
    futures = [Future[int]() for _ in range(3)]
    sender = interrupt("as_completed")
    with pytest.raises(Interrupt):
        list(as_completed(futures))
    sender.result()
    assert [future.statistics()["observers"] for future in futures] == [0] * 3
    for future in futures:
        future.set_result(1)
    assert set(as_completed(futures, 0)) == set(futures)


def test_a_signal_in_map(interrupt: Callable[[str], Runner], gate: Gate) -> None:
    made: list[int] = []

    def call(number: int) -> None:
        if number == 0:
            gate()
        made.append(number)

    with ThreadPoolExecutor(1) as pool:
        results = pool.map(call, range(5))
        sender = interrupt("Future.result")
        with pytest.raises(Interrupt):
            next(results)
        sender.result()
        gate.open()
        assert pool.submit(int).result(BOUND_S) == 0
    assert made == [0]


def test_a_signal_in_shutdown(interrupt: Callable[[str], Runner], gate: Gate) -> None:
    pool = ThreadPoolExecutor(1)
    futures = [pool.submit(gate, number) for number in range(3)]
    gate.await_entered()
    sender = interrupt("Thread.join")
    with pytest.raises(Interrupt):
        pool.shutdown()
    sender.result()
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(int)
    gate.open()
    pool.shutdown()
    assert [future.result(0) for future in futures] == [0, 1, 2]


def test_a_signal_in_the_last_moment_loses_nothing() -> None:
    """Signals rain on the main thread while results come: each wait ends with one or the other."""

    def handler(number: int, frame: Any) -> None:
        raise Interrupt

    counts = {"result": 0, "interrupt": 0}
    before = signal.signal(signal.SIGALRM, handler)
    try:
        with ThreadPoolExecutor(1) as pool:
            for turn in range(300):
                future = pool.submit(pow, turn, 2)
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0.00001 * (turn % 20 + 1))
                    assert future.result(BOUND_S) == turn**2
                    counts["result"] += 1
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except Interrupt:
                    counts["interrupt"] += 1
                signal.setitimer(signal.ITIMER_REAL, 0)
                assert future.result(BOUND_S) == turn**2
                assert future.statistics()["waiters"] == 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert counts["result"] + counts["interrupt"] >= 300


def in_child(work: Callable[[], object]) -> None:
    """Runs `work` in the child of a fork; fails when it fails or hangs there."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(int(BOUND_S))
            work()
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_beside_a_busy_pool(gate: Gate) -> None:
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(gate, number) for number in range(2)]
        gate.await_entered(2)
        queued = [pool.submit(gate, number) for number in range(2, 5)]
        blocked: Future[int] = Future()
        waiting = [
            Runner(blocked.result).await_blocked(),
            Runner(wait, [blocked, *running]).await_blocked(),
        ]

        def child() -> None:
            # A new pool works, and so does the old one, without what is the parent's to do.
            with ThreadPoolExecutor(2) as fresh:
                assert list(fresh.map(abs, range(-5, 5))) == [5, 4, 3, 2, 1, 0, 1, 2, 3, 4]
            assert pool.submit(pow, 2, 5).result(BOUND_S) == 32
            assert pool.statistics()["threads"] == 1
            assert [future.cancelled() for future in queued] == [True] * 3
            assert wait(queued, 0).not_done == set()
            # A future whose waiters are in the parent can be waited for and ended.
            waiter = Runner(blocked.result).await_blocked()
            blocked.set_result(7)
            assert waiter.result() == 7
            assert list(as_completed([blocked, *queued], 0))
            pool.shutdown()

        in_child(child)
        # The parent has noticed nothing.
        assert not any(future.done() for future in queued)
        gate.open()
        blocked.set_result(1)
        assert waiting[0].result() == 1
        assert waiting[1].result().not_done == set()
        assert [future.result(BOUND_S) for future in running + queued] == list(range(5))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_in_a_worker() -> None:
    def forks() -> None:
        def child() -> None:
            with ThreadPoolExecutor(1) as fresh:
                assert fresh.submit(pow, 2, 5).result(BOUND_S) == 32

        in_child(child)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(forks).result(BOUND_S)
        assert pool.submit(int).result(BOUND_S) == 0


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_shutting_down_an_inherited_pool(gate: Gate) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(gate)
        gate.await_entered()
        in_child(pool.shutdown)
        gate.open()
        assert pool.submit(int).result(BOUND_S) == 0


def run(program: str) -> subprocess.CompletedProcess[str]:
    """Runs a program in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", program],
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )


MODULES = ["concurrent.futures", "tress.concurrent.futures"]

AT_EXIT = """
import threading, time
from {module} import ThreadPoolExecutor

def say(word):
    print(word, flush=True)

begun = threading.Event()
may_end = threading.Event()

def first():
    begun.set()
    may_end.wait()
    say("first")

pool = ThreadPoolExecutor(1)
pool.submit(first)
for word in ("second", "third"):
    pool.submit(say, word)
{then}
begun.wait()
# The main thread ends while the first call is being made: the exit lets it go on.
threading._register_atexit(may_end.set)
say("end of main")
"""


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("then", ["", "pool.shutdown(wait=False)", "del pool"])
def test_the_exit_waits_for_all_calls(module: str, then: str) -> None:
    done = run(AT_EXIT.format(module=module, then=then))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n") == ["end of main", "first", "second", "third", ""]


LATE = """
import atexit
from {module} import ThreadPoolExecutor

@atexit.register
def late():
    for pool in used, unused:
        try:
            pool.submit(print)
        except RuntimeError as error:
            print(error)

used, unused = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
used.submit(int).result()
"""


@pytest.mark.parametrize("module", MODULES)
def test_a_submission_after_the_exit_has_begun(module: str) -> None:
    done = run(LATE.format(module=module))
    assert (done.returncode, done.stderr) == (0, "")
    message = "cannot schedule new futures after"
    if module == "concurrent.futures":
        assert done.stdout.count(message) == 2
    else:
        assert done.stdout == f"{message} interpreter shutdown\n" * 2


# The worker interrupts the main thread when that waits for it at the exit, and is ended by the
# interpreter while it is in Python code.
INTERRUPTED = """
import os, signal, sys, threading, time
from {module} import ThreadPoolExecutor

main = threading.main_thread().ident

def main_joins():
    frame, names = sys._current_frames().get(main), set()
    while frame is not None:
        names.add(frame.f_code.co_name)
        frame = frame.f_back
    return names.issuperset(("_python_exit", "join"))

def goes_on():
    while True:
        # Again and again, because one that comes right before the main thread sleeps wakes nobody.
        if main_joins():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.02)
        {busy}

pool = ThreadPoolExecutor(2)
pool.submit(goes_on)
pool.submit(int)
"""


@pytest.mark.parametrize("busy", ["time.sleep(0.0001)", "sum(range(1000))"])
@pytest.mark.parametrize("module", MODULES)
def test_an_exit_that_is_interrupted(module: str, busy: str) -> None:
    """The interpreter ends threads that outlive it, in the middle of a call."""
    done = run(INTERRUPTED.format(module=module, busy=busy))
    assert done.returncode in (0, -signal.SIGINT, 130), (done.returncode, done.stderr)
    assert "KeyboardInterrupt" in done.stderr
    assert "Fatal" not in done.stderr


def test_hundred_pools_at_the_exit() -> None:
    """Pools that were used, unused, busy, idle and shut down, all left to the exit."""
    done = run(
        """
import threading
from tress.concurrent.futures import ThreadPoolExecutor
pools = []
for number in range(100):
    pool = ThreadPoolExecutor(3)
    for _ in range(number % 5):
        pool.submit(pow, 2, number)
    if number % 7 == 0:
        pool.shutdown(wait=False)
    pools.append(pool)
print("end", flush=True)
"""
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


def test_importing_starts_no_thread() -> None:
    done = run(
        "import tress.concurrent.futures, threading, os\n"
        "print(threading.active_count(), len(os.listdir('/proc/self/task')))"
    )
    assert (done.stdout, done.stderr) == ("1 1\n", "")


def test_memory_does_not_grow() -> None:
    """References, objects and memory stay where they are over many calls."""
    done = run(
        """
import gc, resource, sys
from tress.concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait

def turn(pool, count):
    for future in as_completed([pool.submit(pow, 2, n % 9) for n in range(count)]):
        future.result()
    wait([pool.submit(pow, n, 2, 7) for n in range(count)])
    list(pool.map(str, range(count)))
    for _ in range(count):
        future = Future()
        future.add_done_callback(id)
        future.set_result(None)
        try:
            pool.submit(int, "x").result()
        except ValueError:
            pass

with ThreadPoolExecutor(2) as pool:
    turn(pool, 2000)
    gc.collect()
    objects, memory = len(gc.get_objects()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(15):
        turn(pool, 2000)
    gc.collect()
    grown = len(gc.get_objects()) - objects
    assert grown < 50, grown
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
    assert grown < 4096, f"{grown} KiB"
"""
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_worker_threads_are_seen_idle() -> None:
    with ThreadPoolExecutor(2) as pool:
        pool.submit(time.sleep, 0).result(BOUND_S)
        (worker,) = pool._threads
        until(
            lambda: any(
                wait.thread_ident == worker.ident and wait.operation == "ThreadPoolExecutor.idle"
                for wait in tress.waits()
            ),
            "the worker is seen to be idle",
        )
