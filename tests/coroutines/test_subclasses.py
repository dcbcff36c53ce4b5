"""Classes derived from the loop's, and attributes that programs set on a loop."""

from __future__ import annotations

import asyncio
import heapq
from types import ModuleType
from typing import Any

import pytest

import tress.asyncio
from tests.coroutines.turns import turn


async def _main() -> str:
    loop: Any = asyncio.get_running_loop()
    await asyncio.sleep(0)
    await asyncio.sleep(0.001)
    future = loop.create_future()
    loop.call_soon_threadsafe(future.set_result, "done")
    result: str = await future
    return result


def test_methods_that_are_overridden_are_called(library: ModuleType) -> None:
    class Loop(library.SelectorEventLoop):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.seen: set[str] = set()

        def call_soon(self, *args: Any, **options: Any) -> Any:
            self.seen.add("call_soon")
            return super().call_soon(*args, **options)

        def call_soon_threadsafe(self, *args: Any, **options: Any) -> Any:
            self.seen.add("call_soon_threadsafe")
            return super().call_soon_threadsafe(*args, **options)

        def call_later(self, *args: Any, **options: Any) -> Any:
            self.seen.add("call_later")
            return super().call_later(*args, **options)

        def create_future(self) -> Any:
            self.seen.add("create_future")
            return super().create_future()

        def create_task(self, *args: Any, **options: Any) -> Any:
            self.seen.add("create_task")
            return super().create_task(*args, **options)

        def call_exception_handler(self, context: Any) -> None:
            self.seen.add("call_exception_handler")

    loop: Any = Loop()
    assert issubclass(Loop, asyncio.AbstractEventLoop)
    loop.call_soon(int, "x")
    assert loop.run_until_complete(_main()) == "done"
    assert loop.seen == {
        *("call_soon", "call_soon_threadsafe", "call_later", "create_future", "create_task"),
        "call_exception_handler",
    }
    loop.close()


def test_tasks_use_a_call_soon_that_was_set(loop: Any) -> None:
    seen: list[Any] = []
    usual = loop.call_soon

    def call_soon(callback: Any, *args: Any, context: Any = None) -> Any:
        seen.append(callback)
        return usual(callback, *args, context=context)

    loop.call_soon = call_soon
    assert loop.run_until_complete(_main()) == "done"
    # The steps of the task: the first, after sleep(0), after the timer, after the future.
    assert len(seen) >= 4
    count = len(seen)
    del loop.call_soon
    assert loop.run_until_complete(_main()) == "done"
    assert len(seen) == count


def test_an_exception_handler_that_was_set(loop: Any) -> None:
    seen: list[Any] = []
    loop.call_exception_handler = seen.append
    loop.call_soon(int, "x")
    turn(loop)
    assert isinstance(seen[0]["exception"], ValueError)


def test_a_default_exception_handler_of_a_subclass(library: ModuleType) -> None:
    class Loop(library.SelectorEventLoop):  # type: ignore[name-defined, misc]
        def default_exception_handler(self, context: Any) -> None:
            seen.append(context["message"])

    seen: list[str] = []
    loop: Any = Loop()
    loop.call_soon(int, "x")
    turn(loop)
    (message,) = seen
    assert message.startswith("Exception in callback int(")
    loop.close()


def test_attributes(loop: Any) -> None:
    loop.name = "mine"
    assert loop.name == vars(loop)["name"] == "mine"
    loop.slow_callback_duration = 5
    assert loop.slow_callback_duration == 5
    del loop.name
    with pytest.raises(AttributeError, match="name"):
        _ = loop.name
    with pytest.raises(AttributeError):
        del loop.name


def test_a_subclass_with_arguments_of_its_own(library: ModuleType) -> None:
    class Loop(library.SelectorEventLoop):  # type: ignore[name-defined, misc]
        def __init__(self, name: str, *, size: int) -> None:
            super().__init__()
            self.name, self.size = name, size

    loop: Any = Loop.__new__(Loop)
    loop.__init__("mine", size=3)
    assert (loop.name, loop.size) == ("mine", 3)
    turn(loop)
    loop.close()


def test_a_selector_of_the_programs_own(library: ModuleType) -> None:
    import selectors

    class Selector(selectors.SelectSelector):
        looked = 0

        def select(self, timeout: float | None = None) -> Any:
            self.looked += 1
            return super().select(timeout)

    selector = Selector()
    loop: Any = library.SelectorEventLoop(selector)
    assert isinstance(loop, asyncio.SelectorEventLoop)
    turn(loop)
    assert selector.looked >= 1
    assert loop.run_until_complete(_main()) == "done"
    loop.close()


