"""A loop that runs for ever does not grow, by connections, tasks, timers, nor by what goes wrong.

TRESS_LOOP_OPERATIONS says how many operations each measurement makes: a million in `make nightly`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import tress.asyncio
from tests.faults.coroutines.conftest import Run
from tests.faults.coroutines.ends import (
    Recorder,
    client_tls,
    connect,
    pair,
    reset,
    server_tls,
    tcp_pair,
)
from tests.faults.resources import descriptors, resident_bytes

OPERATIONS = int(os.environ.get("TRESS_LOOP_OPERATIONS", "10000"))
BOUND_S = 100 + OPERATIONS / 2_000

pytestmark = pytest.mark.bound(BOUND_S + 20)


@pytest.fixture(autouse=True)
def _takes_as_long_as_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.faults.coroutines.conftest.LIMIT_S", BOUND_S)


Operation = Callable[[], Awaitable[None]]


class Failure(Exception):
    """What an operation raises."""


async def wait_for_ever() -> None:
    await asyncio.get_running_loop().create_future()


async def fail() -> None:
    raise Failure


async def cancelled(call: Any) -> None:
    """Begin it, let it come to where it waits, and cancel it."""
    task = asyncio.ensure_future(call)
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def connection() -> None:
    transport, protocol, theirs = await connect()
    transport.write(b"x" * 1000)
    theirs.send(b"y" * 1000)
    await protocol.until(lambda: protocol.received == 1000)
    transport.close()
    await protocol.lost
    theirs.close()


async def connection_full_of_data() -> None:
    transport, protocol, theirs = await connect()
    transport.write(b"x" * 500_000)
    transport.write(bytearray(1000))
    transport.abort()
    await protocol.lost
    theirs.close()


async def connection_reset() -> None:
    _, protocol, theirs = await connect(ends=tcp_pair())
    reset(theirs)
    assert isinstance(await protocol.lost, ConnectionResetError)


class Raising(Recorder):
    def data_received(self, data: bytes) -> None:
        raise Failure


async def connection_that_fails() -> None:
    _, protocol, theirs = await connect(Raising)
    theirs.send(b"x")
    assert isinstance(await protocol.lost, Failure)
    theirs.close()


async def streams() -> None:
    ours, theirs = pair()
    reader, writer = await asyncio.open_connection(sock=ours)
    theirs.send(b"line\nrest")
    assert await reader.readline() == b"line\n"
    await cancelled(reader.readexactly(100))
    writer.write(b"x")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    theirs.close()


async def tls() -> None:
    ours, theirs = pair()
    loop = asyncio.get_running_loop()
    (_, server), (transport, client) = await asyncio.gather(
        loop.connect_accepted_socket(Recorder, ours, ssl=server_tls()),
        loop.create_connection(
            Recorder, sock=theirs, ssl=client_tls(), server_hostname="localhost"
        ),
    )
    transport.write(b"x" * 1000)
    await server.until(lambda: server.received == 1000)
    transport.close()
    await asyncio.gather(client.lost, server.lost)


async def tls_cancelled() -> None:
    ours, theirs = pair()
    loop = asyncio.get_running_loop()
    await cancelled(
        loop.create_connection(Recorder, sock=ours, ssl=client_tls(), server_hostname="localhost")
    )
    theirs.close()
    await asyncio.sleep(0)


async def sockets() -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = pair()
    receiving = asyncio.ensure_future(loop.sock_recv(ours, 100))
    await loop.sock_sendall(theirs, b"x")
    assert await receiving == b"x"
    await cancelled(loop.sock_recv(ours, 100))
    ours.close()
    theirs.close()


async def readers() -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    seen = loop.create_future()
    loop.add_reader(ours, seen.set_result, object())
    loop.add_writer(theirs, object)
    theirs.send(b"x")
    await seen
    loop.remove_reader(ours)
    loop.remove_writer(theirs)
    ours.close()
    theirs.close()


async def task() -> None:
    assert await asyncio.create_task(asyncio.sleep(0, 7)) == 7


async def own_task() -> None:
    assert await tress.asyncio.create_task(tress.asyncio.sleep(0, 7)) == 7


async def task_cancelled() -> None:
    await cancelled(wait_for_ever())


async def task_that_fails() -> None:
    with contextlib.suppress(Failure):
        await asyncio.create_task(fail())


async def task_that_nobody_looks_at() -> None:
    made = asyncio.ensure_future(fail())
    await asyncio.sleep(0)
    del made


async def gathered() -> None:
    await tress.asyncio.gather(*(asyncio.sleep(0) for _ in range(5)))
    with contextlib.suppress(Failure):
        await tress.asyncio.gather(asyncio.sleep(0), fail())
    await cancelled(tress.asyncio.gather(wait_for_ever(), wait_for_ever()))


async def group() -> None:
    with contextlib.suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(wait_for_ever())
            tasks.create_task(fail())


async def timer() -> None:
    loop = asyncio.get_running_loop()
    due = loop.create_future()
    loop.call_later(0, due.set_result, object())
    await due


async def timer_cancelled() -> None:
    loop = asyncio.get_running_loop()
    loop.call_later(1000, object).cancel()
    handle = loop.call_at(loop.time() + 1000, object)
    handle.cancel()
    handle.cancel()
    await asyncio.sleep(0)


async def timeout() -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(wait_for_ever(), 0.000001)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0):
            await wait_for_ever()
    await asyncio.wait_for(asyncio.sleep(0), 1000)


async def call() -> None:
    loop = asyncio.get_running_loop()
    loop.call_soon(object)
    loop.call_soon(object).cancel()
    loop.call_soon_threadsafe(object)
    await asyncio.sleep(0)


async def call_that_fails() -> None:
    asyncio.get_running_loop().call_soon(int, "seven")
    await asyncio.sleep(0)


async def queue() -> None:
    queue: Any = tress.asyncio.Queue(1)
    await queue.put(object())
    await cancelled(queue.put(object()))
    await queue.get()
    await cancelled(queue.get())
    getting = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    queue.put_nowait(object())
    await getting


async def lock() -> None:
    lock: Any = tress.asyncio.Lock()
    async with lock:
        await cancelled(lock.acquire())
        waiting = asyncio.ensure_future(lock.acquire())
        await asyncio.sleep(0)
    await waiting
    lock.release()


async def event() -> None:
    event: Any = tress.asyncio.Event()
    await cancelled(event.wait())
    waiting = asyncio.ensure_future(event.wait())
    await asyncio.sleep(0)
    event.set()
    await waiting


async def semaphore() -> None:
    semaphore: Any = tress.asyncio.Semaphore(1)
    async with semaphore:
        await cancelled(semaphore.acquire())


async def in_a_thread() -> None:
    assert await asyncio.get_running_loop().run_in_executor(None, abs, -1) == 1


async def server() -> None:
    name = f"\0{uuid.uuid4()}"  # not that of another run
    listening = await asyncio.start_unix_server(lambda _, writer: writer.close(), name)
    async with listening:
        reader, writer = await asyncio.open_unix_connection(name)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def process() -> None:
    process = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
    assert (await process.communicate(b"x"))[0] == b"x"


async def generator() -> None:
    async def numbers() -> Any:
        yield 1
        yield 2

    async for _ in numbers():
        break  # the loop closes it
    await asyncio.sleep(0)


COSTS: list[tuple[Operation, int]] = [
    (connection, 4),
    (connection_full_of_data, 10),
    (connection_reset, 20),
    (connection_that_fails, 8),
    (streams, 10),
    (tls, 100),
    (tls_cancelled, 40),
    (sockets, 6),
    (readers, 5),
    (server, 20),
    (task, 1),
    (own_task, 1),
    (task_cancelled, 2),
    (task_that_fails, 2),
    (task_that_nobody_looks_at, 4),
    (gathered, 5),
    (group, 10),
    (timer, 2),
    (timer_cancelled, 1),
    (timeout, 5),
    (call, 2),
    (call_that_fails, 10),
    (queue, 4),
    (lock, 4),
    (event, 4),
    (semaphore, 3),
    (in_a_thread, 10),
    (process, 500),
    (generator, 2),
]
"""Each operation, with how many times as costly as the cheapest it is."""


@pytest.mark.parametrize(("operation", "cost"), COSTS, ids=[each.__name__ for each, _ in COSTS])
def test_operations_leave_nothing(
    run_ours: Run, own_loop: Any, operation: Operation, cost: int
) -> None:
    own_loop.set_exception_handler(lambda *_: None)  # of those that fail
    rounds = max(20, OPERATIONS // cost)

    async def repeat(times: int) -> None:
        for _ in range(times):
            await operation()
        await asyncio.sleep(0.001)
        gc.collect()

    async def scene() -> None:
        await repeat(rounds // 4)
        # A leak is there each time; what was left to be freed before is not.
        for _ in range(3):
            objects, memory, opened = len(gc.get_objects()), resident_bytes(), len(descriptors())
            await repeat(rounds)
            objects = len(gc.get_objects()) - objects
            memory = resident_bytes() - memory
            opened = len(descriptors()) - opened
            # An object of 16 bytes an operation shows; so does nothing that the allocator keeps.
            if objects < 20 and memory < max(2_000_000, 16 * rounds) and opened <= 0:
                return
        pytest.fail(f"{rounds} left {objects} objects, {memory} bytes, {opened} descriptors")

    run_ours(scene())


def test_loops_leave_nothing() -> None:
    """Those that are closed, and those that are forgotten with calls and timers in them."""
    rounds = max(20, OPERATIONS // 50)

    def make() -> None:
        loop: Any = tress.asyncio.EventLoop()
        loop.run_until_complete(asyncio.sleep(0))
        loop.call_soon(loop.stop)
        loop.call_later(1000, loop.stop)
        loop.close()

    for _ in range(rounds // 4):
        make()
    for _ in range(3):
        gc.collect()
        objects, memory = len(gc.get_objects()), resident_bytes()
        for _ in range(rounds):
            make()
        gc.collect()
        objects = len(gc.get_objects()) - objects
        memory = resident_bytes() - memory
        if objects < 20 and memory < max(2_000_000, 16 * rounds):
            return
    pytest.fail(f"{rounds} loops left {objects} objects and {memory} bytes")


def test_many_at_once_give_all_back(run_ours: Run) -> None:
    """Memory after a crowd of connections, tasks and timers is what it was after an earlier one."""
    count = max(500, min(OPERATIONS // 20, 5_000))

    async def crowd() -> None:
        loop = asyncio.get_running_loop()
        tasks = [asyncio.ensure_future(wait_for_ever()) for _ in range(10 * count)]
        handles = [loop.call_later(1000 + at, object) for at in range(10 * count)]
        ends = [await connect() for _ in range(min(count, 400))]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for handle in handles:
            handle.cancel()
        for transport, protocol, theirs in ends:
            transport.abort()
            await protocol.lost
            theirs.close()

    async def scene() -> None:
        await crowd()
        await crowd()
        for _ in range(3):
            gc.collect()
            objects, memory = len(gc.get_objects()), resident_bytes()
            await crowd()
            gc.collect()
            objects = len(gc.get_objects()) - objects
            memory = resident_bytes() - memory
            if objects < 20 and memory < 2_000_000:
                return
        pytest.fail(f"a crowd left {objects} objects and {memory} bytes")

    run_ours(scene())
