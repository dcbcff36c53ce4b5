"""Loops in several threads at once: each has its own, and what goes between them arrives, once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from types import ModuleType
from typing import Any

from tests.faults.coroutines.ends import HOST, address
from tests.faults.coroutines.pattern import is_pattern, pattern
from tests.threads.ordering import Runner

PIECE = 40_000
TOTAL = 50 * PIECE
CALLS = 5_000
LIMIT_S = 60.0


def run_in_a_loop(library: Any, main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """In a new loop of this thread."""
    loop = library.SelectorEventLoop()
    try:
        return loop.run_until_complete(asyncio.wait_for(main(), LIMIT_S))
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def echo_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(PIECE):
        writer.write(data)
        await writer.drain()
    writer.close()


async def send_all(where: tuple[str, int]) -> int:
    """How much came back; it must be what was sent."""
    reader, writer = await asyncio.open_connection(*where)

    async def write() -> None:
        for at in range(0, TOTAL, PIECE):
            writer.write(pattern(at, PIECE))
            await writer.drain()
        writer.write_eof()

    writing = asyncio.ensure_future(write())
    received = 0
    while data := await reader.read(PIECE):
        assert is_pattern(received, data)
        received += len(data)
    await writing
    writer.close()
    await writer.wait_closed()
    return received


def test_each_serves_the_other(library: ModuleType) -> None:
    """Two threads, a server in each, and a client of the other's."""
    meeting = threading.Barrier(2)
    addresses: list[Any] = [None, None]

    def serve_and_ask(own: int) -> int:
        async def main() -> int:
            server = await asyncio.start_server(echo_once, HOST, 0)
            addresses[own] = address(server)
            await asyncio.to_thread(meeting.wait, LIMIT_S)
            received = await send_all(addresses[1 - own])
            await asyncio.to_thread(meeting.wait, LIMIT_S)
            server.close()
            await server.wait_closed()
            return received

        received: int = run_in_a_loop(library, main)
        return received

    threads = [Runner(serve_and_ask, own) for own in range(2)]
    assert [thread.result() for thread in threads] == [TOTAL, TOTAL]


def test_running_loops_are_their_threads_own(library: ModuleType) -> None:
    meeting = threading.Barrier(3)

    def look() -> tuple[Any, Any, set[Any]]:
        async def main() -> tuple[Any, Any, set[Any]]:
            meeting.wait(LIMIT_S)
            running, current = asyncio.get_running_loop(), asyncio.current_task()
            tasks = asyncio.all_tasks()
            meeting.wait(LIMIT_S)
            assert current
            return running, current.get_loop(), {task.get_loop() for task in tasks}

        seen: tuple[Any, Any, set[Any]] = run_in_a_loop(library, main)
        return seen

    seen = [thread.result() for thread in [Runner(look) for _ in range(3)]]
    assert len({running for running, _, _ in seen}) == 3
    for running, of_task, of_all in seen:
        assert running is of_task
        assert of_all == {running}


def test_calls_between_two_loops(library: ModuleType) -> None:
    """A ball is played to and fro; each loop sleeps until it comes."""
    loops: list[Any] = [None, None]
    ready = threading.Barrier(2)
    caught = [0, 0]

    def play(own: int) -> None:
        async def main() -> None:
            loop = loops[own] = asyncio.get_running_loop()
            over = asyncio.Event()

            def catch(ball: int) -> None:
                caught[own] += 1
                if ball < 2 * CALLS:
                    loops[1 - own].call_soon_threadsafe(catchers[1 - own], ball + 1)
                if ball >= 2 * CALLS - 1:
                    over.set()

            catchers[own] = catch
            await asyncio.to_thread(ready.wait, LIMIT_S)
            if own == 0:
                loop.call_soon(catch, 1)
            await over.wait()
            await asyncio.to_thread(ready.wait, LIMIT_S)

        run_in_a_loop(library, main)

    catchers: list[Any] = [None, None]
    for thread in [Runner(play, own) for own in range(2)]:
        thread.result()
    assert caught == [CALLS, CALLS]


def test_calls_from_many_threads(library: ModuleType) -> None:
    """Each is made once, in the order of its thread."""
    threads = 4
    called: list[tuple[int, int]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        over = asyncio.Event()

        def call(thread: int, number: int) -> None:
            called.append((thread, number))
            if len(called) == threads * CALLS:
                over.set()

        def give(thread: int) -> None:
            for number in range(CALLS):
                loop.call_soon_threadsafe(call, thread, number)

        givers = [Runner(give, thread) for thread in range(threads)]
        await over.wait()
        for giver in givers:
            giver.result()

    run_in_a_loop(library, main)
    for thread in range(threads):
        assert [number for giver, number in called if giver == thread] == list(range(CALLS))


def test_coroutines_from_other_threads(library: ModuleType) -> None:
    """Their results go back; those that are cancelled there are cancelled here."""
    count = 300

    async def work(number: int) -> int:
        await asyncio.sleep(0 if number % 3 else 1000)
        return number

    async def main() -> None:
        loop, before = asyncio.get_running_loop(), asyncio.all_tasks()

        def ask() -> int:
            """How many were answered."""
            futures = [
                asyncio.run_coroutine_threadsafe(work(number), loop) for number in range(count)
            ]
            answered = 0
            for number, future in enumerate(futures):
                if number % 3:
                    assert future.result(LIMIT_S) == number
                    answered += 1
                else:
                    assert future.cancel()
                    assert isinstance(outcome(future), CancelledError)
            return answered

        assert await asyncio.to_thread(ask) == count - count // 3
        while asyncio.all_tasks() - before:
            await asyncio.sleep(0)

    run_in_a_loop(library, main)


def outcome(future: Any) -> BaseException | None:
    try:
        future.result(LIMIT_S)
    except BaseException as error:
        return error
    return None


def test_calls_to_a_loop_that_is_being_closed(library: ModuleType) -> None:
    """They are made, dropped, or refused with RuntimeError; nothing hangs, and nothing crashes."""
    for _ in range(20):
        loop: Any = library.SelectorEventLoop()
        made: list[int] = []
        began = threading.Event()

        def give(loop: Any = loop, made: list[int] = made, began: threading.Event = began) -> int:
            for number in range(1_000_000):
                try:
                    loop.call_soon_threadsafe(made.append, number)
                except RuntimeError as error:
                    return [number, "closed" in str(error)].count(True)
                began.set()
            return 0

        giver = Runner(give)
        assert began.wait(LIMIT_S)
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        assert giver.result() == 1
        assert made == list(range(len(made)))
