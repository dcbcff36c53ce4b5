"""Cancelled at random: items, permits, notifications and bytes are all there afterwards, once.

Hypothesis draws what is begun, what is cancelled, and how far the loop turns in between.
TRESS_EXAMPLES says how many programs it draws for each test.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

import tress.asyncio
from tests.faults.coroutines.conftest import LIMIT_S
from tests.faults.coroutines.ends import client_tls, pair, server_tls

BOTH = pytest.mark.parametrize("library", [asyncio, tress.asyncio], ids=["standard", "tress"])
COUNT = int(os.environ.get("TRESS_EXAMPLES", "40"))
EXAMPLES = settings(max_examples=COUNT, deadline=None, database=None)
FEW = settings(max_examples=COUNT // 2, deadline=None, database=None)

# A task that is cancelled before it begins never awaits the call that it was to make.
pytestmark = [
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    pytest.mark.bound(60 + COUNT),
]

Operation = tuple[str, int]


def operations(*names: str, most: int = 60) -> st.SearchStrategy[list[Operation]]:
    """Which to do, with a number that says to whom, or how much."""
    return st.lists(
        st.tuples(st.sampled_from(names), st.integers(0, 9)), min_size=most // 4, max_size=most
    )


def drive(library: Any, main: Coroutine[Any, Any, None]) -> None:
    """Run it in a new loop, where nothing may be told to the exception handler."""
    told: list[dict[str, Any]] = []
    loop = library.SelectorEventLoop()
    loop.set_exception_handler(lambda _, context: told.append(context))
    try:
        loop.run_until_complete(asyncio.wait_for(main, LIMIT_S))
    finally:
        loop.close()
    assert told == []


class Tasks:
    """Those that were begun, with what each is to hand over."""

    def __init__(self) -> None:
        self.begun: list[tuple[asyncio.Task[Any], Any]] = []

    def begin(self, call: Coroutine[Any, Any, Any], about: Any = None) -> None:
        self.begun.append((asyncio.create_task(call), about))

    def pending(self) -> list[asyncio.Task[Any]]:
        return [task for task, _ in self.begun if not task.done()]

    def cancel(self, number: int) -> None:
        if pending := self.pending():
            pending[number % len(pending)].cancel()

    async def end(self) -> None:
        """Cancel what waits; raise what has failed otherwise than by that or by a timeout."""
        for task in self.pending():
            task.cancel()
        if self.begun:
            await asyncio.wait([task for task, _ in self.begun])
        for task, _ in self.begun:
            if not task.cancelled() and not isinstance(task.exception(), TimeoutError):
                task.result()

    def succeeded(self) -> list[tuple[Any, Any]]:
        """What each returned that ended well, with what it was about."""
        return [
            (task.result(), about)
            for task, about in self.begun
            if not task.cancelled() and not task.exception()
        ]


async def soon(call: Coroutine[Any, Any, Any], number: int) -> Any:
    """With a timeout that is over at about the same time."""
    return await asyncio.wait_for(call, number / 5000)


async def in_a_scope(call: Coroutine[Any, Any, Any], number: int) -> Any:
    async with asyncio.timeout(number / 5000):
        return await call


QUEUES = ["Queue", "LifoQueue", "PriorityQueue"]


@BOTH
@pytest.mark.parametrize("kind", QUEUES)
@EXAMPLES
@given(
    size=st.integers(0, 3),
    todo=operations("get", "put", "get soon", "put soon", "get in a scope", "cancel", "turn"),
)
def test_items(library: ModuleType, kind: str, size: int, todo: list[Operation]) -> None:
    async def main() -> None:
        queue = getattr(library, kind)(size)
        gets, puts = Tasks(), Tasks()
        for item, (name, number) in enumerate(todo):
            match name:
                case "get":
                    gets.begin(queue.get())
                case "put":
                    puts.begin(queue.put(item), item)
                case "get soon":
                    gets.begin(soon(queue.get(), number))
                case "put soon":
                    puts.begin(soon(queue.put(item), number), item)
                case "get in a scope":
                    gets.begin(in_a_scope(queue.get(), number))
                case "cancel":
                    (gets if number % 2 else puts).cancel(number // 2)
                case "turn":
                    await asyncio.sleep(0 if number < 8 else 0.0005)
            assert not size or queue.qsize() <= size
        await gets.end()
        await puts.end()
        given = Counter(about for _, about in puts.succeeded())
        taken = Counter(item for item, _ in gets.succeeded())
        while not queue.empty():
            taken[queue.get_nowait()] += 1
        assert taken == given
        for _ in range(given.total()):
            queue.task_done()
        await queue.join()
        await pass_one_through(queue)

    drive(library, main())


async def pass_one_through(queue: Any) -> None:
    """Nobody who was cancelled stands in the way."""
    for _ in range(3):
        getter = asyncio.create_task(queue.get())
        await queue.put(-1)
        assert await getter == -1


@BOTH
@pytest.mark.parametrize("permits", [1, 2])
@pytest.mark.parametrize("kind", ["Lock", "Semaphore", "BoundedSemaphore"])
@EXAMPLES
@given(todo=operations("take", "take soon", "let go", "cancel", "turn"))
def test_permits(library: ModuleType, kind: str, permits: int, todo: list[Operation]) -> None:
    async def main() -> None:
        if kind == "Lock":
            limit, lock = 1, library.Lock()
        else:
            limit, lock = permits, getattr(library, kind)(permits)
        tasks = Tasks()
        holding: list[asyncio.Event] = []
        most = 0

        async def hold() -> None:
            nonlocal most
            async with lock:
                until = library.Event()
                holding.append(until)
                most = max(most, len(holding))
                try:
                    await until.wait()
                finally:
                    holding.remove(until)

        async def hold_soon(number: int) -> None:
            await soon(hold(), number)

        for name, number in todo:
            match name:
                case "take":
                    tasks.begin(hold())
                case "take soon":
                    tasks.begin(hold_soon(number))
                case "let go":
                    if holding:
                        holding[number % len(holding)].set()
                case "cancel":
                    tasks.cancel(number)
                case "turn":
                    await asyncio.sleep(0 if number < 8 else 0.0005)
        await tasks.end()
        assert most <= limit
        assert holding == []
        assert not lock.locked()
        for _ in range(limit):
            await asyncio.wait_for(lock.acquire(), LIMIT_S)
        assert lock.locked()
        for _ in range(limit):
            lock.release()

    drive(library, main())


@BOTH
@EXAMPLES
@given(todo=operations("wait", "wait soon", "give", "cancel", "turn"))
def test_notifications(library: ModuleType, todo: list[Operation]) -> None:
    """A shelf of things under a condition: each thing is taken once."""

    async def main() -> None:
        condition = library.Condition()
        shelf: list[int] = []
        tasks = Tasks()

        async def take() -> int:
            async with condition:
                await condition.wait_for(lambda: shelf)
                return shelf.pop()

        given = 0
        for name, number in todo:
            match name:
                case "wait":
                    tasks.begin(take())
                case "wait soon":
                    tasks.begin(soon(take(), number))
                case "give":
                    async with condition:
                        shelf.append(given)
                        given += 1
                        condition.notify(1)
                case "cancel":
                    tasks.cancel(number)
                case "turn":
                    await asyncio.sleep(0 if number < 8 else 0.0005)
        # One who was notified and did not take passes it on: nobody waits beside a full shelf.
        for _ in range(2 * len(todo) + 5):
            await asyncio.sleep(0)
        assert not (shelf and tasks.pending())
        await tasks.end()
        taken = [thing for thing, _ in tasks.succeeded()]
        assert sorted(taken + shelf) == list(range(given))
        assert not condition.locked()

    drive(library, main())


@BOTH
@EXAMPLES
@given(todo=operations("wait", "wait soon", "set", "clear", "cancel", "turn"))
def test_events(library: ModuleType, todo: list[Operation]) -> None:
    """Whoever waits when it is set gets through, if not cancelled; nobody else does."""

    async def main() -> None:
        event = library.Event()
        tasks = Tasks()
        for name, number in todo:
            match name:
                case "wait":
                    tasks.begin(event.wait())
                case "wait soon":
                    tasks.begin(soon(event.wait(), number))
                case "set":
                    event.set()
                case "clear":
                    event.clear()
                case "cancel":
                    tasks.cancel(number)
                case "turn":
                    await asyncio.sleep(0 if number < 8 else 0.0005)
        await tasks.end()
        assert {result for result, _ in tasks.succeeded()} <= {True}
        if not any(name == "set" for name, _ in todo):
            assert tasks.succeeded() == []
        event.set()
        assert await event.wait()

    drive(library, main())


PATTERN = bytes(at * at % 251 for at in range(1 << 16))
"""What is sent: every byte tells about where it belongs, and there are ends of lines."""

READS: list[Callable[[asyncio.StreamReader, int], Awaitable[bytes]]] = [
    lambda reader, number: reader.read(number * 100 + 1),
    lambda reader, number: reader.readexactly(number * 300),
    lambda reader, _: reader.readline(),
    lambda reader, _: reader.readuntil(b"\x01\x04"),
]

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def plain() -> tuple[Streams, Streams]:
    ours, theirs = pair()
    return (
        await asyncio.open_connection(sock=ours, limit=1 << 20),
        await asyncio.open_connection(sock=theirs, limit=1 << 20),
    )


async def over_tls() -> tuple[Streams, Streams]:
    ours, theirs = pair()
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    protocol = asyncio.StreamReaderProtocol(reader)
    (transport, _), client = await asyncio.gather(
        loop.connect_accepted_socket(lambda: protocol, ours, ssl=server_tls()),
        asyncio.open_connection(
            sock=theirs, limit=1 << 20, ssl=client_tls(), server_hostname="localhost"
        ),
    )
    return (reader, asyncio.StreamWriter(transport, protocol, reader, loop)), client


async def read(reader: asyncio.StreamReader, number: int) -> bytes:
    return await READS[number % len(READS)](reader, number)


async def exchange(
    make: Callable[[], Coroutine[Any, Any, tuple[Streams, Streams]]], todo: list[Operation]
) -> None:
    """Bytes in both directions, with reads and drains that are cancelled."""
    ends = await make()
    sent = [0, 0]
    reads = (Tasks(), Tasks())
    drains = Tasks()
    for name, number in todo:
        side = number % 2
        reader, writer = ends[side]
        match name:
            case "write":
                count = number * number * 150
                writer.write((PATTERN * 2)[sent[side] % len(PATTERN) :][:count])
                sent[side] += count
                drains.begin(writer.drain())
            case "read" | "read soon":
                if not reads[side].pending():  # one at a time may wait
                    call = read(reader, number // 2)
                    reads[side].begin(soon(call, number) if name == "read soon" else call)
            case "cancel":
                reads[side].cancel(0)
            case "cancel a drain":
                drains.cancel(number)
            case "turn":
                await asyncio.sleep(0 if number < 5 else 0.0005)
    for tasks in (*reads, drains):
        await tasks.end()

    async def rest(reader: asyncio.StreamReader, count: int) -> bytes:
        return await reader.readexactly(count)

    got = [b"".join(part for part, _ in tasks.succeeded()) for tasks in reads]
    parts = await asyncio.gather(
        *(rest(ends[side][0], sent[1 - side] - len(got[side])) for side in (0, 1))
    )
    for side in (0, 1):
        count = sent[1 - side]
        assert got[side] + parts[side] == (PATTERN * (count // len(PATTERN) + 1))[:count]
    for _, writer in ends:
        writer.close()
    for _, writer in ends:
        await writer.wait_closed()
    for reader, _ in ends:
        assert await reader.read() == b""


STREAM_OPERATIONS = operations(
    *("write", "write", "read", "read", "read soon", "cancel", "cancel a drain", "turn"), most=80
)


@BOTH
@EXAMPLES
@given(todo=STREAM_OPERATIONS)
def test_bytes_of_streams(library: ModuleType, todo: list[Operation]) -> None:
    drive(library, exchange(plain, todo))


@BOTH
@FEW
@given(todo=STREAM_OPERATIONS)
def test_bytes_over_tls(library: ModuleType, todo: list[Operation]) -> None:
    drive(library, exchange(over_tls, todo))
