"""Timer, beside the standard library's; and that a timer that waits costs no thread."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import tress.threading
from tests.threads.ordering import BOUND_S, Attempt, outcome, until
from tress import _native

SOON = 0.01
FAR = 1000.0


def test_calls_its_function_after_the_interval(library: ModuleType) -> None:
    seen: list[Any] = []

    def function(*args: Any, **kwargs: Any) -> None:
        seen.append((args, kwargs, threading.current_thread(), time.monotonic()))

    timer = library.Timer(0.05, function, [1, 2], {"three": 3})
    begin = time.monotonic()
    timer.start()
    assert timer.is_alive()
    timer.join(BOUND_S)
    assert not timer.is_alive()
    args, kwargs, thread, end = seen[0]
    assert (args, kwargs) == ((1, 2), {"three": 3})
    assert thread is timer
    assert end - begin >= 0.05
    assert timer.finished.is_set()


def test_cancel(library: ModuleType) -> None:
    called: list[int] = []
    timer = library.Timer(FAR, called.append, (1,))
    timer.start()
    assert timer.is_alive()
    assert timer.cancel() is None
    timer.join(BOUND_S)
    assert not timer.is_alive()
    assert called == []
    timer.cancel()


def test_cancel_before_start(library: ModuleType) -> None:
    called: list[int] = []
    timer = library.Timer(0, called.append, (1,))
    timer.cancel()
    timer.start()
    timer.join(BOUND_S)
    assert called == []
    assert not timer.is_alive()


def test_cancel_after_the_end(library: ModuleType) -> None:
    called: list[int] = []
    timer = library.Timer(0, called.append, (1,))
    timer.start()
    timer.join(BOUND_S)
    timer.cancel()
    assert called == [1]
    assert not timer.is_alive()


def test_finished_set_by_hand_ends_it(library: ModuleType) -> None:
    timer = library.Timer(FAR, pytest.fail)
    timer.start()
    timer.finished.set()
    timer.join(BOUND_S)
    assert not timer.is_alive()


def test_a_timer_is_a_thread(library: ModuleType) -> None:
    timer = library.Timer(FAR, print)
    assert isinstance(timer, threading.Thread)
    assert isinstance(timer, threading.Timer)
    assert timer.name.startswith("Thread-")
    assert timer.daemon is False
    assert (timer.ident, timer.native_id) == (None, None)
    timer.daemon = True
    timer.name = "clock"
    before = threading.active_count()
    timer.start()
    assert threading.active_count() == before + 1
    assert timer in threading.enumerate()
    assert "clock" in repr(timer)
    with pytest.raises(RuntimeError, match="cannot set daemon status of active thread"):
        timer.daemon = False
    timer.join(SOON)
    assert timer.is_alive()
    assert isinstance(timer.ident, int)
    assert os.path.exists(f"/proc/self/task/{timer.native_id}")
    timer.cancel()
    timer.join(BOUND_S)
    assert timer not in threading.enumerate()
    with pytest.raises(RuntimeError, match="threads can only be started once"):
        timer.start()


ATTEMPTS: list[Attempt] = [
    lambda library: library.Timer(),
    lambda library: library.Timer(1),
    lambda library: library.Timer(1, print, (), {}, True),
    lambda library: library.Timer(interval=1, function=print, args=None, kwargs=None) and None,
    lambda library: library.Timer(1, print).args,
    lambda library: library.Timer(1, print).kwargs,
    lambda library: library.Timer(1, print).interval,
    lambda library: library.Timer(1, print).function,
    lambda library: library.Timer(1, print).join(),
    lambda library: library.Timer(1, print).is_alive(),
]


@pytest.mark.parametrize(
    "attempt", ATTEMPTS, ids=lambda attempt: str(attempt.__code__.co_firstlineno)
)
def test_calls_come_to_the_same(attempt: Attempt) -> None:
    assert outcome(attempt, tress.threading) == outcome(attempt, threading)


@pytest.mark.parametrize("interval", ["1", None, float("nan")])
def test_a_bad_interval_is_told_to_who_starts_it(interval: Any) -> None:
    timer = tress.threading.Timer(interval, print)
    with pytest.raises((TypeError, ValueError)):
        timer.start()
    assert not timer.is_alive()
    assert timer not in threading.enumerate()


@pytest.mark.parametrize("interval", [0, -1, -0.0])
def test_no_interval(library: ModuleType, interval: float) -> None:
    called: list[int] = []
    timer = library.Timer(interval, called.append, (1,))
    timer.start()
    timer.join(BOUND_S)
    assert called == [1]


def test_arguments_may_be_changed_before_it_fires(library: ModuleType) -> None:
    called: list[int] = []
    timer = library.Timer(0.1, called.append, [1])
    timer.start()
    timer.args = [2]
    timer.join(BOUND_S)
    assert called == [2]


def test_a_function_that_fails(library: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.append(args.exc_type))
    timer = library.Timer(0, lambda: 1 / 0)
    timer.start()
    timer.join(BOUND_S)
    assert reported == [ZeroDivisionError]
    assert not timer.is_alive()


def test_a_subclass_with_run_of_its_own(library: ModuleType) -> None:
    class Repeating(library.Timer):  # type: ignore[name-defined, misc]
        def run(self) -> None:
            while not self.finished.wait(self.interval):
                self.function(*self.args, **self.kwargs)

    called: list[int] = []
    timer = Repeating(0.001, called.append, (1,))
    timer.start()
    until(lambda: len(called) >= 3, "it repeats")
    timer.cancel()
    timer.join(BOUND_S)
    assert not timer.is_alive()


def test_in_order_of_their_times(library: ModuleType) -> None:
    called: list[int] = []
    # Far enough apart for a busy machine: each is a thread of its own once it fires.
    timers = [library.Timer(0.5 * n, called.append, (n,)) for n in (3, 1, 2)]
    for timer in timers:
        timer.start()
    for timer in timers:
        timer.join(BOUND_S)
    assert called == [1, 2, 3]


def test_a_function_that_takes_long_holds_up_no_other(library: ModuleType) -> None:
    go_on = threading.Event()
    slow = library.Timer(0, go_on.wait)
    slow.start()
    quick = library.Timer(SOON, go_on.set)
    quick.start()
    slow.join(BOUND_S)
    assert not slow.is_alive()


def system_threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def test_a_thousand_that_wait_cost_one_thread() -> None:
    before = system_threads()
    timers = [tress.threading.Timer(FAR, print) for _ in range(1000)]
    for timer in timers:
        timer.start()
    assert system_threads() <= before + 1
    assert threading.active_count() >= 1000
    for timer in timers:
        timer.cancel()
    assert not any(timer.is_alive() for timer in timers)


def sleeps(thread: threading.Thread) -> bool:
    stat = Path(f"/proc/self/task/{thread.native_id}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "S"


def test_whoever_sleeps_for_timers_ends_with_the_last_of_them() -> None:
    timers = _native.Timers()
    first, last = timers.add(FAR, None), timers.add(FAR, None)
    returned: list[Any] = []
    sleeper = threading.Thread(target=lambda: returned.append(timers.next(0.0)), daemon=True)
    sleeper.start()
    until(lambda: sleeps(sleeper), "it sleeps")
    assert timers.cancel(first)
    assert sleeper.is_alive()
    assert timers.cancel(last)
    sleeper.join(BOUND_S)
    assert returned == [None]


def test_a_timer_that_is_due_before_the_others_is_not_slept_through() -> None:
    timers = _native.Timers()
    timers.add(FAR, "late")
    returned: list[Any] = []
    # Within its patience, and after it.
    for patience in (FAR / 2, 0.0):
        sleeper = threading.Thread(
            target=lambda patience=patience: returned.append(timers.next(patience)), daemon=True
        )
        sleeper.start()
        until(lambda sleeper=sleeper: sleeps(sleeper), "it sleeps")  # type: ignore[misc]
        timers.add(SOON, "soon")
        sleeper.join(BOUND_S)
    assert returned == ["soon", "soon"]


def test_result() -> None:
    timer = tress.threading.Timer(SOON, divmod, (7, 2))
    timer.start()
    # As `run` of the standard library's Timer, it returns nothing.
    assert timer.result(BOUND_S) is None
    assert timer.finished.is_set()


def test_weak_references(library: ModuleType) -> None:
    for cancel in (True, False):
        timer = library.Timer(FAR if cancel else 0, int)
        reference = weakref.ref(timer)
        timer.start()
        if cancel:
            timer.cancel()
        timer.join(BOUND_S)
        del timer
        until(lambda reference=reference: reference() is None, "it is gone")  # type: ignore[misc]


def run_program(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=BOUND_S, check=False
    )


@pytest.mark.parametrize("module", ["threading", "tress.threading"])
def test_the_interpreter_waits_for_a_timer_that_is_no_daemon(module: str) -> None:
    done = run_program(f"import {module} as t; t.Timer(0.1, print, ['fired']).start()")
    assert (done.returncode, done.stdout, done.stderr) == (0, "fired\n", "")


@pytest.mark.parametrize("module", ["threading", "tress.threading"])
def test_the_interpreter_waits_for_all_of_them(module: str) -> None:
    """Those that are due at once, those that are due later, and one that fails."""
    done = run_program(
        f"import {module} as t, os, threading\n"
        # One write a line: two timers may write at once.
        "def say(what): os.write(1, f'{what}\\n'.encode())\n"
        "threading.excepthook = lambda args: say('failed')\n"
        "for n in (0.3, 0.1, 0.2, 0, 0.001):\n"
        "    t.Timer(n, say, [n]).start()\n"
        "t.Timer(0.15, lambda: 1 / 0).start()\n"
    )
    assert sorted(done.stdout.split()) == sorted(["0", "0.001", "0.1", "failed", "0.2", "0.3"])
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("module", ["threading", "tress.threading"])
def test_the_interpreter_does_not_wait_for_a_daemon(module: str) -> None:
    done = run_program(
        f"import {module} as t; T = t.Timer(1000, print, ['fired']); T.daemon = True; T.start()"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_timer_started_from_a_timer(library: ModuleType) -> None:
    done = threading.Event()
    timer = library.Timer(0, lambda: library.Timer(0, done.set).start())
    timer.start()
    assert done.wait(BOUND_S)


def test_cancel_races_with_firing(library: ModuleType) -> None:
    """Each timer is either cancelled or fires once, and ends."""
    for turn in range(100):
        called: list[int] = []
        timer = library.Timer(0.0002 * (turn % 5), called.append, (1,))
        timer.start()
        sum(range(turn * 20))
        timer.cancel()
        timer.join(BOUND_S)
        assert not timer.is_alive()
        assert len(called) <= 1
