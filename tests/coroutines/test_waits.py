"""waits() and dump_waits() tell what every task waits for, and where."""

from __future__ import annotations

import asyncio as standard
import io
import socket
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

import tress
import tress.asyncio as asyncio

HERE = __file__


def wait_of(task: Any) -> Any:
    """What is told of a task; None if it is not told of."""
    return next((wait for wait in tress.waits() if wait.task is task), None)


async def until_it_waits(task: Any) -> Any:
    while wait_of(task) is None:
        await asyncio.sleep(0)
    return wait_of(task)


async def a_lock() -> tuple[str, Any, Any]:
    lock = asyncio.Lock()
    await lock.acquire()
    return "Lock.acquire", lock, lock.acquire


async def a_lock_in_a_block() -> tuple[str, Any, Any]:
    lock = asyncio.Lock()
    await lock.acquire()

    async def enter() -> None:
        async with lock:
            pass

    return "Lock.acquire", lock, enter


async def a_semaphore() -> tuple[str, Any, Any]:
    semaphore = asyncio.Semaphore(0)
    return "Semaphore.acquire", semaphore, semaphore.acquire


async def an_event() -> tuple[str, Any, Any]:
    event = asyncio.Event()
    return "Event.wait", event, event.wait


async def a_condition() -> tuple[str, Any, Any]:
    condition = asyncio.Condition()

    async def wait() -> None:
        async with condition:
            await condition.wait()

    return "Condition.wait", condition, wait


async def an_empty_queue() -> tuple[str, Any, Any]:
    queue: Any = asyncio.Queue()
    return "Queue.get", queue, queue.get


async def a_full_queue() -> tuple[str, Any, Any]:
    queue: Any = asyncio.Queue(1)
    queue.put_nowait(0)
    return "Queue.put", queue, lambda: queue.put(1)


async def a_queue_of_a_subclass() -> tuple[str, Any, Any]:
    class Own(asyncio.Queue):  # type: ignore[type-arg]
        def get_nowait(self) -> Any:
            return super().get_nowait()

    queue = Own()
    return "Queue.get", queue, queue.get


async def a_queue_that_is_joined() -> tuple[str, Any, Any]:
    queue: Any = asyncio.Queue()
    queue.put_nowait(0)
    return "Queue.join", queue, queue.join


async def a_future() -> tuple[str, Any, Any]:
    future = asyncio.get_running_loop().create_future()

    async def wait() -> None:
        await future

    return "await Future", future, wait


async def a_task() -> tuple[str, Any, Any]:
    task = asyncio.create_task(asyncio.sleep(1000))

    async def wait() -> None:
        await task

    return "await Task", task, wait


async def gathered() -> tuple[str, Any, Any]:
    future = asyncio.gather(asyncio.sleep(1000), asyncio.sleep(1000))

    async def wait() -> None:
        await future

    return "gather", future, wait


async def a_task_group() -> tuple[str, Any, Any]:
    group = standard.TaskGroup()

    async def wait() -> None:
        async with group:
            group.create_task(asyncio.sleep(1000))

    return "TaskGroup.__aexit__", group, wait


async def a_generator() -> tuple[str, Any, Any]:
    queue: Any = asyncio.Queue()

    async def items() -> AsyncIterator[Any]:
        yield await queue.get()

    async def wait() -> None:
        async for _ in items():
            pass

    return "Queue.get", queue, wait


