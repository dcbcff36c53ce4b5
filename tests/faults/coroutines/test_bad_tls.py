"""TLS that is none, that ends in the middle, or never comes: an error for that connection only."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

import tress.asyncio
from tests.faults.coroutines.conftest import LIMIT_S, Run
from tests.faults.coroutines.ends import (
    HOST,
    Recorder,
    address,
    client_tls,
    connect,
    server_tls,
    tcp_pair,
)
from tests.faults.coroutines.turning import quiet

TLS: dict[str, Any] = {"server_hostname": "localhost"}


def client_hello() -> bytes:
    """The first message of a handshake."""
    outgoing = ssl.MemoryBIO()
    session = client_tls().wrap_bio(ssl.MemoryBIO(), outgoing, **TLS)
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


HELLO = client_hello()

NOT_TLS = {
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "zeros": bytes(1000),
    "noise": random.Random(1).randbytes(5000),
    "an oversized record": b"\x16\x03\x01\xff\xff" + bytes(70_000),
    "an alert": b"\x15\x03\x01\x00\x02\x02\x28",
    "data before any handshake": b"\x17\x03\x03\x00\x10" + bytes(16),
    "a hello with another length": HELLO[:7] + b"\xff" + HELLO[8:] + HELLO,
    "a hello twice": HELLO + HELLO,
    "a truncated hello": HELLO[:-1],
    "one byte": b"\x16",
    "nothing": b"",
}


async def serve(**options: Any) -> tuple[Any, list[Recorder]]:
    made: list[Recorder] = []

    def make() -> Recorder:
        made.append(Recorder())
        return made[-1]

    loop = asyncio.get_running_loop()
    return await loop.create_server(make, HOST, 0, ssl=server_tls(), **options), made


async def still_serves(server: Any, made: list[Recorder]) -> None:
    """A good connection after all of them. Closes the server."""
    count = len(made)
    reader, writer = await asyncio.open_connection(*address(server), ssl=client_tls(), **TLS)
    writer.write(b"well")
    await writer.drain()
    while len(made) == count or made[count].received < 4:
        await asyncio.sleep(0)
    writer.close()
    await writer.wait_closed()
    assert await made[count].lost is None
    assert await reader.read() == b""
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("ends", [True, False], ids=["and ends", "and waits"])
@pytest.mark.parametrize("text", NOT_TLS.values(), ids=NOT_TLS)
def test_a_server_gets(run: Run, text: bytes, ends: bool) -> None:
    """No protocol hears of it; the connection is closed, at the latest by the timeout.

    The server goes on: with good ones, or where these have no time either, with the next bad one.
    """

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        server, made = await serve(ssl_handshake_timeout=None if ends else 0.05)
        for count in (1, 2):
            client = socket.create_connection(address(server))
            client.setblocking(False)
            await loop.sock_sendall(client, text)
            if ends:
                client.shutdown(socket.SHUT_WR)
            try:
                while await loop.sock_recv(client, 1 << 16):  # an alert, perhaps
                    pass
            except ConnectionResetError:
                pass
            client.close()
            await quiet()
            assert [protocol.told for protocol in made] == [[]] * count
        if ends:
            await still_serves(server, made)
        else:
            server.close()
            await server.wait_closed()

    run(scene())


def drop_what_is_no_error(told: list[dict[str, Any]]) -> None:
    """What the standard library tells of a handshake that failed for another reason."""
    told[:] = [
        context
        for context in told
        if not isinstance(context.get("exception"), ssl.SSLError | ConnectionError)
    ]


@pytest.mark.parametrize("text", NOT_TLS.values(), ids=NOT_TLS)
def test_a_client_gets(run: Run, text: bytes) -> None:
    """An error from what makes the connection."""

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server((HOST, 0)) as listener:
            listener.setblocking(False)
            task = asyncio.ensure_future(
                asyncio.open_connection(
                    *listener.getsockname(), ssl=client_tls(), ssl_handshake_timeout=5, **TLS
                )
            )
            end, _ = await loop.sock_accept(listener)
            await loop.sock_recv(end, 1 << 16)
            await loop.sock_sendall(end, text)
            end.close()
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await task

    run(scene())


def test_a_handshake_that_never_goes_on(run: Run) -> None:
    async def scene() -> None:
        ours, theirs = tcp_pair()
        with pytest.raises(ConnectionAbortedError, match="SSL handshake is taking longer"):
            await asyncio.open_connection(
                sock=ours, ssl=client_tls(), ssl_handshake_timeout=0.05, **TLS
            )
        await quiet()
        assert theirs.recv(1 << 16)[:1] == b"\x16"
        theirs.close()

    run(scene())


def test_a_certificate_that_is_not_trusted(run: Run, told: list[dict[str, Any]]) -> None:
    async def scene() -> None:
        server, made = await serve()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(
                *address(server), ssl=ssl.create_default_context(), server_hostname="localhost"
            )
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(
                *address(server), ssl=client_tls(), server_hostname="example.org"
            )
        await still_serves(server, made)

    run(scene())
    drop_what_is_no_error(told)


async def established() -> tuple[Any, Recorder, ssl.SSLObject, ssl.MemoryBIO, socket.socket]:
    """A server's transport over TLS, and a client whose records can be tampered with."""
    loop = asyncio.get_running_loop()
    ours, theirs = tcp_pair()
    accepting = asyncio.ensure_future(
        loop.connect_accepted_socket(Recorder, ours, ssl=server_tls())
    )
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = client_tls().wrap_bio(incoming, outgoing, **TLS)
    while True:
        try:
            session.do_handshake()
            break
        except ssl.SSLWantReadError:
            await loop.sock_sendall(theirs, outgoing.read())
            incoming.write(await loop.sock_recv(theirs, 1 << 16))
    await loop.sock_sendall(theirs, outgoing.read())
    transport, protocol = await accepting
    return transport, protocol, session, outgoing, theirs


