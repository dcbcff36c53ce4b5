"""`progress=`: what is told, what is drawn, and that it changes nothing else."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyte
import pytest

import tress.multiprocessing as mp
from tests.processes.calls import square
from tress._progress import Progress
from tress.concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from tress.multiprocessing.pool import ThreadPool

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

BOUND_S = 50.0
SQUARES = [n * n for n in range(20)]


class Told:
    """A callback, which waits for the last call."""

    def __init__(self, last: int = 20) -> None:
        self.all: list[Progress] = []
        self._last = last
        self._there = threading.Event()

    def __call__(self, progress: Progress) -> None:
        self.all.append(progress)
        if progress.done == self._last:
            self._there.set()

    def dones(self) -> list[int]:
        assert self._there.wait(BOUND_S), self.all
        return [progress.done for progress in self.all]


@contextmanager
def executor(kind: str) -> Iterator[Any]:
    if kind == "threads":
        with ThreadPoolExecutor(2) as threads:
            yield threads
    else:
        with ProcessPoolExecutor(2, mp_context=mp.get_context("forkserver")) as processes:
            yield processes if kind == "processes" else processes.with_options(timeout=BOUND_S)


@contextmanager
def pool(kind: str) -> Iterator[Any]:
    made = ThreadPool(2) if kind == "threads" else mp.get_context("forkserver").Pool(2)
    with made:
        yield made if kind != "options" else made.with_options(timeout=BOUND_S)


@pytest.mark.parametrize("kind", ["threads", "processes", "options"])
def test_maps_of_executors(kind: str) -> None:
    with executor(kind) as made:
        told = Told()
        assert list(made.map(square, range(20), progress=told)) == SQUARES
        assert told.dones() == list(range(1, 21))
        assert {progress.total for progress in told.all} == {20}
        # A generator does not say how long it is.
        told = Told()
        assert list(made.map(square, iter(range(20)), progress=told)) == SQUARES
        told.dones()
        assert {progress.total for progress in told.all} == {None}
        if kind != "threads":
            told = Told()
            assert list(made.map(square, range(20), chunksize=8, progress=told)) == SQUARES
            assert len(told.dones()) == 3


@pytest.mark.parametrize("kind", ["threads", "processes", "options"])
@pytest.mark.parametrize("method", ["map", "imap", "imap_unordered"])
@pytest.mark.parametrize("size", [1, 8])
def test_maps_of_pools(kind: str, method: str, size: int) -> None:
    with pool(kind) as made:
        for iterable, total in ((range(20), 20), (iter(range(20)), None)):
            told = Told()
            results = getattr(made, method)(square, iterable, size, progress=told)
            assert sorted(results) == SQUARES
            assert len(told.dones()) == (20 if size == 1 else 3)
            assert {progress.total for progress in told.all} == {20 if method == "map" else total}


def test_starmaps_and_what_returns_at_once() -> None:
    with pool("threads") as made:
        for method in ("starmap", "starmap_async", "map_async"):
            told = Told()
            items: Any = range(20) if method == "map_async" else [(n,) for n in range(20)]
            results = getattr(made, method)(square, items, 1, progress=told)
            assert (results if method == "starmap" else results.get(BOUND_S)) == SQUARES
            assert told.dones() == list(range(1, 21))


def test_as_completed() -> None:
    told = Told()
    with executor("threads") as made:
        futures = [made.submit(square, n) for n in range(20)]
        assert set(as_completed(futures, progress=told)) == set(futures)
    assert told.dones() == list(range(1, 21))


def test_calls_that_raise_count_and_cancelled_ones_do_not() -> None:
    told = Told(last=2)
    hold = threading.Event()

    def call(number: int) -> int:
        if number == 1:
            raise KeyError(number)
        hold.wait(BOUND_S * (number == 2))
        return number

    with ThreadPoolExecutor(1) as made:
        results = made.map(call, range(5), progress=told)
        assert next(results) == 0
        with pytest.raises(KeyError):
            next(results)
        hold.set()
    assert [progress.done for progress in told.all][:2] == [1, 2]
    assert len(told.all) <= 3


def test_a_callback_that_raises_costs_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", errors.append)

    def refuse(progress: Progress) -> None:
        raise RuntimeError(f"at {progress.done}")

    with ThreadPoolExecutor(2) as made:
        assert list(made.map(square, range(20), progress=refuse)) == SQUARES
    # It is not called again.
    assert [str(error.exc_value) for error in errors] == ["at 1"]


bad: Any = 3


@pytest.mark.parametrize(
    "begin",
    [
        lambda executor, pool: executor.map(square, [1], progress=3),
        lambda executor, pool: pool.map(square, [1], progress=3),
        lambda executor, pool: pool.imap(square, [1], progress=3),
        lambda executor, pool: list(as_completed([], progress=bad)),
    ],
)
def test_a_bad_argument(begin: Callable[..., Any]) -> None:
    with (
        executor("threads") as made,
        pool("threads") as other,
        pytest.raises(TypeError, match="progress must be a bool, a str or a callable, not int"),
    ):
        begin(made, other)


PROGRAM = """
import sys, threading
{before}
from tress.concurrent.futures import ThreadPoolExecutor, ProcessPoolExecutor
import tress.multiprocessing as mp

