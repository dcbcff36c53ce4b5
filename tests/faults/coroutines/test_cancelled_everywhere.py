"""Cancelled at each await in turn: nothing is left behind, and the next attempt is as good as ever.

A scene is run again and again, cancelled at its first suspension, at its second, and so on, until
it comes to its end before that.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import tempfile
import threading
import types
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from typing import Any

import pytest

from tests.faults.coroutines.conftest import Run
from tests.faults.coroutines.ends import HOST, address, client_tls, pair, server_tls
from tests.faults.coroutines.turning import quiet
from tests.faults.resources import descriptors

MOST = 300
"""More suspensions than any scene has."""

LONG = 1 << 20

Call = Coroutine[Any, Any, Any]


class Cancelled(Exception):
    """The scene was cancelled before its end."""


@types.coroutine
def counted(call: Call, at: int, later: bool, seen: list[int]) -> Generator[Any, Any, Any]:
    """Go along with a coroutine, and ask for its task to be cancelled at one suspension.

    Either before it waits for what it is about to wait for, or a turn later.
    """
    task = asyncio.current_task()
    assert task
    failure: BaseException | None = None
    while True:
        try:
            awaited = call.send(None) if failure is None else call.throw(failure)
        except StopIteration as end:
            return end.value
        if len(seen) == at:
            if later:
                asyncio.get_running_loop().call_soon(task.cancel)
            else:
                task.cancel()
        seen.append(at)
        failure = None
        try:
            yield awaited
        except BaseException as error:
            failure = error


async def cancelled_at(call: Call, at: int, later: bool) -> bool:
    """Whether it was cancelled; the cancellation is never swallowed on the way."""
    seen: list[int] = []

    async def go() -> None:
        await counted(call, at, later, seen)

    task = asyncio.create_task(go())
    await asyncio.wait([task])
    if task.cancelled():
        assert len(seen) > at
        return True
    task.result()
    # With one turn more until it is cancelled, the last suspension may be over before.
    assert len(seen) <= at or (later and len(seen) == at + 1)
    return False


@contextlib.asynccontextmanager
async def echo_server(**options: Any) -> AsyncIterator[Any]:
    """Sends back what comes, until its end."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, HOST, 0, **options)
    try:
        yield server
    finally:
        server.close()
        await server.wait_closed()


async def converse(where: tuple[str, int], **options: Any) -> None:
    """All the awaits of streams: connecting, draining, reading, closing."""
    reader, writer = await asyncio.open_connection(*where, **options)
    try:
        writer.write(b"line\n" + b"x" * LONG)
        await writer.drain()
        assert await reader.readline() == b"line\n"
        assert len(await reader.readexactly(LONG)) == LONG
        writer.write(b"until#")
        await writer.drain()
        assert await reader.readuntil(b"#") == b"until#"
    finally:
        writer.close()
    await writer.wait_closed()


async def streams(server: Any) -> None:
    await converse(address(server))


async def tls_streams(server: Any) -> None:
    await converse(address(server), ssl=client_tls(), server_hostname="localhost")


async def upgrade(server: Any) -> None:
    """To TLS, on both sides."""
    ours, theirs = pair()
    loop = asyncio.get_running_loop()
    client, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
    other: Any = None
    try:
        other, _ = await loop.connect_accepted_socket(asyncio.Protocol, theirs)
        async with asyncio.TaskGroup() as group:
            group.create_task(
                loop.start_tls(
                    client, asyncio.Protocol(), client_tls(), server_hostname="localhost"
                )
            )
            group.create_task(
                loop.start_tls(other, asyncio.Protocol(), server_tls(), server_side=True)
            )
    finally:
        client.abort()
        if other is not None:
            other.abort()
        theirs.close()


async def sockets(server: Any) -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = pair()
    with ours, theirs:
        async with asyncio.TaskGroup() as group:
            group.create_task(loop.sock_sendall(ours, b"x" * LONG))
            received = 0
            while received < LONG:
                received += len(await loop.sock_recv(theirs, 1 << 20))


async def by_name(server: Any) -> None:
    await converse(("localhost", address(server)[1]))


async def serving(_: Any) -> None:
    """A server that begins and ends."""
    where = f"\0{uuid.uuid4()}"
    # Begun afterwards: the standard library's `start_unix_server` leaves it open if cancelled.
    server = await asyncio.start_unix_server(
        lambda _, writer: writer.close(), where, start_serving=False
    )
    async with server:
        await server.start_serving()
        await asyncio.sleep(0)


