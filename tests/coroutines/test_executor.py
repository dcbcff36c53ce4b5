"""Functions that a loop has called by threads and processes."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import math
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import tress.asyncio
import tress.concurrent.futures
from tests.threads.ordering import BOUND_S


@pytest.fixture
def run(loop: Any) -> Callable[[Any], Any]:
    """Runs a coroutine, and ends the loop's threads."""

    async def main(coroutine: Any) -> Any:
        try:
            return await coroutine
        finally:
            await loop.shutdown_default_executor()

    return lambda coroutine: loop.run_until_complete(main(coroutine))


def test_the_default_is_a_pool_of_tress() -> None:
    async def main() -> tuple[Any, str]:
        loop: Any = asyncio.get_running_loop()
        name = await loop.run_in_executor(None, lambda: threading.current_thread().name)
        return loop._default_executor, name

    executor, name = tress.asyncio.run(main())
    assert type(executor) is tress.concurrent.futures.ThreadPoolExecutor
    assert name == "asyncio_0"


def test_results_and_exceptions(loop: Any, run: Callable[[Any], Any]) -> None:
    async def main() -> None:
        assert await loop.run_in_executor(None, pow, 2, 10) == 1024
        with pytest.raises(ValueError, match=r"domain|expected"):
            await loop.run_in_executor(None, math.sqrt, -1)
        numbers = await asyncio.gather(*(loop.run_in_executor(None, abs, -n) for n in range(50)))
        assert numbers == list(range(50))

    run(main())


def test_the_loop_goes_on(loop: Any, run: Callable[[Any], Any]) -> None:
    async def main() -> None:
        gate = threading.Event()
        waiting = loop.run_in_executor(None, gate.wait, BOUND_S)
        await asyncio.sleep(0)
        assert not waiting.done()
        gate.set()
        assert await waiting is True

    run(main())


def test_an_idle_loop_is_woken_by_a_result(loop: Any, run: Callable[[Any], Any]) -> None:
    async def main() -> None:
        for n in range(200):
            assert await loop.run_in_executor(None, abs, -n) == n

    run(main())


def test_to_thread(loop: Any, run: Callable[[Any], Any]) -> None:
    async def main() -> None:
        assert await asyncio.to_thread(int, "ff", base=16) == 255

    run(main())


@pytest.mark.parametrize("module", [concurrent.futures, tress.concurrent.futures])
def test_an_executor_of_the_programs_own(module: Any, loop: Any) -> None:
    async def main() -> str:
        with module.ThreadPoolExecutor(1, thread_name_prefix="mine") as pool:
            name: str = await loop.run_in_executor(pool, lambda: threading.current_thread().name)
            return name

    assert loop.run_until_complete(main()) == "mine_0"


def test_a_default_of_the_programs_own(loop: Any, run: Callable[[Any], Any]) -> None:
    async def main() -> str:
        pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="mine")
        loop.set_default_executor(pool)
        name: str = await loop.run_in_executor(None, lambda: threading.current_thread().name)
        return name

    assert run(main()) == "mine_0"


def test_after_the_shutdown(loop: Any, run: Callable[[Any], Any]) -> None:
    async def main() -> Any:
        return await loop.run_in_executor(None, threading.current_thread)

    thread = run(main())
    assert not thread.is_alive()
    with pytest.raises(RuntimeError, match="Executor shutdown has been called"):
        loop.run_in_executor(None, print)


def test_a_call_that_is_cancelled_before_it_is_made(loop: Any) -> None:
    async def main() -> None:
        gate = threading.Event()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            first = loop.run_in_executor(pool, gate.wait, BOUND_S)
            second = loop.run_in_executor(pool, pytest.fail)
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            gate.set()
            assert await first

    loop.run_until_complete(main())


@pytest.fixture
def pool() -> Any:
    with tress.concurrent.futures.ThreadPoolExecutor(1) as pool:
        yield pool


def test_a_call_that_is_cancelled_while_it_is_made(loop: Any, pool: Any) -> None:
    """It goes on to its end, and nobody hears of its result."""
    contexts: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: contexts.append(context))
    begun, gate = threading.Event(), threading.Event()

    def work() -> int:
        begun.set()
        assert gate.wait(BOUND_S)
        return 1

    async def main() -> None:
        future = loop.run_in_executor(pool, work)
        await loop.run_in_executor(None, begun.wait, BOUND_S)
        assert future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await future
        gate.set()
        assert await loop.run_in_executor(pool, int) == 0

    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_default_executor())
    assert contexts == []


@pytest.mark.parametrize(
    ("kind", "raised"),
    [
        (concurrent.futures.CancelledError, asyncio.CancelledError),
        (concurrent.futures.InvalidStateError, asyncio.InvalidStateError),
        (SystemError, SystemError),
    ],
)
def test_what_a_call_raises(
    kind: type[BaseException], raised: type[BaseException], loop: Any, pool: Any
) -> None:
    def work() -> None:
        raise kind("told")

    async def main() -> None:
        with pytest.raises(raised, match="told") as caught:
            await loop.run_in_executor(pool, work)
        assert type(caught.value) is raised

    loop.run_until_complete(main())


def test_a_future_that_the_program_has_ended(loop: Any, pool: Any) -> None:
    """The result that comes later goes to the exception handler."""
    contexts: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: contexts.append(context))
    gate = threading.Event()

    async def main() -> None:
        future = loop.run_in_executor(pool, gate.wait, BOUND_S)
        future.set_result("mine")
        assert await future == "mine"
        gate.set()
        assert await loop.run_in_executor(pool, int) == 0

    loop.run_until_complete(main())
    assert [type(context["exception"]) for context in contexts] == [AssertionError]


def test_a_loop_that_is_closed_meanwhile(loop: Any, pool: Any) -> None:
    gate = threading.Event()

    async def main() -> Any:
        return loop.run_in_executor(pool, gate.wait, BOUND_S)

    future = loop.run_until_complete(main())
    loop.close()
    gate.set()
    pool.submit(int).result(BOUND_S)
    assert not future.done()


def test_nothing_is_left_of_a_call(loop: Any, pool: Any) -> None:
    class Thing:
        pass

    references: list[weakref.ref[Any]] = []

    def work(_: Any) -> Any:
        result = Thing()
        references.append(weakref.ref(result))
        return result

    async def main() -> None:
        argument = Thing()
        future = loop.run_in_executor(pool, work, argument)
        references.extend([weakref.ref(argument), weakref.ref(future)])
        await future

    gc.collect()
    gc.disable()
    try:
        loop.run_until_complete(main())
        loop.run_until_complete(asyncio.sleep(0))
        pool.submit(int).result(BOUND_S)
        assert [reference() for reference in references] == [None] * 3
    finally:
        gc.enable()


@pytest.mark.parametrize("base", [asyncio.SelectorEventLoop, tress.asyncio.EventLoop])
def test_a_subclass_hears_of_what_comes_from_other_threads(base: Any, pool: Any) -> None:
    heard: list[Any] = []
    gate = threading.Event()

    class Loop(base):  # type: ignore[misc]
        def call_soon_threadsafe(self, callback: Any, *args: Any, **options: Any) -> Any:
            heard.append(callback)
            return super().call_soon_threadsafe(callback, *args, **options)

    loop: Any = Loop()

    async def main() -> None:
        future = loop.run_in_executor(pool, gate.wait, BOUND_S)
        gate.set()
        assert await future

    loop.run_until_complete(main())
    loop.close()
    assert len(heard) == 1
