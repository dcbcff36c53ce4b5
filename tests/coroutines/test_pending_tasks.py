"""A loop holds its tasks until they end, and not a moment longer."""

from __future__ import annotations

import asyncio as standard
import gc
import subprocess
import sys
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import tress.asyncio as asyncio
from tests.coroutines.turns import turn

Ended = list[str]


class Doors:
    """What is known by name, and weakly: the futures that tasks wait for, of which nobody else
    knows.
    """

    def __init__(self) -> None:
        self.futures: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()

    async def pass_through(self, name: str) -> str:
        future = asyncio.get_running_loop().create_future()
        self.futures[name] = future
        await future
        return name

    def open(self, name: str) -> None:
        self.futures[name].set_result(None)


class OfASubclass(standard.Task):  # type: ignore[type-arg]
    pass


def by_create_task(loop: Any, coroutine: Coroutine[Any, Any, Any]) -> Any:
    return loop.create_task(coroutine)


def by_ensure_future(loop: Any, coroutine: Coroutine[Any, Any, Any]) -> Any:
    return standard.ensure_future(coroutine, loop=loop)


def by_its_class(loop: Any, coroutine: Coroutine[Any, Any, Any]) -> Any:
    return standard.Task(coroutine, loop=loop)


def by_a_factory(loop: Any, coroutine: Coroutine[Any, Any, Any]) -> Any:
    loop.set_task_factory(lambda loop, coro, **options: OfASubclass(coro, loop=loop, **options))
    return loop.create_task(coroutine)


def by_a_factory_of_tasks_in_python(loop: Any, coroutine: Coroutine[Any, Any, Any]) -> Any:
    kind: Any = vars(standard.tasks)["_PyTask"]
    loop.set_task_factory(lambda loop, coro, **options: kind(coro, loop=loop, **options))
    return loop.create_task(coroutine)


def eagerly(loop: Any, coroutine: Coroutine[Any, Any, Any]) -> Any:
    loop.set_task_factory(vars(standard)["eager_task_factory"])
    return loop.create_task(coroutine)


def in_debug_mode(loop: Any, coroutine: Coroutine[Any, Any, Any]) -> Any:
    loop.set_debug(True)
    return loop.create_task(coroutine)


def into_debug_mode(loop: Any, coroutine: Coroutine[Any, Any, Any]) -> Any:
    task = loop.create_task(coroutine)
    loop.call_soon(loop.set_debug, True)
    return task


