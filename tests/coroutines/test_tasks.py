"""`create_task`, `gather` and `sleep`, beside the standard library's on the same loop."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import math
import sys
import weakref
from types import ModuleType
from typing import Any

import pytest

import tress.asyncio
from tests.coroutines.conftest import Run
from tests.coroutines.turns import fail, never, value


def test_a_task_has_its_name_and_context(library: ModuleType, run: Run) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
    context = contextvars.copy_context()
    context.run(variable.set, 5)

    async def get() -> int:
        return variable.get()

    async def main() -> None:
        task = library.create_task(get(), name="named", context=context)
        assert isinstance(task, asyncio.Task)
        assert task.get_name() == "named"
        coro: Any = task.get_coro()
        assert coro.__name__ == "get"
        assert await task == 5
        assert await library.create_task(get()) == 0
        coroutine = get()
        with pytest.raises(TypeError):
            library.create_task(coroutine, wrong=1)
        coroutine.close()
        with pytest.raises(TypeError, match="a coroutine was expected"):
            library.create_task(1)

    run(main())


def test_create_task_wants_a_running_loop(library: ModuleType) -> None:
    coroutine = value(1)
    with pytest.raises(RuntimeError, match="no running event loop"):
        library.create_task(coroutine)
    coroutine.close()


def test_a_task_factory_is_asked(library: ModuleType, own_loop: Any) -> None:
    made: list[dict[str, Any]] = []

    def factory(loop: Any, coro: Any, **options: Any) -> asyncio.Task[Any]:
        made.append(options)
        return asyncio.Task(coro, loop=loop, **options)

    async def main() -> None:
        own_loop.set_task_factory(factory)
        assert await library.create_task(value(1)) == 1
        assert await library.create_task(value(2), name="named") == 2
        assert await library.gather(value(3)) == [3]
        own_loop.set_task_factory(None)
        assert await library.create_task(value(4)) == 4

    own_loop.run_until_complete(main())
    assert len(made) == 3


def test_gather_gives_results_in_order(library: ModuleType, run: Run) -> None:
    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, "future")
        task = asyncio.create_task(value("task", 2))
        results = await library.gather(value("slow", 5), value("quick"), future, task, task)
        assert results == ["slow", "quick", "future", "task", "task"]
        same = value("once")
        assert await library.gather(same, same) == ["once", "once"]
        assert await library.gather(future) == ["future"]

        class Awaitable:
            def __await__(self) -> Any:
                return value("awaitable").__await__()

        assert await library.gather(Awaitable()) == ["awaitable"]
        assert await library.gather() == []

    run(main())


def test_gather_tells_the_first_failure(library: ModuleType, run: Run) -> None:
    async def main() -> None:
        error = ValueError("first")
        others = asyncio.create_task(value("goes on", 5))
        with pytest.raises(ValueError, match="first") as caught:
            await library.gather(others, fail(error), fail(KeyError("second"), 1))
        assert caught.value is error
        assert await others == "goes on"

    run(main())


def test_gather_may_return_failures(library: ModuleType, run: Run) -> None:
    async def main() -> None:
        error = ValueError("no")
        cancelled = asyncio.create_task(never())
        asyncio.get_running_loop().call_soon(cancelled.cancel, "enough")
        results = await library.gather(value(1), fail(error), cancelled, return_exceptions=True)
        assert results[:2] == [1, error]
        assert isinstance(results[2], asyncio.CancelledError)

    run(main())


def test_a_child_that_is_cancelled_cancels(library: ModuleType, run: Run) -> None:
    async def main() -> None:
        child = asyncio.create_task(never())
        asyncio.get_running_loop().call_soon(child.cancel, "enough")
        with pytest.raises(asyncio.CancelledError):
            await library.gather(child, value(1))

    run(main())


@pytest.mark.parametrize("returns", [False, True])
def test_to_cancel_gather_cancels_its_children(
    library: ModuleType, run: Run, returns: bool
) -> None:
    async def main() -> None:
        children = [asyncio.create_task(never()) for _ in range(3)]
        outer = library.gather(*children, return_exceptions=returns)
        await asyncio.sleep(0)
        assert outer.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await outer
        assert all(child.cancelled() for child in children)

    run(main())


def test_gather_of_another_loop_s_future(library: ModuleType, run: Run) -> None:
    other = asyncio.SelectorEventLoop()
    future = other.create_future()

    async def main() -> None:
        mine = asyncio.get_running_loop().create_future()
        with pytest.raises(ValueError, match="different loop"):
            library.gather(mine, future)
        with pytest.raises(TypeError, match="a coroutine or an awaitable"):
            library.gather(1)

    run(main())
    other.close()


def test_what_gather_has_used_is_let_go(library: ModuleType, run: Run) -> None:
    class Result:
        pass

    async def main() -> weakref.ref[Result]:
        result = Result()
        there = weakref.ref(result)
        await library.gather(value(result), value(1, 3))
        return there

    there = run(main())
    gc.collect()
    assert there() is None


def test_sleep(library: ModuleType, run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert await library.sleep(0.01, "result") == "result"
        assert loop.time() - began >= 0.01
        assert await library.sleep(0) is None
        assert await library.sleep(-1, 2) == 2
        order: list[str] = []
        loop.call_soon(order.append, "other")
        await library.sleep(0)
        assert order == ["other"]
        if sys.version_info >= (3, 13):
            with pytest.raises(ValueError, match="NaN"):
                await library.sleep(math.nan)

    run(main())
    assert inspect.iscoroutinefunction(library.sleep)


def test_a_sleep_that_is_cancelled_leaves_no_timer(run: Run, own_loop: Any) -> None:
    async def main() -> None:
        class Result:
            pass

        result = Result()
        there = weakref.ref(result)
        task = asyncio.create_task(tress.asyncio.sleep(3600, result))
        del result
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        del task
        gc.collect()
        assert there() is None

    run(main())