CASES: list[Any] = [
    *(a_lock, a_lock_in_a_block, a_semaphore, an_event, a_condition, an_empty_queue, a_full_queue),
    *(a_queue_of_a_subclass, a_queue_that_is_joined, a_future, a_task, gathered, a_task_group),
    a_generator,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_it_is_told_what_a_task_waits_on(case: Any) -> None:
    async def main() -> None:
        operation, thing, call = await case()

        async def outer() -> None:
            await call()

        task = asyncio.create_task(outer(), name="the task")
        wait = await until_it_waits(task)
        assert (wait.operation, wait.object) == (operation, thing)
        assert wait.thread_ident == threading.get_ident()
        assert wait.seconds is None
        assert wait.owner_ident is None
        line = outer.__code__.co_firstlineno + 1
        assert (wait.stack[0].filename, wait.stack[0].lineno) == (HERE, line)
        assert not any("tress/asyncio" in frame.filename for frame in wait.stack)
        text = str(wait)
        assert text.startswith(f"the task in MainThread ({wait.thread_ident}) waits in {operation}")
        task.cancel()
        await asyncio.wait([task])
        assert wait_of(task) is None

    asyncio.run(main())


def test_reading_and_writing() -> None:
    async def main() -> None:
        ours, others = socket.socketpair()
        with others:
            reader, writer = await asyncio.open_connection(sock=ours)
            reading = asyncio.create_task(reader.readline())
            wait = await until_it_waits(reading)
            assert (wait.operation, wait.object) == ("StreamReader.readline", reader)
            writer.write(bytes(10_000_000))
            writing = asyncio.create_task(writer.drain())
            wait = await until_it_waits(writing)
            assert (wait.operation, wait.object) == ("StreamWriter.drain", writer)
            reading.cancel()
            writing.cancel()
            writer.transport.abort()
            await asyncio.wait([reading, writing])

    asyncio.run(main())


def test_a_sleep_tells_how_much_is_left() -> None:
    async def main() -> None:
        wait = await until_it_waits(asyncio.create_task(asyncio.sleep(1000)))
        assert wait.operation == "sleep"
        assert 900 < wait.seconds_left <= 1000

    asyncio.run(main())


def test_who_holds_a_lock_is_told() -> None:
    async def main() -> None:
        lock = asyncio.Lock()

        async def hold() -> None:
            async with lock:
                await asyncio.sleep(1000)

        owner = asyncio.create_task(hold(), name="the owner")
        await until_it_waits(owner)
        wait = await until_it_waits(asyncio.create_task(lock.acquire()))
        assert wait.owner_task is owner
        assert wait.owner_name == "the owner"
        assert str(wait).endswith("\n  held by the owner")

    asyncio.run(main())


def test_tasks_that_run_or_are_about_to_are_not_in_it() -> None:
    async def main() -> None:
        about_to = asyncio.create_task(asyncio.sleep(0))
        told = [wait.task for wait in tress.waits()]
        assert told == []
        await about_to

    asyncio.run(main())
    assert [wait for wait in tress.waits() if wait.task is not None] == []


def test_every_loop_of_every_thread_is_in_it() -> None:
    ready = threading.Barrier(3)
    over = threading.Event()

    def run() -> None:
        async def main() -> None:
            waiting = asyncio.create_task(asyncio.sleep(1000))
            await until_it_waits(waiting)
            ready.wait()
            over.wait()  # the loop runs, and stands still
            waiting.cancel()

        asyncio.run(main())

    threads = [threading.Thread(target=run, name=name) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    ready.wait()
    found = [wait for wait in tress.waits() if wait.task is not None]
    over.set()
    for thread in threads:
        thread.join()
    assert sorted(wait.thread_name for wait in found) == ["one", "two"]
    assert {wait.thread_ident for wait in found} == {thread.ident for thread in threads}


def test_another_thread_may_look_at_any_time() -> None:
    """Tasks that begin to wait, and end, while another thread looks."""
    over = threading.Event()
    seen: set[str] = set()
    failed: list[BaseException] = []

    def look() -> None:
        try:
            while not over.is_set():
                seen.update(wait.operation for wait in tress.waits())
        except BaseException as error:
            failed.append(error)
            raise

    async def worker(lock: Any, queue: Any) -> None:
        while not over.is_set():
            async with lock:
                await asyncio.sleep(0.0001)
            queue.put_nowait(0)
            await queue.get()

    async def main() -> None:
        lock, queue = asyncio.Lock(), asyncio.Queue()  # type: ignore[var-annotated]
        workers = [asyncio.create_task(worker(lock, queue)) for _ in range(20)]
        while not {"sleep", "Lock.acquire"} <= seen and not failed:
            await asyncio.gather(*(asyncio.sleep(0.0001) for _ in range(20)))
        over.set()
        await asyncio.gather(*workers)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        asyncio.run(main())
    finally:
        over.set()
        thread.join()
    assert not failed


def test_the_dump_counts_the_tasks() -> None:
    async def main() -> list[str]:
        task = asyncio.create_task(asyncio.Event().wait(), name="the task")
        await until_it_waits(task)
        file = io.StringIO()
        tress.dump_waits(file)
        task.cancel()
        return file.getvalue().splitlines()

    lines = asyncio.run(main())
    assert " and 1 task of process " in lines[0]
    assert lines[1].startswith("the task in MainThread ")
    assert lines[2].startswith("  on <tress.asyncio.Event object at ")


def test_a_loop_that_is_gone_is_forgotten() -> None:
    from tress.asyncio import _loops

    before = len(_loops._loops)
    asyncio.EventLoop().close()
    assert len(_loops._loops) <= before
