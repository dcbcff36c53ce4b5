"""No descriptor is left: what fails says so, what runs goes on, and a listener recovers."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import resource
import socket
import sys
import uuid
from asyncio import constants
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest

from tests.faults.coroutines.conftest import Run
from tests.faults.coroutines.ends import HOST, Recorder, address, connect
from tests.faults.coroutines.turning import quiet
from tests.faults.resources import descriptors

CLIENTS = 20
RETRY_S = 0.02
"""Instead of the second after which the standard library's listener tries again."""


@contextmanager
def exhausted(spare: int = 0) -> Iterator[None]:
    """Meanwhile, this process can open so many descriptors more and no other."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(descriptors()) + 1 + spare, before[1]))
    try:
        while True:
            try:
                taken.append(os.open(os.devnull, os.O_RDONLY))
            except OSError as error:
                if error.errno != errno.EMFILE:
                    raise
                break
        for _ in range(spare):
            os.close(taken.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for fd in taken:
            os.close(fd)


@pytest.fixture(autouse=True)
def _tries_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ACCEPT_RETRY_DELAY", RETRY_S)


class Greeting(Recorder):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.write(b"hello")


async def serve(make: Callable[[], Greeting]) -> Any:
    """A server that tries to accept two at a time.

    With the usual backlog the standard library reports a hundred errors each time that it tries,
    and tries a hundred times more for it.
    """
    listener = socket.create_server((HOST, 0))
    server = await asyncio.get_running_loop().create_server(make, sock=listener, backlog=1)
    listener.listen(100)
    return server


async def greeted(client: socket.socket) -> None:
    assert await asyncio.get_running_loop().sock_recv(client, 10) == b"hello"


async def clients_of(server: Any, count: int) -> list[socket.socket]:
    """Connected, as far as the kernel goes: nobody has accepted them yet."""
    clients = [socket.create_connection(address(server)) for _ in range(count)]
    for client in clients:
        client.setblocking(False)
    return clients


@pytest.mark.parametrize("spare", [0, 1, 7])
def test_a_listener_recovers(run: Run, told: list[dict[str, Any]], spare: int) -> None:
    """It accepts as many as it can, says what is amiss, and all the others later."""

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        made: list[Greeting] = []

        def make() -> Greeting:
            made.append(Greeting())
            return made[-1]

        server = await serve(make)
        transport, protocol, theirs = await connect()  # which goes on as if nothing were
        clients = await clients_of(server, CLIENTS)
        with exhausted(spare):
            while not told:
                await asyncio.sleep(0)
            for _ in range(3):  # it tries again, and again in vain
                count = len(told)
                while len(told) == count:
                    transport.write(b"x")
                    assert await loop.sock_recv(theirs, 1) == b"x"
                    await asyncio.sleep(0)
            assert len(made) == spare
        await asyncio.gather(*(greeted(client) for client in clients))
        assert len(made) == CLIENTS
        assert {context["message"] for context in told} == {
            "socket.accept() out of system resource"
        }
        assert {context["exception"].errno for context in told} == {errno.EMFILE}
        told.clear()
        for client in clients:
            client.close()
        assert [await protocol.lost for protocol in made] == [None] * CLIENTS
        transport.close()
        await protocol.lost
        theirs.close()
        server.close()
        await server.wait_closed()

    run(scene())


def test_a_server_that_is_closed_before_it_tries_again(
    run: Run, told: list[dict[str, Any]]
) -> None:
    """Nothing is accepted afterwards, and the loop goes on."""

    async def scene() -> None:
        server = await serve(Greeting)
        clients = await clients_of(server, 2)
        with exhausted():
            while not told:
                await asyncio.sleep(0)
            server.close()
            await quiet()
        await server.wait_closed()
        await asyncio.sleep(2 * RETRY_S)
        loop = asyncio.get_running_loop()
        for client in clients:
            with pytest.raises(ConnectionResetError):
                await loop.sock_recv(client, 1)
            client.close()
        told.clear()

    run(scene())


def test_sock_accept(run: Run) -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server((HOST, 0)) as listener:
            listener.setblocking(False)
            client = socket.create_connection(listener.getsockname())
            with exhausted(), pytest.raises(OSError, match="Too many open files"):
                await loop.sock_accept(listener)
            ours, _ = await loop.sock_accept(listener)
            ours.close()
            client.close()

    run(scene())


async def connect_tcp(where: tuple[str, int]) -> None:
    _, writer = await asyncio.open_connection(*where)
    writer.close()
    await writer.wait_closed()


async def listen(_: object) -> None:
    server = await asyncio.start_unix_server(lambda *_: None, f"\0{uuid.uuid4()}")
    server.close()
    await server.wait_closed()


async def datagrams(_: object) -> None:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, (HOST, 0)
    )
    transport.close()


async def run_a_process(_: object) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-S", "-c", "print('hello')"), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert out == b"hello\n"


@pytest.mark.parametrize("attempt", [connect_tcp, listen, datagrams, run_a_process])
def test_what_wants_one_more(run: Run, attempt: Callable[[Any], Any]) -> None:
    """Short of each of those that it wants, it raises OSError, and leaves nothing open."""

    async def scene() -> None:
        listener = socket.create_server((HOST, 0))  # which accepts nobody
        before = descriptors()
        for spare in range(20):
            try:
                with exhausted(spare):
                    await attempt(listener.getsockname())
                break
            except OSError as error:
                shortage = error.errno
            assert shortage == errno.EMFILE
            await quiet()
            assert descriptors() == before
        assert spare > 0
        listener.close()

    run(scene())


def test_a_new_loop(library: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """At each of the descriptors that it wants; what was opened before is closed."""
    # A loop that was never whole cannot be closed, and says so when it is collected.
    ignored: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda about: ignored.append(str(about.exc_value)))
    for spare in range(3):
        with exhausted(spare), pytest.raises(OSError, match="Too many open files"):
            library.SelectorEventLoop()
        gc.collect()
    library.SelectorEventLoop().close()
    assert all("has no attribute '_ssock'" in text for text in ignored)
