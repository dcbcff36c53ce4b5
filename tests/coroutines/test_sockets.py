"""The `sock_` methods of the loop: what they return and raise, who waits, and what is left."""

from __future__ import annotations

import array
import asyncio
import errno
import inspect
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

LONG = 4 << 20

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    yield ends
    for end in ends:
        end.close()


@pytest.fixture
def datagrams() -> Iterator[Pair]:
    ends = (socket.socket(type=socket.SOCK_DGRAM), socket.socket(type=socket.SOCK_DGRAM))
    for end in ends:
        end.setblocking(False)
        end.bind(("127.0.0.1", 0))
    yield ends
    for end in ends:
        end.close()


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_what_is_there_is_received_at_once(loop: Any, pair: Pair) -> None:
    ours, theirs = pair

    async def receive() -> list[Any]:
        theirs.send(b"0123456789")
        room = bytearray(3)
        got: list[Any] = [await loop.sock_recv(ours, 4)]
        got.append((await loop.sock_recv_into(ours, room), bytes(room)))
        got.append(await loop.sock_recv(ours, 1 << 20))
        got.append(await loop.sock_recv(ours, 0))
        theirs.close()
        got.append(await loop.sock_recv(ours, 4))
        got.append(await loop.sock_recv_into(ours, room))
        return got

    coroutine = receive()
    with pytest.raises(StopIteration) as ended:
        coroutine.send(None)
    assert ended.value.value == [b"0123", (3, b"456"), b"789", b"", b"", 0]


@pytest.mark.parametrize("size", [1, 1000, 64 * 1024, 64 * 1024 + 1, 1 << 20])
def test_what_comes_later_is_waited_for(loop: Any, pair: Pair, size: int) -> None:
    ours, theirs = pair

    async def main() -> None:
        receiving = loop.create_task(loop.sock_recv(ours, size))
        await turns()
        assert not receiving.done()
        theirs.send(b"x")
        assert await receiving == b"x"
        room = bytearray(size)
        into = loop.create_task(loop.sock_recv_into(ours, room))
        await turns()
        assert not into.done()
        theirs.send(b"y")
        assert await into == 1
        assert room[:1] == b"y"

    loop.run_until_complete(main())


@pytest.mark.parametrize(
    "kind", [bytes, bytearray, memoryview, lambda data: array.array("B", data)]
)
def test_all_is_sent_through_a_full_socket(loop: Any, pair: Pair, kind: Any) -> None:
    ours, theirs = pair
    data = os.urandom(LONG)

    async def main() -> bytes:
        sending = loop.create_task(loop.sock_sendall(ours, kind(data)))
        await turns()
        assert not sending.done()
        received = bytearray()
        while len(received) < LONG:
            received += await loop.sock_recv(theirs, 100_000)
        assert await sending is None
        return bytes(received)

    assert loop.run_until_complete(main()) == data


def test_what_is_being_sent_keeps_its_place(loop: Any, pair: Pair) -> None:
    ours, _ = pair
    data = bytearray(LONG)

    async def main() -> None:
        sending = loop.create_task(loop.sock_sendall(ours, data))
        await turns()
        with pytest.raises(BufferError):
            data.clear()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending

    loop.run_until_complete(main())
    data.clear()


def test_both_directions_of_a_socket_at_once(loop: Any, pair: Pair) -> None:
    ours, theirs = pair
    data = os.urandom(LONG)

    async def send_and_receive(end: socket.socket) -> bytes:
        sending = loop.create_task(loop.sock_sendall(end, data))
        received = bytearray()
        while len(received) < LONG:
            received += await loop.sock_recv(end, 1 << 20)
        await sending
        return bytes(received)

    async def main() -> Any:
        return await asyncio.gather(send_and_receive(ours), send_and_receive(theirs))

    assert loop.run_until_complete(main()) == [data, data]
    assert not loop.remove_reader(ours)
    assert not loop.remove_writer(ours)


