"""Opening connections to addresses that are numbers: what comes of it, when, and what is left."""

from __future__ import annotations

import asyncio
import errno
import gc
import inspect
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.coroutines.recorder import Recorder
from tests.coroutines.turns import turn

HOSTS = {"127.0.0.1": socket.AF_INET, "::1": socket.AF_INET6}


@contextmanager
def listening(host: str, backlog: int = 8) -> Iterator[tuple[Any, ...]]:
    """The address of somebody who listens, and does not accept."""
    with socket.socket(HOSTS[host]) as listener:
        try:
            listener.bind((host, 0))
        except OSError:
            pytest.skip(f"{host} is no address here")
        listener.listen(backlog)
        yield listener.getsockname()


@contextmanager
def overcrowded() -> Iterator[tuple[Any, ...]]:
    """The address of somebody with whom a connection is begun, and not made."""
    with listening("127.0.0.1", 0) as where, socket.socket() as first:
        first.connect(where)
        yield where


def closed_port(host: str) -> int:
    """A port where nobody listens."""
    with listening(host) as where:
        port: int = where[1]
    return port


@pytest.fixture(autouse=True)
def _nothing_of_earlier_tests() -> None:
    """They may have left sockets to the collector, which would close them during this one."""
    gc.collect()


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def raised(loop: Any, coroutine: Any) -> OSError:
    """What the coroutine raises, which is an OSError."""
    try:
        loop.run_until_complete(coroutine)
    except OSError as error:
        return error
    raise AssertionError("it has raised nothing")


@pytest.mark.parametrize("host", HOSTS)
def test_the_socket_of_a_connection(loop: Any, host: str) -> None:
    async def scene(where: tuple[Any, ...]) -> None:
        transport, protocol = await loop.create_connection(Recorder, *where[:2])
        assert protocol.told == ["made"]
        assert protocol.transport is transport
        assert transport.get_extra_info("peername") == where
        sock = transport.get_extra_info("socket")
        assert (sock.family, sock.type, sock.proto) == (HOSTS[host], socket.SOCK_STREAM, 6)
        assert sock.gettimeout() == 0
        assert not os.get_blocking(sock.fileno())
        assert not os.get_inheritable(sock.fileno())
        transport.close()
        await protocol.lost

    with listening(host) as where:
        loop.run_until_complete(scene(where))


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_the_socket_of_what_is_accepted(loop: Any, family: socket.AddressFamily) -> None:
    host = next(host for host, its in HOSTS.items() if its == family)
    made: list[Any] = []

    class Keeps(Recorder):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            made.append(self)

    def check(sock: Any) -> None:
        assert (sock.family, sock.type, sock.proto) == (family, socket.SOCK_STREAM, 6)
        assert sock.gettimeout() == 0
        assert not os.get_blocking(sock.fileno())
        assert not os.get_inheritable(sock.fileno())

    async def scene() -> None:
        with listening(host):
            pass
        server = await loop.create_server(Keeps, host, 0)
        client = socket.create_connection(server.sockets[0].getsockname()[:2])
        while not made:
            await asyncio.sleep(0)
        check(made[0].transport.get_extra_info("socket"))
        assert made[0].transport.get_extra_info("peername") == client.getsockname()
        client.close()
        await made[0].lost
        server.close()
        with socket.create_server((host, 0), family=family) as listener:
            listener.setblocking(False)
            accepting = loop.create_task(loop.sock_accept(listener))
            await asyncio.sleep(0)
            with socket.create_connection(listener.getsockname()[:2]) as client:
                accepted, where = await accepting
                assert where == client.getsockname()
                with accepted:
                    assert (accepted.family, accepted.type) == (family, socket.SOCK_STREAM)
                    assert accepted.gettimeout() == 0
                    assert not os.get_blocking(accepted.fileno())

    loop.run_until_complete(scene())


@pytest.mark.parametrize("host", HOSTS)
def test_a_connection_that_is_refused(loop: Any, host: str) -> None:
    port = closed_port(host)
    where = (host, port) if host == "127.0.0.1" else (host, port, 0, 0)
    turn(loop)
    before = open_descriptors()
    error = raised(loop, loop.create_connection(Recorder, host, port))
    assert type(error) is ConnectionRefusedError
    assert error.errno == errno.ECONNREFUSED
    assert error.strerror == f"Connect call failed {where}"
    assert error.__cause__ is None
    assert error.__context__ is None
    del error
    with socket.socket(HOSTS[host]) as sock:
        sock.setblocking(False)
        error = raised(loop, loop.sock_connect(sock, (host, port)))
        assert type(error) is ConnectionRefusedError
        assert str(error) == f"[Errno {errno.ECONNREFUSED}] Connect call failed {where}"
        assert sock.fileno() >= 0
    assert open_descriptors() == before


