"""The interpreter ends whatever its daemon threads are doing: no crash, no hang, not a word.

TRESS_EXIT_RUNS says how often each is tried; the default is few, for every run of the tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUNS = int(os.environ.get("TRESS_EXIT_RUNS", "5"))
BOUND_S = 60
ROOT = Path(__file__).parent.parent.parent


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )


@pytest.mark.bound(60.0 + RUNS * 5.0)
def test_with_hundreds_of_daemon_threads() -> None:
    for number in range(RUNS):
        done = run("-m", "tests.faults.exit_storm")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), f"run {number}"


def test_the_storm_is_one() -> None:
    done = run("-m", "tests.faults.exit_storm", "count")
    assert int(done.stdout) >= 200


LOCKS_OF_OTHERS = """
import sys, threading, tress.threading

condition = tress.threading.Condition(threading.Lock())
under_way = threading.Event()

def wait():
    while True:
        with condition:
            condition.wait()
            under_way.set()

def notify():
    while True:
        with condition:
            condition.notify_all()

sys.setswitchinterval(0.0001)
for call in [wait, notify] * 4:
    threading.Thread(target=call, daemon=True).start()
under_way.wait()
"""


@pytest.mark.bound(60.0 + RUNS * 5.0)
def test_with_daemon_threads_that_wait_for_a_lock_of_others() -> None:
    """The interpreter unwinds them, up to 3.13.7, out of a call that tress has made."""
    for number in range(RUNS):
        done = run("-c", LOCKS_OF_OTHERS)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), f"run {number}"


PROGRAMS = {
    "an executor that nobody shut down": """
from tress.concurrent.futures import ThreadPoolExecutor
pool = ThreadPoolExecutor(4)
for number in range(100):
    pool.submit(abs, number)
""",
    "an executor with calls that run": """
import time
from tress.concurrent.futures import ThreadPoolExecutor
pool = ThreadPoolExecutor(4)
calls = [pool.submit(time.sleep, 0.05) for _ in range(8)]
import atexit
atexit.register(lambda: [call.result(0) for call in calls])
""",
    "a thread that is no daemon": """
from tress.threading import Event, Thread, Timer
event = Event()
Thread(target=event.wait).start()
Timer(0.05, event.set).start()
""",
    "sys.exit in a thread": """
import sys
from tress.threading import Thread
Thread(target=sys.exit).start()
""",
    "exit handlers that use everything": """
import atexit
from tress import threading, queue
def use():
    lock, event, q = threading.Lock(), threading.Event(), queue.Queue()
    with lock:
        assert not lock.acquire(timeout=0.001)
    assert not event.wait(0.001)
    try:
        q.get(timeout=0.001)
    except queue.Empty:
        pass
    q.put(1)
    assert q.get() == 1
atexit.register(use)
""",
    "objects that wait in their finalizers": """
from tress import threading, queue
class Late:
    def __init__(self):
        self.event, self.lock, self.queue = threading.Event(), threading.Lock(), queue.SimpleQueue()
        self.condition = threading.Condition()
        self.cycle = self
    def __del__(self):
        self.event.wait(0.001)
        with self.lock:
            self.lock.acquire(timeout=0.001)
        self.queue.put(1)
        self.queue.get()
        with self.condition:
            self.condition.wait(0.001)
late = Late()
""",
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_programs_end_without_a_word(program: str) -> None:
    done = run("-c", program)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_ctrl_c_at_the_end_is_what_it_is_on_this_python() -> None:
    """The main thread waits for a thread when the interpreter ends, and is interrupted."""
    program = """
import os, signal
from {} import Event, Thread
never = Event()
def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    never.wait(0.2)
Thread(target=interrupt).start()
"""
    standard, ours = (
        run("-c", program.format(module)) for module in ("threading", "tress.threading")
    )
    assert ours.returncode == standard.returncode
    assert ("KeyboardInterrupt" in ours.stderr) == ("KeyboardInterrupt" in standard.stderr)
