"""Loops and threads: calls from other threads, and loops in several threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.coroutines.turns import FAR, Called
from tests.threads.ordering import BOUND_S, Runner, blocked


@pytest.mark.parametrize("has_timer", [False, True])
def test_a_sleeping_loop_is_woken(has_timer: bool, loop: Any) -> None:
    timer = loop.call_later(FAR, print) if has_timer else None
    for _ in range(20):
        running = blocked(loop.run_forever)
        loop.call_soon_threadsafe(loop.stop)
        running.result()
    if timer is not None:
        timer.cancel()


def test_a_loop_that_is_about_to_sleep_is_woken(loop: Any) -> None:
    """Back and forth, so that calls meet the loop in every state."""
    rounds = 2000
    back = threading.Semaphore(0)
    running = Runner(loop.run_forever)
    for _ in range(rounds):
        loop.call_soon_threadsafe(back.release)
        assert back.acquire(timeout=BOUND_S)
    loop.call_soon_threadsafe(loop.stop)
    running.result()


def test_calls_of_many_threads_keep_the_order_of_each(loop: Any) -> None:
    threads, calls = 8, 500
    seen: list[tuple[int, int]] = []
    remaining = threads

    def end() -> None:
        nonlocal remaining
        remaining -= 1
        if not remaining:
            loop.stop()

    def call(thread: int) -> None:
        for n in range(calls):
            loop.call_soon_threadsafe(seen.append, (thread, n))
        loop.call_soon_threadsafe(end)

    running = Runner(loop.run_forever)
    callers = [Runner(call, thread) for thread in range(threads)]
    for caller in callers:
        caller.result()
    running.result()
    for thread in range(threads):
        assert [n for one, n in seen if one == thread] == list(range(calls))


def test_calls_before_the_start_are_kept(loop: Any) -> None:
    called = Called()
    Runner(loop.call_soon_threadsafe, called, 1).result()
    Runner(loop.call_soon_threadsafe, loop.stop).result()
    loop.run_forever()
    assert called.arguments == [(1,)]


def test_a_handle_is_cancelled_by_another_thread(loop: Any) -> None:
    called = Called()
    handle = loop.call_soon_threadsafe(called)
    Runner(handle.cancel).result()
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert called.arguments == []


def test_two_loops_in_two_threads(new_loop: Callable[[], Any]) -> None:
    """They pass a number back and forth."""
    loops = [new_loop(), new_loop()]
    where: list[tuple[bool, bool]] = []

    def step(turns: int) -> None:
        running = asyncio.get_running_loop()
        where.append((running is loops[turns % 2], loops[1 - turns % 2].is_running()))
        other = loops[(turns + 1) % 2]
        if turns < 1000:
            other.call_soon_threadsafe(step, turns + 1)
        else:
            other.call_soon_threadsafe(other.stop)
            running.stop()

    runners = [blocked(loop.run_forever) for loop in loops]
    loops[0].call_soon_threadsafe(step, 0)
    for runner in runners:
        runner.result()
    assert set(where) == {(True, True)}
    assert len(where) == 1001


def test_a_loop_moves_to_another_thread(loop: Any) -> None:
    async def where() -> int:
        await asyncio.sleep(0)
        return threading.get_ident()

    one = Runner(loop.run_until_complete, where())
    assert one.result() == one.thread.ident
    assert loop.run_until_complete(where()) == threading.get_ident()


def test_run_coroutine_threadsafe(library: ModuleType, loop: Any) -> None:
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    running = blocked(loop.run_forever)
    futures = [library.run_coroutine_threadsafe(double(n), loop) for n in range(100)]
    assert [future.result(BOUND_S) for future in futures] == [2 * n for n in range(100)]
    never = library.run_coroutine_threadsafe(asyncio.sleep(FAR), loop)
    assert never.cancel()
    loop.call_soon_threadsafe(loop.call_soon, loop.stop)
    running.result()


def test_a_loop_lets_other_threads_run(loop: Any) -> None:
    """One that always has something to call."""
    count = 0
    is_done = False

    def again() -> None:
        if is_done:
            loop.stop()
        else:
            loop.call_soon(again)

    def work() -> None:
        nonlocal count
        for _ in range(1000):
            count += 1

    loop.call_soon(again)
    running = Runner(loop.run_forever)
    Runner(work).result()
    assert count == 1000
    is_done = True
    running.result()