def test_what_the_socket_raises_at_once(loop: Any) -> None:
    """TCP has no connections with many."""
    turn(loop)
    before = open_descriptors()
    error = raised(loop, loop.create_connection(Recorder, "255.255.255.255", 9))
    assert error.errno in (errno.ENETUNREACH, errno.EACCES, errno.EHOSTUNREACH)
    assert "Connect call failed" not in str(error)
    assert open_descriptors() == before


def test_in_which_turn_things_happen(loop: Any) -> None:
    """The kernel has connected them by the turn after the one in which it is asked."""
    happened: list[tuple[int, str]] = []
    turns = 0

    def note(what: str) -> None:
        happened.append((turns, what))

    class Tells(asyncio.Protocol):
        def __init__(self) -> None:
            note("protocol")
            loop.call_soon(note, "after the protocol")

        def connection_made(self, _: asyncio.BaseTransport) -> None:
            note("made")
            loop.call_soon(note, "after made")

    async def scene(where: tuple[Any, ...]) -> None:
        note("begin")
        loop.call_soon(note, "after begin")
        transport, _ = await loop.create_connection(Tells, *where)
        note("end")
        transport.abort()

    with listening("127.0.0.1") as where:
        connecting = loop.create_task(scene(where))
        while turns < 6:
            turn(loop)
            turns += 1
        assert connecting.done()
    assert happened == [
        (0, "begin"),
        (1, "after begin"),
        (2, "protocol"),
        (3, "after the protocol"),
        (3, "made"),
        (4, "after made"),
        (4, "end"),
    ]


def test_a_connection_that_is_cancelled_in_each_of_its_turns(loop: Any) -> None:
    def is_over_after(turns: int, where: tuple[Any, ...]) -> bool:
        connecting = loop.create_task(loop.create_connection(Recorder, *where))
        turn(loop, turns)
        if connecting.cancel():
            turn(loop)
            assert connecting.cancelled()
        else:
            connecting.result()[0].close()
        turn(loop, 2)
        return not connecting.cancelled()

    with listening("127.0.0.1", 64) as where:
        turn(loop)
        before = open_descriptors()
        turns = 0
        while not is_over_after(turns, where):
            assert open_descriptors() == before
            turns += 1
        assert open_descriptors() == before
        assert turns == 5


def test_a_connection_that_does_not_come(loop: Any) -> None:
    with overcrowded() as where:
        turn(loop)
        before = open_descriptors()

        async def scene() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(loop.create_connection(Recorder, *where), 0.05)
            await asyncio.sleep(0)

        loop.run_until_complete(scene())
        assert open_descriptors() == before


def test_connecting_that_is_cancelled_leaves_the_socket(loop: Any) -> None:
    async def scene(where: tuple[Any, ...]) -> None:
        with socket.socket() as sock:
            sock.setblocking(False)
            connecting = loop.create_task(loop.sock_connect(sock, where))
            for _ in range(3):
                await asyncio.sleep(0)
            assert not connecting.done()
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting
            await asyncio.sleep(0)
            assert sock.fileno() >= 0
            assert sock.fileno() not in loop._selector.get_map()

    with overcrowded() as where:
        loop.run_until_complete(scene(where))


def test_connecting_a_socket(loop: Any, tmp_path: Any) -> None:
    async def scene(where: Any, sock: socket.socket) -> None:
        with sock:
            sock.setblocking(False)
            assert await loop.sock_connect(sock, where) is None
            assert sock.getpeername() == where

    assert inspect.iscoroutinefunction(loop.sock_connect)
    with listening("127.0.0.1") as where:
        loop.run_until_complete(scene(where, socket.socket()))
    with listening("::1") as where:
        loop.run_until_complete(scene(where, socket.socket(socket.AF_INET6)))
    path = str(tmp_path / "listener")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        loop.run_until_complete(scene(path, socket.socket(socket.AF_UNIX)))


