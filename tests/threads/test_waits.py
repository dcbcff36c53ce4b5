"""waits(), dump_waits() and dump_waits_on(): who waits for what, right now."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import tress
import tress.queue
import tress.threading
from tests.threads.ordering import BOUND_S, OURS, Runner, blocked, until

HERE = os.path.abspath(__file__)


class Case:
    """A blocking call, the object that it is seen to wait on, and what ends it."""

    def __init__(
        self, operation: str, waited_on: Any, call: Callable[[], object], end: Callable[[], object]
    ) -> None:
        self.operation = operation
        self.waited_on = waited_on
        self.call = call
        self.end = end


def a_lock() -> Case:
    lock = tress.threading.Lock()
    lock.acquire()
    return Case("Lock.acquire", lock, lock.acquire, lock.release)


def an_rlock() -> Case:
    lock = tress.threading.RLock()
    lock.acquire()
    return Case("RLock.acquire", lock, lock.acquire, lock.release)


def a_semaphore() -> Case:
    semaphore = tress.threading.Semaphore(0)
    return Case("Semaphore.acquire", semaphore, semaphore.acquire, semaphore.release)


def a_bounded_semaphore() -> Case:
    semaphore = tress.threading.BoundedSemaphore(1)
    semaphore.acquire()
    return Case("Semaphore.acquire", semaphore, semaphore.acquire, semaphore.release)


def an_event() -> Case:
    event = tress.threading.Event()
    return Case("Event.wait", event, event.wait, event.set)


def a_condition() -> Case:
    condition = tress.threading.Condition()

    def wait() -> None:
        with condition:
            condition.wait()

    def notify() -> None:
        with condition:
            condition.notify()

    return Case("Condition.wait", condition, wait, notify)


def a_barrier() -> Case:
    barrier = tress.threading.Barrier(2)
    return Case("Barrier.wait", barrier, barrier.wait, barrier.wait)


def a_thread() -> Case:
    event = tress.threading.Event()
    thread = tress.threading.Thread(target=event.wait)
    thread.start()
    return Case("Thread.join", thread, thread.join, event.set)


def a_result() -> Case:
    event = tress.threading.Event()
    thread = tress.threading.Thread(target=event.wait)
    thread.start()
    return Case("Thread.join", thread, thread.result, event.set)


def a_timer() -> Case:
    timer = tress.threading.Timer(1000, print)
    timer.start()
    return Case("Thread.join", timer, timer.join, timer.cancel)


def a_get() -> Case:
    queue: Any = tress.queue.Queue()
    return Case("Queue.get", queue, queue.get, lambda: queue.put(1))


def a_put() -> Case:
    queue: Any = tress.queue.Queue(1)
    queue.put(1)
    return Case("Queue.put", queue, lambda: queue.put(2), queue.get)


def a_queue_join() -> Case:
    queue: Any = tress.queue.Queue()
    queue.put(1)
    return Case("Queue.join", queue, queue.join, queue.task_done)


def a_simple_queue() -> Case:
    queue: Any = tress.queue.SimpleQueue()
    return Case("SimpleQueue.get", queue, queue.get, lambda: queue.put(1))


CASES = [
    a_lock,
    an_rlock,
    a_semaphore,
    a_bounded_semaphore,
    an_event,
    a_condition,
    a_barrier,
    a_thread,
    a_result,
    a_timer,
    a_get,
    a_put,
    a_queue_join,
    a_simple_queue,
]


@pytest.fixture(params=CASES, ids=lambda case: case.__name__.removeprefix("a_"))
def case(request: pytest.FixtureRequest) -> Case:
    made: Case = request.param()
    return made


def wait_of(runner: Runner) -> Any:
    """What `waits()` says about a thread."""
    found: list[Any] = []

    def look() -> bool:
        found[:] = [wait for wait in tress.waits() if wait.thread_ident == runner.thread.ident]
        return bool(found)

    until(look, "the wait is seen")
    (wait,) = found
    return wait


def untimed(text: str) -> str:
    """The text without how long a timer has still to go, which is less each time one looks."""
    return re.sub(r"fires in [\d.]+ s", "fires in a while", text)


def test_every_wait_is_seen(case: Case) -> None:
    runner = Runner(case.call, name="the waiting one")
    wait = wait_of(runner)
    assert wait.operation == case.operation
    assert wait.object is case.waited_on
    assert wait.thread_name == "the waiting one"
    assert wait.thread_ident == runner.thread.ident
    assert 0 <= wait.seconds < BOUND_S
    assert wait.seconds_left is None
    assert any(entry.filename.endswith("ordering.py") for entry in wait.stack)
    assert not any(entry.filename.startswith(OURS) for entry in wait.stack)
    text = str(wait)
    assert text.startswith(f"the waiting one ({wait.thread_ident}) waits in {case.operation} for ")
    assert untimed(repr(case.waited_on)) in untimed(text)
    case.end()
    runner.result()
    assert [wait for wait in tress.waits() if wait.object is case.waited_on] == []


def test_the_owner_of_a_lock_is_told() -> None:
    for kind in (tress.threading.Lock, tress.threading.RLock):
        lock = kind()
        with lock:
            wait = wait_of(blocked(lock.acquire))
            assert wait.owner_ident == threading.get_ident()
            assert wait.owner_name == threading.current_thread().name
            who = f"{wait.owner_name} ({wait.owner_ident})"
            assert str(wait).endswith(f"\n  held by {who}")


def test_a_lock_used_as_a_signal_has_no_owner() -> None:
    lock = tress.threading.Lock()
    lock.acquire()
    Runner(lock.release).result()
    lock.acquire()
    wait = wait_of(blocked(lock.acquire))
    assert (wait.owner_ident, wait.owner_name) == (None, None)
    lock.release()


def test_a_condition_has_no_owner() -> None:
    condition = tress.threading.Condition()

    def wait_in() -> None:
        with condition:
            condition.wait()

    runner = Runner(wait_in)
    with_owner = wait_of(runner)
    with condition:
        wait = wait_of(runner)
        condition.notify()
    assert with_owner.owner_ident is None
    assert wait.owner_ident is None
    runner.result()


def test_the_time_that_is_left() -> None:
    event = tress.threading.Event()
    runner = Runner(event.wait, 1000.0)
    first = wait_of(runner)
    assert 900 < first.seconds_left <= 1000
    until(lambda: wait_of(runner).seconds > first.seconds, "time passes")
    second = wait_of(runner)
    assert second.seconds_left < first.seconds_left
    assert re.search(r" for \d+\.\d{3} s, \d+\.\d{3} s left\n", str(second))
    event.set()
    runner.result()


def test_longest_first() -> None:
    event = tress.threading.Event()
    runners = []
    for _ in range(3):
        runners.append(blocked(event.wait))
        wait_of(runners[-1])
    seen = [wait.thread_ident for wait in tress.waits() if wait.object is event]
    assert seen == [runner.thread.ident for runner in runners]
    event.set()
    for runner in runners:
        runner.result()


def test_a_wait_that_ends_at_once_is_none() -> None:
    lock = tress.threading.Lock()
    with lock:
        assert not lock.acquire(False)
        assert not any(wait.object is lock for wait in tress.waits())


def test_many_threads_that_come_and_go_are_seen_whole() -> None:
    """Looking while threads begin and end waits never fails, and shows what is there."""
    lock = tress.threading.Lock()
    over = False

    def work() -> None:
        while not over:
            with lock:
                pass

    runners = [Runner(work) for _ in range(6)]
    idents = {runner.thread.ident for runner in runners}
    for _ in range(300):
        for wait in tress.waits():
            if wait.object is lock:
                assert wait.thread_ident in idents
                assert wait.operation == "Lock.acquire"
                str(wait)
    over = True
    for runner in runners:
        runner.result()


def test_dump_waits_prints_to_a_file(case: Case) -> None:
    runner = Runner(case.call, name="the waiting one")
    wait_of(runner)
    file = io.StringIO()
    tress.dump_waits(file)
    text = file.getvalue()
    first, *rest = text.splitlines()
    assert re.fullmatch(rf"\d+ threads? of process {os.getpid()} in a wait", first)
    assert f"waits in {case.operation} for " in text
    assert f"  on {untimed(repr(case.waited_on))}" in [untimed(line) for line in rest]
    assert any(line.startswith(('    File "', '  File "')) for line in rest)
    case.end()
    runner.result()


def test_dump_waits_prints_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    tress.dump_waits()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"of process {os.getpid()} in a wait\n" in captured.err


def test_one_thread_is_not_plural() -> None:
    program = "import tress, sys; tress.dump_waits(sys.stdout)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("0 threads of process ")


READY_ONCE_THERE_WAIT = """
def ready_once_there_wait(count):
    import threading, tress
    def tell():
        while len(tress.waits()) < count:
            pass
        print("ready")
    threading.Thread(target=tell, daemon=True).start()