WAYS = [
    *(by_create_task, by_ensure_future, by_its_class, by_a_factory),
    *(by_a_factory_of_tasks_in_python, in_debug_mode, into_debug_mode),
]
if sys.version_info >= (3, 12):
    WAYS.append(eagerly)


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def make(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """A way of making a task."""
    way: Callable[..., Any] = request.param
    return way


def begin(loop: Any, make: Callable[..., Any], coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Make a task in the running loop, and return a weak reference to it."""
    made = []
    loop.call_soon(lambda: made.append(weakref.ref(make(loop, coroutine))))
    turn(loop, 3)
    return made[0]


def test_a_task_that_nobody_refers_to_goes_on(own_loop: Any, make: Callable[..., Any]) -> None:
    doors = Doors()
    ended: list[str] = []

    async def run() -> None:
        ended.append(await doors.pass_through("first"))
        ended.append(await doors.pass_through("second"))

    task = begin(own_loop, make, run())
    for name in ("first", "second"):
        gc.collect()
        assert task() is not None
        own_loop.call_soon(doors.open, name)
        turn(own_loop, 3)
    assert ended == ["first", "second"]


def test_what_has_ended_is_released_at_once(own_loop: Any, make: Callable[..., Any]) -> None:
    gc.disable()
    try:
        for outcome in (None, KeyError()):
            doors = Doors()

            async def run(doors: Doors = doors, outcome: Any = outcome) -> None:
                await doors.pass_through("door")
                if outcome is not None:
                    raise outcome

            task = begin(own_loop, make, run())
            assert task() is not None
            task().add_done_callback(lambda task: task.exception())
            own_loop.call_soon(doors.open, "door")
            turn(own_loop, 3)
            outcome = None
            assert own_loop._held_tasks() == []
            del doors
            if make is not by_a_factory_of_tasks_in_python:  # such a task is in a circle of its own
                assert task() is None
    finally:
        gc.enable()
        gc.collect()


def test_a_cancelled_task_is_released(own_loop: Any, make: Callable[..., Any]) -> None:
    task = begin(own_loop, make, Doors().pass_through("door"))
    assert own_loop._held_tasks() == [task()]
    task().cancel()
    turn(own_loop, 3)
    assert own_loop._held_tasks() == []


def test_what_ends_at_once_is_not_held(own_loop: Any, make: Callable[..., Any]) -> None:
    async def run() -> None:
        pass

    begin(own_loop, make, run())
    assert own_loop._held_tasks() == []


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_a_task_that_ends_the_loop_is_released(own_loop: Any, kind: type[BaseException]) -> None:
    doors = Doors()

    async def run() -> None:
        await doors.pass_through("door")
        raise kind

    task = begin(own_loop, by_create_task, run())
    own_loop.call_soon(doors.open, "door")
    with pytest.raises(kind):
        turn(own_loop, 3)
    assert own_loop._held_tasks() == []
    assert task() is None


def test_a_reader_of_a_stream_goes_on() -> None:
    """The transport knows the reader, at which the task waits, but weakly."""

    async def main() -> list[bytes]:
        read: list[bytes] = []

        async def serve(port: Any) -> None:
            reader, writer = await asyncio.open_connection(*port)
            read.append(await reader.readline())
            writer.close()

        connected: Any = asyncio.get_running_loop().create_future()
        server = await asyncio.start_server(
            lambda _, writer: connected.set_result(writer), "127.0.0.1", 0
        )
        asyncio.create_task(serve(server.sockets[0].getsockname()))
        writer = await connected
        for _ in range(5):
            await asyncio.sleep(0)
            gc.collect()
        writer.write(b"line\n")
        while not read:
            await asyncio.sleep(0)
        writer.close()
        server.close()
        return read

    assert asyncio.run(main()) == [b"line\n"]


def test_closing_the_loop_lets_go_of_its_tasks() -> None:
    told: list[str] = []
    loop = asyncio.EventLoop()
    loop.set_exception_handler(lambda _, context: told.append(context["message"]))
    task = begin(loop, by_create_task, Doors().pass_through("door"))
    gc.collect()
    assert task() is not None
    loop.close()
    gc.collect()
    assert task() is None
    assert told == ["Task was destroyed but it is pending!"]


def test_a_loop_that_is_gone_takes_its_tasks_along() -> None:
    loop = asyncio.EventLoop()
    task = begin(loop, by_create_task, Doors().pass_through("door"))
    task()._log_destroy_pending = False
    gone = weakref.ref(loop)
    del loop
    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        gc.collect()
    assert gone() is None
    assert task() is None


def test_a_program_in_debug_mode_from_the_beginning_releases_them_too() -> None:
    """Its loop finds out by itself what a step of a task looks like."""
    program = """
import tress.asyncio as asyncio

async def main():
    tasks = [asyncio.create_task(asyncio.sleep(0.001)) for _ in range(10)]
    await asyncio.gather(*tasks)
    print(len(asyncio.get_running_loop()._held_tasks()))

asyncio.run(main(), debug=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


def test_many_tasks() -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        go_on = asyncio.Event()
        tasks = [asyncio.create_task(go_on.wait()) for _ in range(10_000)]
        await asyncio.sleep(0)
        assert len(loop._held_tasks()) >= 10_000
        go_on.set()
        await asyncio.gather(*tasks)
        assert loop._held_tasks() == [standard.current_task()]

    asyncio.run(main())