@pytest.mark.parametrize("address", [("127.0.0.1",), ("127.0.0.1", "x"), ("127.0.0.1", 1 << 16), 7])
def test_addresses_that_are_none(loop: Any, address: Any) -> None:
    with socket.socket() as sock:
        sock.setblocking(False)
        with pytest.raises((TypeError, ValueError, OverflowError, OSError)) as ours:
            loop.run_until_complete(loop.sock_connect(sock, address))
        standard = asyncio.SelectorEventLoop()
        with pytest.raises(ours.type) as theirs:
            standard.run_until_complete(standard.sock_connect(sock, address))
        standard.close()
    assert str(ours.value) == str(theirs.value)


def test_a_factory_that_raises(loop: Any) -> None:
    class WrongError(Exception):
        pass

    def make() -> Any:
        raise WrongError

    with listening("127.0.0.1") as where, pytest.raises(WrongError):
        loop.run_until_complete(loop.create_connection(make, *where))


def test_a_factory_that_raises_leaves_no_socket(own_loop: Any) -> None:
    turn(own_loop)
    with listening("127.0.0.1") as where:
        before = open_descriptors()
        with pytest.raises(ZeroDivisionError):
            own_loop.run_until_complete(own_loop.create_connection(lambda: 1 / 0, *where))
        assert open_descriptors() == before


def test_arguments_that_are_refused(loop: Any) -> None:
    connect = loop.create_connection
    for arguments, named, kind in (
        ((), {"server_hostname": "x"}, ValueError),
        ((), {"ssl_handshake_timeout": 0}, ValueError),
        ((), {"nothing": 1}, TypeError),
        ((1,), {}, TypeError),
    ):
        with pytest.raises(kind):
            loop.run_until_complete(connect(Recorder, "127.0.0.1", 1, *arguments, **named))
    with pytest.raises(ValueError, match="host and port was not specified"):
        loop.run_until_complete(connect(Recorder))


def test_what_is_told_of_the_function(loop: Any) -> None:
    connect = loop.create_connection
    assert inspect.iscoroutinefunction(connect)
    standard = inspect.signature(asyncio.SelectorEventLoop.create_connection)
    assert inspect.signature(type(loop).create_connection) == standard
    assert connect.__name__ == "create_connection"


@pytest.mark.parametrize("host", ["localhost", b"127.0.0.1", "127.1"])
def test_hosts_that_are_looked_up(loop: Any, host: Any) -> None:
    async def scene(port: int) -> None:
        transport, protocol = await loop.create_connection(
            Recorder, host, port, family=socket.AF_INET
        )
        assert transport.get_extra_info("peername") == ("127.0.0.1", port)
        transport.close()
        await protocol.lost

    with listening("127.0.0.1") as where:
        loop.run_until_complete(scene(where[1]))


@pytest.mark.parametrize("way", ["subclass", "instance"])
def test_a_method_of_the_programs_own_is_called(library: Any, way: str) -> None:
    called: list[Any] = []

    class Own(library.SelectorEventLoop):  # type: ignore[misc]
        async def sock_connect(self, sock: Any, address: Any) -> None:
            called.append(address)
            await super().sock_connect(sock, address)

    loop: Any = Own() if way == "subclass" else library.SelectorEventLoop()
    if way == "instance":
        before = loop.sock_connect

        async def connect(sock: Any, address: Any) -> None:
            called.append(address)
            await before(sock, address)

        loop.sock_connect = connect

    async def scene(where: tuple[Any, ...]) -> None:
        transport, protocol = await loop.create_connection(Recorder, *where)
        transport.close()
        await protocol.lost

    with listening("127.0.0.1") as where:
        loop.run_until_complete(scene(where))
        assert called == [where]
    loop.close()


def test_sockets_of_a_class_that_the_program_has_put_in_their_place(
    loop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Guarded(socket.socket):
        def connect(self, _: Any) -> None:
            raise PermissionError("no connections here")

    with listening("127.0.0.1") as where:
        monkeypatch.setattr(socket, "socket", Guarded)
        with pytest.raises(PermissionError, match="no connections here"):
            loop.run_until_complete(loop.create_connection(Recorder, *where))


def test_in_debug_mode(loop: Any) -> None:
    loop.set_debug(True)
    with socket.socket() as sock, pytest.raises(ValueError, match="must be non-blocking"):
        loop.run_until_complete(loop.sock_connect(sock, ("127.0.0.1", 1)))