def _turn_of_the_programs_own(self: Any) -> None:
    """What some programs put in the place of `_run_once`: a turn that may be within a task."""
    timeout = None
    if self._ready or self._stopping:
        timeout = 0
    elif self._scheduled:
        timeout = max(0, self._scheduled[0]._when - self.time())
    self._process_events(self._selector.select(timeout))
    while self._scheduled and self._scheduled[0]._when <= self.time():
        self._ready.append(heapq.heappop(self._scheduled))
    for _ in range(len(self._ready)):
        handle = self._ready.popleft() if self._ready else None
        if handle is None or handle._cancelled:
            continue
        current = asyncio.tasks._current_tasks.pop(self, None)  # type: ignore[attr-defined]
        try:
            handle._run()
        finally:
            if current is not None:
                asyncio.tasks._current_tasks[self] = current  # type: ignore[attr-defined]


def test_a_turn_of_the_programs_own(loop: Any) -> None:
    loop._run_once = lambda: _turn_of_the_programs_own(loop)
    assert loop.run_until_complete(_main()) == "done"


def test_a_turn_within_a_task(loop: Any) -> None:
    async def inner(ready: Any) -> str:
        await asyncio.sleep(0.001)
        told: str = await ready
        return told

    async def outer() -> str:
        ready = loop.create_future()
        # Both are to be called in the same turn as what comes after this.
        task = loop.create_task(inner(ready))
        loop.call_soon(ready.set_result, "told")
        await asyncio.sleep(0)
        nested = loop.create_task(inner(ready))
        while not (task.done() and nested.done()):
            _turn_of_the_programs_own(loop)
        await asyncio.sleep(0)
        return f"{task.result()} {nested.result()}"

    # Only the tasks that are written in Python can be entered within one another.
    loop.set_task_factory(lambda loop, main: asyncio.tasks._PyTask(main, loop=loop))  # type: ignore[attr-defined]
    loop._run_once = lambda: _turn_of_the_programs_own(loop)
    assert loop.run_until_complete(outer()) == "told told"


def test_the_selector_waits_no_longer_than_it_is_told(own_loop: Any) -> None:
    called: list[str] = []
    assert own_loop._selector.select(0) == []
    own_loop.call_soon(called.append, "soon")
    assert own_loop._selector.select(60) == []
    assert called == ["soon"]
    began = own_loop.time()
    assert own_loop._selector.select(0.01) == []
    assert own_loop.time() - began >= 0.01
    own_loop.call_later(0.01, called.append, "later")
    own_loop._selector.select(None)
    assert called == ["soon", "later"]


def test_the_task_factory(loop: Any) -> None:
    seen: list[Any] = []

    def factory(loop: Any, coroutine: Any, **options: Any) -> Any:
        seen.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **options)

    assert loop.get_task_factory() is None
    loop.set_task_factory(factory)
    assert loop.get_task_factory() is factory
    coroutine = _main()
    assert loop.run_until_complete(coroutine) == "done"
    assert seen == [coroutine]
    loop.set_task_factory(None)
    with pytest.raises(TypeError):
        loop.set_task_factory(17)


def test_what_the_class_is_called() -> None:
    assert tress.asyncio.EventLoop.__module__ == "tress.asyncio"
    assert tress.asyncio.SelectorEventLoop is tress.asyncio.EventLoop
    assert issubclass(tress.asyncio.EventLoop, asyncio.SelectorEventLoop)
    loop: Any = tress.asyncio.EventLoop()
    assert repr(loop) == "<EventLoop running=False closed=False debug=False>"
    loop.close()


@pytest.mark.parametrize("name", ["Lock", "Semaphore", "BoundedSemaphore"])
def test_a_block_of_a_lock_calls_methods_that_are_overridden(
    library: ModuleType, name: str
) -> None:
    seen = []

    class Guard(getattr(library, name)):  # type: ignore[misc]
        async def acquire(self) -> Any:
            seen.append("acquire")
            return await super().acquire()

        def release(self) -> None:
            seen.append("release")
            super().release()

    async def main() -> None:
        guard = Guard()
        async with guard:
            assert guard.locked()
        assert not guard.locked()

    with asyncio.Runner(loop_factory=tress.asyncio.EventLoop) as runner:
        runner.run(main())
    assert seen == ["acquire", "release"]