"""
"""In front of each program: prints `ready` once `count` threads wait, the main thread too."""


def run_program(
    program: str, tmp_path: Path, *, send: int, times: int, done: Callable[[str], bool]
) -> str:
    """Runs a program that prints `ready`; sends it a signal, `times` times, each once the one
    before is answered; returns its standard error as soon as that is `done`, and kills it.
    """
    path, errors = tmp_path / "program.py", tmp_path / "errors"
    path.write_text(READY_ONCE_THERE_WAIT + textwrap.dedent(program))
    with errors.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-u", str(path)], stdout=subprocess.PIPE, stderr=file, text=True
        )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for time in range(1, times + 1):
            os.kill(process.pid, send)
            answered = partial(lambda time: errors.read_text().count("in a wait\n") >= time, time)
            until(answered, "the signal is answered")
        until(lambda: done(errors.read_text()), "what is expected is printed")
        assert process.poll() is None
        return errors.read_text()
    finally:
        process.kill()
        process.communicate()


PROGRAM_WITH_THE_MAIN_THREAD_WAITING = """
import signal, tress
from tress import threading
lock = threading.Lock()
lock.acquire()
threading.Thread(target=lambda: lock.acquire(), name="the waiting one", daemon=True).start()
tress.dump_waits_on(signal.SIGUSR1)
ready_once_there_wait(2)
threading.Event().wait()  # for ever
"""


def test_a_signal_prints(tmp_path: Path) -> None:
    printed = run_program(
        PROGRAM_WITH_THE_MAIN_THREAD_WAITING,
        tmp_path,
        send=signal.SIGUSR1,
        times=1,
        done=lambda text: text.count("# for ever") == 1,
    )
    assert "the waiting one" in printed
    assert "waits in Lock.acquire for" in printed
    assert "held by MainThread" in printed


def test_a_signal_prints_again_and_again(tmp_path: Path) -> None:
    run_program(
        PROGRAM_WITH_THE_MAIN_THREAD_WAITING,
        tmp_path,
        send=signal.SIGUSR1,
        times=5,
        done=lambda text: text.count("# for ever") == 5,
    )


def test_a_signal_prints_while_the_main_thread_is_in_a_lock_of_c(tmp_path: Path) -> None:
    """No Python code runs in the main thread: a handler of Python's own would never run."""
    program = """
    import _thread, signal, tress
    tress.dump_waits_on(signal.SIGUSR1)
    never = _thread.allocate_lock()
    never.acquire()
    signal.pthread_sigmask(signal.SIG_BLOCK, [])
    print("ready")
    while True:
        never.acquire()
    """
    run_program(
        program,
        tmp_path,
        send=signal.SIGUSR1,
        times=1,
        done=lambda text: "0 threads of process" in text,
    )