def call(number):
    if number % 10 == 0:
        # In one piece: else lines of several threads may mix.
        sys.stdout.write(f"<out {{number}}>\\n")
        sys.stderr.write(f"<err {{number}}>\\n")
    return number

def begin_and_end(number):
    print("not a whole ", end="")
    print("line", number)
    return number

def shout(number):
    print(f"<child {{number}}>", flush=True)
    return number

if __name__ == "__main__":
    with ThreadPoolExecutor(4) as threads:
        print("before")
        print(sum(threads.map(call, range(200), progress=True)))
    print(sum(ThreadPoolExecutor(1).map(begin_and_end, range(8), progress="other name")))
    with mp.get_context("fork").Pool(1) as pool:
        print(sum(pool.imap_unordered(shout, range(3), progress=True)))
    print(sum(ThreadPoolExecutor(1).map(call, [], progress=True)))
    print(type(sys.stdout).__name__, type(sys.stderr).__name__)
"""

WITHOUT = "sys.modules[{!r}] = None"
DRAWERS = {
    "tqdm": "import tqdm",
    "rich": "import rich",
    "plain": f"{WITHOUT.format('tqdm')}; {WITHOUT.format('rich')}",
}
OUT = [f"<out {n}>" for n in range(0, 200, 10)]
ERR = [f"<err {n}>" for n in range(0, 200, 10)]
CHILD = [f"<child {n}>" for n in range(3)]


def program(folder: Path, drawer: str, text: str = PROGRAM) -> list[str]:
    file = folder / "program.py"
    file.write_text(text.format(before=DRAWERS[drawer], bound=BOUND_S))
    return [sys.executable, "-W", "ignore", str(file)]


def on_a_terminal(command: list[str], code: int = 0, **streams: Any) -> list[str]:
    """The lines that a terminal shows in the end; its cursor is seen, in a line of its own."""
    screen = pyte.HistoryScreen(100, 400, history=1000)
    stream = pyte.ByteStream(screen)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 400, 100, 0, 0))
    given = {"stdin": theirs, "stdout": theirs, "stderr": theirs} | streams
    with subprocess.Popen(command, env={**os.environ, "TERM": "xterm"}, **given) as process:
        os.close(theirs)
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:  # nobody has the other end any more
                break
            if not data:
                break
            stream.feed(data)
        assert process.wait(BOUND_S) == code
    os.close(ours)
    assert not screen.cursor.hidden
    assert screen.cursor.x == 0
    return [line.rstrip() for line in screen.display if line.strip()]


@pytest.mark.parametrize("drawer", DRAWERS)
def test_on_a_terminal_each_line_of_the_program_stands_by_itself(
    drawer: str, tmp_path: Path
) -> None:
    lines = on_a_terminal(program(tmp_path, drawer))
    own = [line for line in lines if line.startswith("<") and line not in CHILD]
    # What another process writes can stand behind what is drawn, or be written over by it: of that
    # nothing is promised on a terminal, and in a file it is whole (the next test).
    assert sorted(own) == sorted([*OUT, *ERR]), lines
    parts = [f"not a whole line {n}" for n in range(8)]
    for whole in ("before", "19900", *parts, "28", "3", "0", "TextIOWrapper TextIOWrapper"):
        assert whole in lines, lines
    assert any("call" in line and "200" in line for line in lines), lines
    assert any("other name" in line for line in lines), lines


@pytest.mark.parametrize("drawer", DRAWERS)
def test_what_goes_to_a_file_is_what_the_program_has_printed(drawer: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with out.open("wb") as file:
        lines = on_a_terminal(program(tmp_path, drawer), stdout=file)
    printed = out.read_text().splitlines()
    assert sorted(line for line in printed if line.startswith("<")) == sorted([*OUT, *CHILD])
    assert "not a whole line 7" in printed
    assert not any("%" in line for line in printed)
    assert sorted(line for line in lines if line.startswith("<")) == sorted(ERR)


def test_without_a_terminal_there_is_a_line_for_each_map(tmp_path: Path) -> None:
    ran = subprocess.run(
        program(tmp_path, "tqdm"), capture_output=True, text=True, timeout=BOUND_S, check=True
    )
    said = [line for line in ran.stderr.splitlines() if not line.startswith("<")]
    assert [line.rpartition(",")[0] for line in said] == [
        "call: 200 of 200 (100 %)",
        "other name: 8 of 8 (100 %)",
        "shout: 3 of 3 (100 %)",
        "call: 0",
    ]
    assert "\r" not in ran.stderr


HALFWAY = """
import sys
{before}
import atexit, threading
from tress.concurrent.futures import ThreadPoolExecutor, as_completed
import tress.multiprocessing as mp
from tress.multiprocessing.pool import ThreadPool