def test_datagrams(loop: Any, datagrams: Pair) -> None:
    ours, theirs = datagrams

    async def main() -> None:
        room = bytearray(10)
        receiving = loop.create_task(loop.sock_recvfrom(theirs, 100))
        await turns()
        assert await loop.sock_sendto(ours, b"one", theirs.getsockname()) == 3
        assert await receiving == (b"one", ours.getsockname())
        for wanted, limits in ((4, ()), (2, (2,))):
            into = loop.create_task(loop.sock_recvfrom_into(theirs, room, *limits))
            await turns()
            await loop.sock_sendto(ours, b"more", theirs.getsockname())
            assert await into == (wanted, ours.getsockname())
            assert room[:wanted] == b"more"[:wanted]

    loop.run_until_complete(main())


def test_connections_are_accepted(loop: Any) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.setblocking(False)
            accepting = loop.create_task(loop.sock_accept(server))
            await turns()
            with socket.socket() as client:
                client.setblocking(False)
                await loop.sock_connect(client, server.getsockname())
                connection, address = await accepting
                with connection:
                    assert address == client.getsockname()
                    assert connection.gettimeout() == 0
                    await loop.sock_sendall(client, b"hello")
                    assert await loop.sock_recv(connection, 100) == b"hello"

    loop.run_until_complete(main())


def test_errors(loop: Any, pair: Pair) -> None:
    ours, theirs = pair
    closed = socket.socket()
    closed.close()

    async def main() -> list[str]:
        calls = [
            loop.sock_recv(ours, -1),
            loop.sock_recv(ours, "1"),
            loop.sock_recv(closed, 1),
            loop.sock_recv_into(ours, b"read-only"),
            loop.sock_recv_into(closed, bytearray(1)),
            loop.sock_sendall(ours, "text"),
            loop.sock_sendall(ours, memoryview(b"abcd")[::2]),
            loop.sock_sendall(closed, b"x"),
            loop.sock_accept(ours),
        ]
        told = await asyncio.gather(*calls, return_exceptions=True)
        theirs.close()
        try:
            await loop.sock_sendall(ours, b"x")
        except OSError as error:
            told.append(error)
        return [f"{type(one).__name__}: {one}" for one in told]

    told = loop.run_until_complete(main())
    assert [one.split(":")[0] for one in told] == [
        "ValueError",
        "TypeError",
        "OSError",
        "TypeError",
        "OSError",
        "TypeError",
        "BufferError",
        "OSError",
        "OSError",
        "BrokenPipeError",
    ]
    assert told[0] == "ValueError: negative buffersize in recv"
    assert told[5] == "TypeError: a bytes-like object is required, not 'str'"
    assert told[7] == f"OSError: [Errno {errno.EBADF}] {os.strerror(errno.EBADF)}"


def test_the_other_side_resets(loop: Any) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
            client.connect(server.getsockname())
            client.setblocking(False)
            connection, _ = server.accept()
            receiving = loop.create_task(loop.sock_recv(client, 10))
            await turns()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
            with pytest.raises(ConnectionResetError):
                await receiving

    loop.run_until_complete(main())


@pytest.mark.parametrize("debug", [False, True])
def test_what_is_refused_while_a_connection_has_the_socket(
    loop: Any, pair: Pair, debug: bool
) -> None:
    loop.set_debug(debug)
    ours, _theirs = pair

    async def main() -> None:
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        for call in (loop.sock_recv(ours, 1), loop.sock_accept(ours)):
            with pytest.raises((RuntimeError, OSError)):
                await call
        transport.close()
        await turns()

    loop.run_until_complete(main())


def test_in_debug_mode_a_socket_that_blocks_is_refused(loop: Any, pair: Pair) -> None:
    loop.set_debug(True)
    pair[0].setblocking(True)
    with pytest.raises(ValueError, match="must be non-blocking"):
        loop.run_until_complete(loop.sock_recv(pair[0], 1))


def test_a_cancelled_call_has_taken_nothing(own_loop: Any, pair: Pair) -> None:
    """Not even in the turn in which the bytes have come: the standard library's loses them then."""
    ours, theirs = pair

    async def main() -> bytes:
        receiving = own_loop.create_task(own_loop.sock_recv(ours, 10))
        await turns()
        theirs.send(b"kept")
        own_loop.call_soon(lambda: own_loop.call_soon(receiving.cancel))
        with pytest.raises(asyncio.CancelledError):
            await receiving
        received: bytes = await own_loop.sock_recv(ours, 10)
        return received

    assert own_loop.run_until_complete(main()) == b"kept"