def test_the_thread_that_prints_outlives_other_signals(tmp_path: Path) -> None:
    """The system gives a signal to whichever thread it likes, that one as well."""
    program = """
    import signal, sys, threading, time, tress, tress.threading
    tress.dump_waits_on(signal.SIGUSR1)
    signal.signal(signal.SIGUSR2, lambda signum, frame: None)
    while not (printing := [i for i in sys._current_frames() if i != threading.get_ident()]):
        time.sleep(0.001)
    for _ in range(20):
        signal.pthread_kill(printing[0], signal.SIGUSR2)
        time.sleep(0.001)
    ready_once_there_wait(1)
    tress.threading.Event().wait()  # for ever
    """
    run_program(
        program,
        tmp_path,
        send=signal.SIGUSR1,
        times=2,
        done=lambda text: text.count("# for ever") == 2,
    )


def test_the_last_file_counts(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    with first.open("w") as one, second.open("w") as two:
        tress.dump_waits_on(signal.SIGUSR1, one)
        tress.dump_waits_on(signal.SIGUSR1, two)
        os.kill(os.getpid(), signal.SIGUSR1)
        until(lambda: "in a wait" in second.read_text(), "it is printed")
        assert first.read_text() == ""
        tress.dump_waits_on(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)


@pytest.mark.parametrize("signum", [0, -1, 65, 10_000])
def test_a_number_that_is_no_signal(signum: int) -> None:
    with pytest.raises(ValueError, match=f"signum must be from 1 to 64, not {signum}"):
        tress.dump_waits_on(signum)


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSTOP])
def test_a_signal_that_cannot_be_handled(signum: int) -> None:
    with pytest.raises(OSError):  # noqa: PT011
        tress.dump_waits_on(signum)
    # It may be asked again, and is refused again.
    with pytest.raises(OSError):  # noqa: PT011
        tress.dump_waits_on(signum)


def test_a_bad_request_leaves_neither_thread_nor_descriptor() -> None:
    def resources() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

    before = resources()
    for _ in range(5):
        with pytest.raises(OSError):  # noqa: PT011
            tress.dump_waits_on(signal.SIGKILL)
        with pytest.raises(ValueError, match="signum"):
            tress.dump_waits_on(0)
    assert resources() == before