def call(number):
    return number

at_exit = threading.Event()

def call_at_exit(number):
    at_exit.wait({bound})
    return number

def make_calls_after_the_last_line():
    at_exit.set()
    late.wait({bound})
    print("late", late.get())

# What is registered first is called last.
atexit.register(make_calls_after_the_last_line)

def numbers():
    yield 1
    raise ValueError("no second")

def streams():
    print(type(sys.stdout).__name__, type(sys.stderr).__name__)

if __name__ == "__main__":
    with ThreadPoolExecutor(1) as threads:
        results = threads.map(call, range(9), progress="dropped", buffersize=2)
        next(results)
        del results
        streams()
        futures = as_completed([threads.submit(call, n) for n in range(9)], progress="closed")
        next(futures)
        futures.close()
        streams()
    with mp.get_context("fork").Pool(1) as pool:
        try:
            list(pool.imap(call, numbers(), progress="raising"))
        except ValueError:
            pass
        # What ends a call may be a moment behind its result.
        pool.close()
        pool.join()
        streams()
    pool = ThreadPoolExecutor(1)
    kept = pool.map(call, range(9), progress="kept", buffersize=2)
    next(kept)
    late_pool = ThreadPool(1)
    late = late_pool.map_async(call_at_exit, range(3), 1, progress="late")
    pool.map(call, numbers(), progress="uncaught")
"""


@pytest.mark.parametrize("drawer", DRAWERS)
def test_what_is_drawn_ends_with_a_map_that_is_left_halfway(drawer: str, tmp_path: Path) -> None:
    lines = on_a_terminal(program(tmp_path, drawer, HALFWAY), code=1)
    assert lines.count("TextIOWrapper TextIOWrapper") == 3, lines
    assert "ValueError: no second" in lines, lines
    assert "late [0, 1, 2]" in lines, lines
    assert not any("Exception in thread" in line for line in lines), lines
    for label in ("dropped", "closed", "raising", "kept", "late", "uncaught"):
        assert any(line.startswith(label) for line in lines), lines


def in_a_thread_wait(number: int) -> int:
    if number:
        HOLD.wait(BOUND_S)
    return number


HOLD = threading.Event()


def test_calls_that_a_pool_has_not_made_do_not_count() -> None:
    first = Told(last=1)
    HOLD.clear()
    with mp.get_context("fork").Pool(1) as made:
        results = made.imap(in_a_thread_wait, range(9), progress=first)
        assert next(results) == 0
        assert first.dones() == [1]
        made.terminate()
        made.join()
        with pytest.raises(Exception, match="terminated"):
            next(results)
    assert first.dones() == [1]


@pytest.mark.parametrize("method", ["map", "starmap"])
def test_nothing_is_told_any_more_when_the_caller_was_interrupted(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told()
    HOLD.clear()

    def interrupt(result: Any, timeout: float | None = None) -> None:
        raise KeyboardInterrupt

    with ThreadPool(1) as made:
        monkeypatch.setattr("tress.multiprocessing._pool_results.MapResult.get", interrupt)
        items: Any = [(n,) for n in (1, 2)] if method == "starmap" else [1, 2]
        with pytest.raises(KeyboardInterrupt):
            getattr(made, method)(in_a_thread_wait, items, 1, progress=told)
        HOLD.set()
        made.close()
        made.join()
    assert told.all == []