def test_who_has_been_cancelled_waits_no_more(loop: Any, pair: Pair) -> None:
    ours, _ = pair

    async def main() -> None:
        receiving = loop.create_task(loop.sock_recv(ours, 10))
        await turns()
        receiving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await receiving
        await turns()
        assert not loop.remove_reader(ours)

    loop.run_until_complete(main())


def test_a_closed_socket_that_lives_on_elsewhere_wakes_nobody(own_loop: Any, pair: Pair) -> None:
    ours, theirs = pair
    copy = os.dup(ours.fileno())

    async def main() -> None:
        receiving = own_loop.create_task(own_loop.sock_recv(ours, 1))
        await turns()
        theirs.send(b"x")
        assert await receiving == b"x"
        number = ours.fileno()
        ours.close()
        theirs.send(b"nobody reads this")
        assert number not in own_loop._watched()
        # Another socket has the number, and is told of its own alone.
        again = [end.detach() for end in socket.socketpair()]
        if again[0] != number:
            os.dup2(again[0], number)
            os.close(again[0])
        with socket.socket(fileno=number) as same, socket.socket(fileno=again[1]) as other:
            same.setblocking(False)
            receiving = own_loop.create_task(own_loop.sock_recv(same, 10))
            await turns()
            assert not receiving.done()
            other.send(b"own")
            assert await receiving == b"own"

    own_loop.run_until_complete(main())
    os.close(copy)


def test_a_reader_in_the_place_of_one_who_waits(loop: Any, pair: Pair) -> None:
    ours, theirs = pair
    told: list[str] = []

    async def main() -> None:
        receiving = loop.create_task(loop.sock_recv(ours, 1))
        await turns()
        seen = loop.create_future()

        def read() -> None:
            told.append("reader")
            loop.remove_reader(ours)
            seen.set_result(None)

        loop.add_reader(ours, read)
        theirs.send(b"x")
        await seen
        assert not receiving.done()
        receiving.cancel()
        await asyncio.wait([receiving])

    loop.run_until_complete(main())
    assert told == ["reader"]


def test_a_reader_beside_one_who_waits_to_write(loop: Any, pair: Pair) -> None:
    ours, theirs = pair

    async def main() -> tuple[int, int]:
        told = 0
        sending = loop.create_task(loop.sock_sendall(ours, bytes(LONG)))
        await turns()

        def read() -> None:
            nonlocal told
            told += len(ours.recv(1))

        loop.add_reader(ours, read)
        received = 0
        for _ in range(3):
            theirs.send(b"x")
            received += len(await loop.sock_recv(theirs, 1 << 20))
        while received < LONG:
            received += len(await loop.sock_recv(theirs, 1 << 20))
        await sending
        theirs.send(b"x")
        while told < 4:
            await asyncio.sleep(0)
        loop.remove_reader(ours)
        return told, received

    assert loop.run_until_complete(main()) == (4, LONG)


def test_a_subclass_of_a_socket_has_its_own_methods_called(loop: Any) -> None:
    class Counting(socket.socket):
        calls = 0

        def recv(self, *args: Any) -> bytes:
            self.calls += 1
            return super().recv(*args)

    ends = socket.socketpair()
    ours = Counting(fileno=ends[0].detach())
    with ours, ends[1]:
        ours.setblocking(False)
        ends[1].send(b"x")
        assert loop.run_until_complete(loop.sock_recv(ours, 1)) == b"x"
        assert ours.calls == 1


def test_the_loop_is_closed_while_one_waits(loop: Any, pair: Pair) -> None:
    receiving = loop.create_task(loop.sock_recv(pair[0], 1))
    loop.run_until_complete(turns())
    receiving._log_destroy_pending = False
    loop.close()
    coroutine = receiving.get_coro()
    del receiving
    coroutine.close()


def test_they_are_coroutine_functions(loop: Any) -> None:
    for name in ("recv", "recv_into", "recvfrom", "recvfrom_into", "sendall", "sendto", "accept"):
        assert inspect.iscoroutinefunction(getattr(loop, f"sock_{name}"))
