"""What is forgotten, fails or blocks is told with the line that it is on."""

from __future__ import annotations

import asyncio as standard
import gc
import io
import logging
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

import tress
import tress.asyncio as asyncio
from tests.coroutines.turns import turn
from tress._loop_watch import Watch

HERE = __file__
LIMIT = 0.01
BOUND_S = 20.0


def line_of(function: Callable[..., Any], after: int) -> int:
    """The number of a line of a function, so many after its first."""
    return function.__code__.co_firstlineno + after


async def never_awaited() -> None:
    pass


# What is forgotten.


@pytest.mark.parametrize(
    "make", [never_awaited, lambda: asyncio.sleep(1), lambda: asyncio.Lock().acquire()]
)
def test_a_coroutine_that_is_dropped_is_told_of_with_that_line(make: Callable[[], Any]) -> None:
    def forget() -> None:
        coroutine = make()
        del coroutine

    async def main() -> None:
        forget()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(main())
    (warning,) = caught
    assert issubclass(warning.category, RuntimeWarning)
    assert str(warning.message).endswith("was never awaited")
    assert (warning.filename, warning.lineno) == (HERE, line_of(forget, 2))


def test_the_loop_leaves_the_tracking_of_origins_as_it_is() -> None:
    """With it the warning says where the coroutine was made, without debug mode."""

    async def main() -> None:
        coroutine = never_awaited()
        kept.append(coroutine)

    kept: list[Any] = []
    before = sys.get_coroutine_origin_tracking_depth()
    sys.set_coroutine_origin_tracking_depth(1)
    try:
        asyncio.run(main())
    finally:
        sys.set_coroutine_origin_tracking_depth(before)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kept.clear()
    text = str(caught[0].message)
    assert "Coroutine created at" in text
    assert f'File "{HERE}", line {line_of(main, 1)}' in text


# What fails.


def test_an_exception_that_nobody_reads_is_told_with_the_line_that_raised_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fails() -> None:
        raise KeyError("lost")

    async def main() -> None:
        asyncio.create_task(fails())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        gc.collect()

    with caplog.at_level(logging.ERROR, logger="asyncio"):
        asyncio.run(main())
    (record,) = caplog.records
    assert "Task exception was never retrieved" in record.getMessage()
    assert f"defined at {HERE}:{line_of(fails, 0)}" in record.getMessage()
    assert f'File "{HERE}", line {line_of(fails, 1)}, in fails' in caplog.text


# What blocks.


@pytest.fixture
def watching() -> Iterator[None]:
    yield
    tress.watch_loops(None)


class Told(io.StringIO):
    """A file that says when there is something in it."""

    def __init__(self) -> None:
        super().__init__()
        self.is_there = threading.Event()

    def flush(self) -> None:
        super().flush()
        self.is_there.set()


@pytest.mark.usefixtures("watching")
def test_what_blocks_is_told_while_it_does() -> None:
    told = Told()

    def innermost() -> None:
        assert told.is_there.wait(BOUND_S)

    async def blocks() -> None:
        innermost()

    async def main() -> None:
        tress.watch_loops(LIMIT, told)
        await asyncio.create_task(blocks(), name="the task")

    asyncio.run(main())
    lines = told.getvalue().splitlines()
    ident = threading.get_ident()
    assert lines[0].startswith(
        f"the task blocks the loop in MainThread ({ident}) of process {os.getpid()} for 0."
    )
    assert lines[1] == f'    File "{HERE}", line {line_of(blocks, 1)}, in blocks'
    assert f'    File "{HERE}", line {line_of(innermost, 1)}, in innermost' in lines
    assert not any("asyncio" in line for line in lines)


def look(watch: Watch, now: float) -> list[str]:
    return list(watch.look(now))


