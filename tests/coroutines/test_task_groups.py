"""`TaskGroup`, beside the standard library's on the same loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import sys
import weakref
from types import ModuleType
from typing import Any

import pytest

import tress.asyncio
from tests.coroutines.conftest import Run
from tests.coroutines.turns import fail, never, value


def test_tasks_leave_the_group_as_they_end(library: ModuleType, run: Run) -> None:
    async def main() -> list[int]:
        counts = []
        async with library.TaskGroup() as group:
            tasks = [group.create_task(value(number, number)) for number in range(4)]
            assert group._tasks == set(tasks)
            assert repr(group) == "<TaskGroup tasks=4 entered>"
            while group._tasks:
                await asyncio.sleep(0)
                counts.append(len(group._tasks))
        assert [task.result() for task in tasks] == [0, 1, 2, 3]
        return counts

    # One that ended in a turn leaves in the next.
    assert run(main()) == [4, 3, 2, 1, 0]


def test_a_task_has_its_name_and_context(library: ModuleType, run: Run) -> None:
    async def main() -> None:
        async with library.TaskGroup() as group:
            task = group.create_task(value(1), name="named", context=None)
            assert task.get_name() == "named"
            assert "TaskGroup._on_task_done" in repr(task)
            coroutine = value(2)
            with contextlib.closing(coroutine), pytest.raises(TypeError):
                group.create_task(coroutine, unknown=1)

    run(main())


def test_the_first_failure_cancels_the_others(library: ModuleType, run: Run) -> None:
    async def block(made: list[Any]) -> None:
        async with library.TaskGroup() as group:
            made.append(group.create_task(never()))
            made.append(group.create_task(value("result")))
            group.create_task(fail(ValueError("first"), 2))
            group.create_task(fail(KeyError("same turn"), 2))
            await never()

    async def main() -> None:
        made: list[Any] = []
        with pytest.raises(BaseExceptionGroup) as caught:
            await block(made)
        assert [type(error) for error in caught.value.exceptions] == [ValueError, KeyError]
        waits, ends = made
        assert waits.cancelled()
        assert ends.result() == "result"
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    run(main())


def test_a_refusal_says_why(library: ModuleType, run: Run) -> None:
    def refused(group: Any, message: str) -> None:
        coroutine = value(1)
        with contextlib.closing(coroutine), pytest.raises(RuntimeError, match=message):
            group.create_task(coroutine)

    async def failing(group: Any) -> None:
        async with group:
            group.create_task(fail(ValueError()))
            with contextlib.suppress(asyncio.CancelledError):
                await never()
            refused(group, "is shutting down")

    async def main() -> None:
        group = library.TaskGroup()
        refused(group, "has not been entered")
        async with group:
            pass
        refused(group, "is finished")

        with pytest.raises(BaseExceptionGroup):
            await failing(library.TaskGroup())

    run(main())


def test_a_cancelled_parent_cancels_its_tasks(library: ModuleType, run: Run) -> None:
    made: list[Any] = []

    async def parent() -> None:
        async with library.TaskGroup() as group:
            made.extend(group.create_task(never()) for _ in range(3))

    async def main() -> None:
        task = asyncio.ensure_future(parent())
        await value(None, 2)
        task.cancel("stop")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert all(task.cancelled() for task in made)

    run(main())


def test_an_exit_of_the_program_goes_through(library: ModuleType, own_loop: Any) -> None:
    async def main() -> None:
        async with library.TaskGroup() as group:
            group.create_task(never())
            group.create_task(fail(SystemExit(3)))

    task = own_loop.create_task(main())
    with pytest.raises(SystemExit):
        own_loop.run_until_complete(task)
    with pytest.raises(SystemExit) as caught:
        own_loop.run_until_complete(task)
    assert caught.value.code == 3


def test_methods_that_are_overridden_are_called(library: ModuleType, run: Run) -> None:
    seen = []

    class Group(library.TaskGroup):  # type: ignore[name-defined, misc]
        def create_task(self, coro: Any, **options: Any) -> Any:
            seen.append("create_task")
            return super().create_task(coro, **options)

        def _on_task_done(self, task: Any) -> None:
            seen.append("_on_task_done")
            super()._on_task_done(task)

    async def main() -> None:
        async with Group() as group:
            tasks = [group.create_task(value(number)) for number in range(2)]
        assert [task.result() for task in tasks] == [0, 1]

    run(main())
    assert seen == ["create_task"] * 2 + ["_on_task_done"] * 2


def test_a_group_goes_without_the_collector(library: ModuleType, run: Run) -> None:
    async def main() -> weakref.ref[Any]:
        async with library.TaskGroup() as group:
            for number in range(3):
                group.create_task(value(number, number))
        return weakref.ref(group)

    gc.collect()
    gc.disable()
    try:
        assert run(main())() is None
    finally:
        gc.enable()


def test_a_factory_of_eager_tasks_is_asked(library: ModuleType, own_loop: Any) -> None:
    if sys.version_info < (3, 12):
        pytest.skip("eager tasks came with Python 3.12")
    own_loop.set_task_factory(asyncio.eager_task_factory)

    async def main() -> None:
        async with library.TaskGroup() as group:
            at_once = group.create_task(value(1))
            assert at_once.done()
            later = group.create_task(value(2, 1))
            assert not later.done()
        assert (at_once.result(), later.result()) == (1, 2)

    own_loop.run_until_complete(main())


@pytest.mark.skipif(sys.version_info < (3, 14), reason="the call graph came with Python 3.14")
def test_the_call_graph_shows_the_parent(library: ModuleType, run: Run) -> None:
    capture: Any = getattr(asyncio, "capture_call_graph", None)

    async def main() -> None:
        parent = asyncio.current_task()
        async with library.TaskGroup() as group:
            short = group.create_task(value(1))
            task = group.create_task(value(1, 3))
            awaiting = [graph.future for graph in capture(task).awaited_by]
            assert awaiting == [parent]
            await value(None, 2)
            assert short.done()
            assert not capture(short).awaited_by

    run(main())


def test_it_is_a_group_of_the_standard_library() -> None:
    group: Any = tress.asyncio.TaskGroup
    assert issubclass(group, asyncio.TaskGroup)
    signature = inspect.signature(group.create_task)
    assert list(signature.parameters) == ["self", "coro", "kwargs"]
