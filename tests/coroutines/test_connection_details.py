"""What is known of a connection: its addresses, its socket, and the context it is served in."""

from __future__ import annotations

import asyncio
import contextvars
import socket
from typing import Any

import pytest

from tests.coroutines.conftest import on_both
from tests.coroutines.recorder import Recorder
from tests.coroutines.test_connections import connect

HOST = "127.0.0.1"
FAMILIES = {socket.AF_INET: HOST, socket.AF_INET6: "::1"}


async def accepted(loop: Any, host: str, family: int, **options: Any) -> tuple[Any, Any, Any, Any]:
    """A server, its end of a connection, the protocol of that, and the client."""
    made: list[Recorder] = []

    def make() -> Recorder:
        made.append(Recorder())
        return made[-1]

    server = await loop.create_server(make, host, 0, family=family, **options)
    client = socket.create_connection(server.sockets[0].getsockname()[:2])
    while not made or "made" not in made[0].told:
        await asyncio.sleep(0)
    return server, made[0].transport, made[0], client


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_addresses_of_both_ends(family: socket.AddressFamily, loop: Any) -> None:
    async def scene() -> None:
        try:
            server, transport, protocol, client = await accepted(loop, FAMILIES[family], family)
        except OSError:
            pytest.skip(f"no {family.name} here")
        for _ in range(2):
            assert transport.get_extra_info("peername") == client.getsockname()
            assert transport.get_extra_info("sockname", "nothing") == client.getpeername()
            assert transport.get_extra_info(name="socket").family == family
        assert transport._extra["peername"] == client.getsockname()
        assert transport.get_extra_info("socket") is transport.get_extra_info("socket")
        assert transport.get_extra_info("nothing") is None
        assert transport.get_extra_info("nothing", 1) == 1
        client.close()
        await protocol.lost
        server.close()

    loop.run_until_complete(scene())


def test_the_addresses_of_a_connection_that_is_lost(loop: Any) -> None:
    """They are those that it had."""

    async def scene() -> None:
        server, transport, protocol, client = await accepted(loop, HOST, socket.AF_INET)
        there = client.getsockname()
        client.close()
        await protocol.lost
        await asyncio.sleep(0)
        assert transport.get_extra_info("peername") == there
        assert transport.get_extra_info("sockname") == server.sockets[0].getsockname()
        assert transport.get_extra_info("socket").fileno() == -1
        server.close()

    loop.run_until_complete(scene())


@on_both
async def test_what_a_protocol_adds_is_told() -> None:
    transport, protocol, theirs = await connect()
    transport._extra["own"] = 1
    assert transport.get_extra_info("own") == 1
    transport._extra["peername"] = "elsewhere"
    assert transport.get_extra_info("peername") == "elsewhere"
    assert transport._sock is not None
    assert transport._server is None
    assert transport._protocol_connected
    transport.abort()
    await protocol.lost
    assert transport._sock is None
    theirs.close()


def test_small_pieces_are_not_delayed(loop: Any) -> None:
    async def scene() -> None:
        server, transport, protocol, client = await accepted(loop, HOST, socket.AF_INET)
        end = transport.get_extra_info("socket")
        assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        client.close()
        await protocol.lost
        server.close()

    loop.run_until_complete(scene())


def test_small_pieces_are_not_delayed_by_a_listener_that_names_no_protocol(own_loop: Any) -> None:
    """The standard library looks whether the socket's `proto` says TCP; the kernel knows better."""

    async def scene() -> None:
        made = own_loop.create_future()

        class Told(asyncio.Protocol):
            def connection_made(self, transport: Any) -> None:
                made.set_result(transport)

        listener = socket.socket()
        listener.bind((HOST, 0))
        server = await own_loop.create_server(Told, sock=listener)
        with socket.create_connection(listener.getsockname()):
            transport = await made
            end = transport.get_extra_info("socket")
            assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
            transport.abort()
        server.close()

    own_loop.run_until_complete(scene())


def test_each_connection_is_served_in_a_context_of_its_own(loop: Any) -> None:
    mark: contextvars.ContextVar[int] = contextvars.ContextVar("mark", default=0)
    told: list[tuple[int, int]] = []

    class Marking(asyncio.Protocol):
        def __init__(self) -> None:
            assert mark.get() == 0
            mark.set(len(told) + 1)

        def connection_made(self, transport: Any) -> None:
            self.number = mark.get()
            told.append((self.number, mark.get()))

        def data_received(self, data: bytes) -> None:
            told.append((self.number, mark.get()))

    async def scene() -> None:
        server = await loop.create_server(Marking, HOST, 0)
        clients = []
        for count in range(3):
            clients.append(socket.create_connection(server.sockets[0].getsockname()))
            while len(told) <= count:
                await asyncio.sleep(0)
        for client in clients:
            client.send(b"data")
        while len(told) < 6:
            await asyncio.sleep(0)
        assert told[:3] == [(1, 1), (2, 2), (3, 3)]
        assert sorted(told[3:]) == told[:3]
        assert mark.get() == 0
        for client in clients:
            client.close()
        server.close()

    loop.run_until_complete(scene())


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_factory_that_raises_costs_its_connection(loop: Any, contexts: Any) -> None:
    attempts: list[Recorder | None] = []

    def make() -> Recorder:
        attempts.append(None if not attempts else Recorder())
        made = attempts[-1]
        if made is None:
            raise ValueError("no protocol")
        return made

    async def scene() -> None:
        server = await loop.create_server(make, HOST, 0)
        where = server.sockets[0].getsockname()
        with socket.create_connection(where) as first:
            first.setblocking(False)
            assert await loop.sock_recv(first, 1) == b""
        with socket.create_connection(where) as second:
            second.send(b"data")
            while len(attempts) < 2:
                await asyncio.sleep(0)
            protocol = attempts[1]
            assert protocol is not None
            await protocol.until(lambda: protocol.data == b"data")
        await protocol.lost
        server.close()

    loop.run_until_complete(asyncio.wait_for(scene(), 100))
    assert contexts == []