def test_each_blocking_is_told_once(own_loop: Any) -> None:
    watch = Watch(1.0)
    told: list[list[str]] = []

    def blocks() -> None:
        # As if so much time had passed.
        told.extend(look(watch, now) for now in (0.0, 0.9, 1.0, 1.1, 100.0))

    own_loop.call_soon(blocks)
    own_loop.call_soon(blocks)
    turn(own_loop)
    assert [len(texts) for texts in told] == [0, 0, 1, 0, 0] * 2
    assert told[2][0].startswith("a callback blocks the loop in MainThread")
    assert told[2][0].endswith(" for 1.000 s by now\n" + told[2][0].partition("\n")[2])
    assert f'File "{HERE}", line {line_of(blocks, 2)}, in blocks' in told[2][0]


def test_many_calls_that_take_long_together_are_no_blocking(own_loop: Any) -> None:
    watch = Watch(1.0)
    told: list[str] = []
    for now in range(10):
        own_loop.call_soon(lambda now=now: told.extend(look(watch, now * 0.9)))
    turn(own_loop)
    assert told == []


def test_a_loop_that_sleeps_is_not_blocked(own_loop: Any) -> None:
    watch = Watch(1.0)
    told: list[list[str]] = []

    def look_twice() -> None:
        asleep = time.monotonic() + BOUND_S
        while own_loop._call_in_progress() is not None and time.monotonic() < asleep:
            time.sleep(0)
        told.extend(look(watch, now) for now in (0.0, 10.0))
        own_loop.call_soon_threadsafe(own_loop.stop)

    thread = threading.Thread(target=look_twice)
    own_loop.call_soon(thread.start)
    own_loop.run_forever()
    thread.join()
    assert told == [[], []]


def test_loops_of_other_threads_are_watched() -> None:
    watch = Watch(1.0)
    is_blocked, go_on = threading.Event(), threading.Event()

    def blocks() -> None:
        is_blocked.set()
        go_on.wait(BOUND_S)

    async def main() -> None:
        blocks()

    thread = threading.Thread(target=lambda: asyncio.run(main()), name="another")
    thread.start()
    assert is_blocked.wait(BOUND_S)
    assert look(watch, 0.0) == []
    (text,) = look(watch, 1.0)
    go_on.set()
    thread.join()
    assert f"blocks the loop in another ({thread.ident})" in text
    assert f'File "{HERE}", line {line_of(blocks, 2)}, in blocks' in text


def threads_that_watch() -> list[FrameType]:
    frames = sys._current_frames().values()
    return [frame for frame in frames if frame.f_globals.get("__name__") == "tress._loop_watch"]


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.mark.usefixtures("watching")
def test_there_is_one_watch_and_it_ends() -> None:
    for limit in (1.0, 0.5, 0.01):
        tress.watch_loops(limit)
    until(lambda: len(threads_that_watch()) == 1)
    tress.watch_loops(None)
    tress.watch_loops(None)
    until(lambda: threads_that_watch() == [])


@pytest.mark.parametrize(
    ("limit", "error"),
    [
        *((0, ValueError), (-1.0, ValueError), (float("nan"), ValueError)),
        *((float("inf"), ValueError), ("1", TypeError)),
    ],
)
def test_what_is_no_limit(limit: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"limit must be .*, not {limit!r}"):
        tress.watch_loops(limit)
    assert threads_that_watch() == []


def test_a_forked_child_is_watched() -> None:
    program = f"""
import os, sys, threading, warnings
import tress, tress.asyncio as asyncio
warnings.simplefilter("ignore", DeprecationWarning)

class Told:
    is_there = threading.Event()
    def write(self, text): os.write(1, text.encode())
    def flush(self): self.is_there.set()

told = Told()
tress.watch_loops({LIMIT}, told)
child = os.fork()
if child == 0:
    async def main(): assert told.is_there.wait({BOUND_S})
    asyncio.run(main())
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Task-1 blocks the loop in MainThread" in done.stdout


def test_the_standard_message_of_debug_mode_stays(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        loop = standard.get_running_loop()
        loop.slow_callback_duration = 0.0
        await asyncio.sleep(0)

    with caplog.at_level(logging.WARNING, logger="asyncio"):
        asyncio.run(main(), debug=True)
    assert any("took" in record.getMessage() for record in caplog.records)