async def a_process(_: Any) -> None:
    process = await asyncio.create_subprocess_exec(
        *("cat",), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        out, _ = await process.communicate(b"x" * 200_000)
        assert out == b"x" * 200_000
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.shield(process.wait())


def abs_in_a_later_turn(value: int) -> Callable[[], int]:
    """For a thread: a call that ended before it is awaited would not suspend who awaits it."""
    gate = threading.Event()
    asyncio.get_running_loop().call_soon(gate.set)

    def call() -> int:
        gate.wait()
        return abs(value)

    return call


async def in_threads(_: Any) -> None:
    assert await asyncio.to_thread(abs_in_a_later_turn(-1)) == 1
    call = abs_in_a_later_turn(-2)
    assert await asyncio.get_running_loop().run_in_executor(None, call) == 2


async def a_file(server: Any) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, *address(server))
    try:
        with tempfile.TemporaryFile() as file:
            file.truncate(LONG)
            assert await loop.sendfile(transport, file) == LONG
    finally:
        transport.abort()


async def groups(_: Any) -> None:
    async with asyncio.TaskGroup() as group, asyncio.timeout(1000):
        for _ in range(3):
            group.create_task(asyncio.sleep(0))
        await asyncio.gather(*(asyncio.sleep(0) for _ in range(3)))
        await asyncio.wait([asyncio.create_task(asyncio.sleep(0))])
        async for _ in _completed():
            pass


async def _completed() -> AsyncIterator[int]:
    for task in asyncio.as_completed([asyncio.sleep(0, 1), asyncio.sleep(0.001, 2)]):
        yield await task


SCENES: dict[str, tuple[Callable[[Any], Call], bool]] = {
    "streams": (streams, False),
    "TLS streams": (tls_streams, True),
    "start_tls": (upgrade, False),
    "sockets": (sockets, False),
    "by name": (by_name, False),
    "a server": (serving, False),
    "threads": (in_threads, False),
    "sendfile": (a_file, False),
    "groups": (groups, False),
}


async def exhaust(scene: Callable[[Any], Call], tls: bool) -> None:
    options = {"ssl": server_tls()} if tls else {}
    async with echo_server(**options) as server:
        await scene(server)
        await quiet()
        before = descriptors()
        for later in (False, True):
            for at in range(MOST):
                if not await cancelled_at(scene(server), at, later):
                    break
                print(f"cancelled at {at}, {later=}")  # shown if the test fails
                await until_closed(before)
                if at % 10 == 0:
                    await scene(server)
                    await until_closed(before)
            assert 1 < at < MOST - 1
            await until_closed(before)


async def until_closed(before: dict[int, str]) -> None:
    """What was cancelled has closed all that it had opened, its other ends included."""
    end = asyncio.get_running_loop().time() + 10
    while left := {fd: what for fd, what in descriptors().items() if fd not in before}:
        assert asyncio.get_running_loop().time() < end, left
        await quiet()
        gc.collect()  # a traceback may hold a socket of the scene's


@pytest.mark.parametrize(("scene", "tls"), SCENES.values(), ids=SCENES)
def test_each_await(run: Run, scene: Callable[[Any], Call], tls: bool) -> None:
    run(exhaust(scene, tls))


@pytest.mark.skipif(
    sys.version_info < (3, 12),
    reason="the standard library of 3.11 loses a process whose start is cancelled",
)
def test_each_await_on_a_process(run: Run) -> None:
    """From its start on: it ends with its pipes, whenever who waits for it is cancelled."""
    run(exhaust(a_process, False))


def primitives(library: Any) -> dict[str, Callable[[], Awaitable[None]]]:
    lock, semaphore, condition = library.Lock(), library.Semaphore(1), library.Condition()
    queue = library.Queue(1)

    async def use_a_lock() -> None:
        async with lock:
            other = asyncio.create_task(lock.acquire())
            await asyncio.sleep(0)
        await asyncio.shield(other)
        lock.release()

    async def use_a_semaphore() -> None:
        async with semaphore:
            await asyncio.sleep(0)

    async def use_a_condition() -> None:
        async with condition:
            waking = asyncio.create_task(notify())
            await condition.wait()
        await waking

    async def notify() -> None:
        async with condition:
            condition.notify_all()

    async def use_a_queue() -> None:
        await queue.put(1)
        other = asyncio.create_task(queue.put(2))
        try:
            await asyncio.sleep(0)
            assert await queue.get() == 1
            assert await queue.get() == 2
        finally:
            other.cancel()
            while not queue.empty():
                queue.get_nowait()

    return {
        "semaphore": use_a_semaphore,
        "condition": use_a_condition,
        "queue": use_a_queue,
        "lock": use_a_lock,
    }


@pytest.mark.parametrize("kind", ["semaphore", "condition", "queue"])
def test_each_await_on_a_primitive(run: Run, library: Any, kind: str) -> None:
    async def scene() -> None:
        use: Any = primitives(library)[kind]
        await use()
        for later in (False, True):
            for at in range(MOST):
                if not await cancelled_at(use(), at, later):
                    break
                await quiet(1)
                await asyncio.wait_for(use(), 10)
            assert at < MOST - 1

    run(scene())