Tampering = Callable[[bytes], bytes]
TAMPERINGS: dict[str, tuple[Tampering, bool]] = {
    "a bit is turned": (lambda record: record[:-1] + bytes([record[-1] ^ 1]), False),
    "its length is another": (
        lambda record: record[:4] + bytes([record[4] ^ 0x55]) + record[5:],
        False,
    ),
    "it comes twice": (lambda record: record + record, True),
    "noise comes after it": (lambda record: record + random.Random(2).randbytes(2000), True),
    "plain text comes instead": (lambda _: b"plain text, not a record of TLS at all", False),
}
"""What is done to a record, and whether it itself is still good."""


@pytest.mark.parametrize(("tamper", "is_good"), TAMPERINGS.values(), ids=TAMPERINGS)
def test_a_record_in_the_middle(
    run: Run, told: list[dict[str, Any]], tamper: Tampering, is_good: bool
) -> None:
    """What was read before it is delivered, nothing after it; then the connection is lost."""
    more = b"tampered with" * 100

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        _, protocol, session, outgoing, theirs = await established()
        session.write(b"good")
        await loop.sock_sendall(theirs, outgoing.read())
        await protocol.until(lambda: protocol.received == 4)
        session.write(more)
        await loop.sock_sendall(theirs, tamper(outgoing.read()))
        theirs.shutdown(socket.SHUT_WR)
        error = await protocol.lost
        assert error is None or isinstance(error, ssl.SSLError), error
        # A good record that is read together with the bad one may be lost with it.
        assert bytes(protocol.data) in (b"good", b"good" + more if is_good else b"good")
        assert protocol.told[-1] == "lost"
        theirs.close()
        await quiet()

    run(scene())
    drop_what_is_no_error(told)


@pytest.mark.parametrize("cut", [0, 1, 5, 50])
def test_a_stream_that_is_cut(run: Run, told: list[dict[str, Any]], cut: int) -> None:
    """Without a goodbye, or in the middle of a record: the end of the stream, no data of it."""

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        _, protocol, session, outgoing, theirs = await established()
        session.write(b"good")
        await loop.sock_sendall(theirs, outgoing.read())
        session.write(b"never whole" * 10)
        await loop.sock_sendall(theirs, outgoing.read()[:cut])
        theirs.close()
        await protocol.lost
        assert bytes(protocol.data) == b"good"
        assert protocol.told in (["made", "data", "eof", "lost"], ["made", "data", "lost"])

    run(scene())
    drop_what_is_no_error(told)


@settings(max_examples=60, deadline=None, database=None)
@given(
    at=st.integers(0, len(HELLO) - 1),
    bits=st.integers(1, 255),
    rest=st.binary(max_size=100),
    cut=st.integers(0, 100),
)
def test_any_hello(at: int, bits: int, rest: bytes, cut: int) -> None:
    """Whatever is changed of it, the loop lives, and nothing but TLS's errors is told."""
    text = HELLO[:at] + bytes([HELLO[at] ^ bits]) + HELLO[at + 1 :]
    text = text[: len(text) - cut] + rest
    told: list[dict[str, Any]] = []

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = tcp_pair()
        accepting = asyncio.ensure_future(
            loop.connect_accepted_socket(Recorder, ours, ssl=server_tls())
        )
        await loop.sock_sendall(theirs, text)
        theirs.shutdown(socket.SHUT_WR)
        try:
            while await loop.sock_recv(theirs, 1 << 16):
                pass
        except ConnectionResetError:
            pass
        theirs.close()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await accepting

    loop: Any = tress.asyncio.EventLoop()
    loop.set_exception_handler(lambda _, context: told.append(context))
    try:
        loop.run_until_complete(asyncio.wait_for(scene(), LIMIT_S))
    finally:
        loop.close()
    drop_what_is_no_error(told)
    assert told == []


def test_a_plain_connection_that_is_made_one_of_tls(run: Run) -> None:
    """`start_tls` against a peer that goes on in plain text: SSLError, and the end of both."""

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol, theirs = await connect(ends=tcp_pair())
        task = asyncio.ensure_future(loop.start_tls(transport, protocol, client_tls(), **TLS))
        await loop.sock_recv(theirs, 1 << 16)
        await loop.sock_sendall(theirs, b"220 plain text goes on\r\n")
        with pytest.raises(ssl.SSLError):
            await task
        await quiet()
        assert transport.is_closing()
        theirs.close()

    run(scene())
