"""Small pieces written in one of the loop's calls go out together, once that is a habit."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.coroutines.conftest import Test
from tests.coroutines.recorder import Recorder
from tests.coroutines.test_connections import connect

SMALL = b"piece"
LARGE = b"x" * (20 << 10)
# Longer than bytes are held back.
TOO_LONG_S = 0.005


def there(theirs: socket.socket) -> bytes:
    """What has arrived."""
    try:
        return theirs.recv(1 << 20)
    except BlockingIOError:
        return b""


async def in_habit(kind: type[Recorder] = Recorder) -> tuple[Any, Any, socket.socket]:
    """A connection that gathers, and what it has written so far received."""
    transport, protocol, theirs = await connect(kind)
    for _ in range(2):
        transport.write(SMALL)
        transport.write(SMALL)
        assert there(theirs) == 2 * SMALL  # not yet
        await asyncio.sleep(0)
    return transport, protocol, theirs


async def end(transport: Any, protocol: Any, theirs: socket.socket) -> None:
    """Close it."""
    transport.abort()
    await protocol.lost
    theirs.close()


# A machine that stalls within a call breaks the habit of the connection; hardly so often in a row.
ATTEMPTS = 20


def run(loop: Any, test: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
    """Run the test, on a new connection each time, until it has not been held up."""
    for attempt in range(ATTEMPTS):
        try:
            loop.run_until_complete(asyncio.wait_for(test(*arguments), 100))
        except AssertionError:
            if attempt == ATTEMPTS - 1:
                raise
        else:
            return


def on_ours(test: Test) -> Callable[[Any], None]:
    """The test of a coroutine, on tress's loop."""
    return lambda own_loop: run(own_loop, test)


@on_ours
async def test_a_call_s_pieces_go_out_when_it_ends() -> None:
    transport, protocol, theirs = await in_habit()
    transport.write(SMALL)
    transport.writelines([b"and", b"", bytearray(b"others")])
    assert there(theirs) == b""
    await asyncio.sleep(0)
    assert there(theirs) == SMALL + b"andothers"
    transport.writelines([SMALL, SMALL])
    assert there(theirs) == b""
    await asyncio.sleep(0)
    assert there(theirs) == 2 * SMALL
    await end(transport, protocol, theirs)


@on_ours
async def test_one_piece_in_each_call_is_no_habit() -> None:
    transport, protocol, theirs = await connect()
    for _ in range(5):
        transport.write(SMALL)
        assert there(theirs) == SMALL
        await asyncio.sleep(0)
    await end(transport, protocol, theirs)


@on_ours
async def test_a_large_piece_and_a_full_buffer_go_out_at_once() -> None:
    transport, protocol, theirs = await in_habit()
    transport.write(LARGE)
    assert there(theirs) == LARGE
    transport.write(SMALL)
    transport.write(LARGE)
    assert there(theirs) == SMALL + LARGE
    transport.set_write_buffer_limits(high=8)
    transport.write(SMALL)
    transport.write(SMALL)
    assert there(theirs) == 2 * SMALL
    assert "pause" not in protocol.told
    await end(transport, protocol, theirs)


LOOKS: dict[str, Callable[[Any], Any]] = {
    "get_write_buffer_size": lambda transport: transport.get_write_buffer_size(),
    "repr": repr,
    "close": lambda transport: transport.close(),
    "abort": lambda transport: transport.abort(),
    "write_eof": lambda transport: transport.write_eof(),
    "the buffer": lambda transport: len(transport._buffer),
}


@pytest.mark.parametrize("look", LOOKS)
def test_whoever_looks_finds_it_written(look: str, own_loop: Any) -> None:
    async def scene() -> None:
        transport, protocol, theirs = await in_habit()
        transport.write(SMALL)
        transport.write(SMALL)
        LOOKS[look](transport)
        assert there(theirs) == 2 * SMALL
        await end(transport, protocol, theirs)

    run(own_loop, scene)


@on_ours
async def test_a_call_that_takes_long_is_the_last_to_hold_back() -> None:
    transport, protocol, theirs = await in_habit()
    transport.write(SMALL)
    held_since = time.monotonic()
    while time.monotonic() - held_since < TOO_LONG_S:
        pass
    await asyncio.sleep(0)
    assert there(theirs) == SMALL
    for _ in range(5):
        for _ in range(2):
            transport.write(SMALL)
            assert there(theirs) == SMALL
        await asyncio.sleep(0)
    await end(transport, protocol, theirs)


@on_ours
async def test_pieces_between_long_computations_are_not_gathered() -> None:
    transport, protocol, theirs = await connect()
    for _ in range(4):
        for _ in range(2):
            transport.write(SMALL)
            assert there(theirs) == SMALL
            written_at = time.monotonic()
            while time.monotonic() - written_at < TOO_LONG_S:
                pass
        await asyncio.sleep(0)
    await end(transport, protocol, theirs)


@pytest.mark.parametrize("close", ["close", "abort", "write_eof", "nothing"])
def test_what_fails_is_lost_once(close: str, own_loop: Any) -> None:
    async def scene() -> None:
        transport, protocol, theirs = await in_habit()
        theirs.close()
        transport.write(SMALL)
        transport.write(SMALL)
        if close != "nothing":
            getattr(transport, close)()
        assert isinstance(await protocol.lost, BrokenPipeError)
        await asyncio.sleep(0)
        assert protocol.told.count("lost") == 1
        assert transport.get_write_buffer_size() == 0

    run(own_loop, scene)


def test_what_does_not_fit_is_written_when_there_is_room(own_loop: Any) -> None:
    async def scene() -> None:
        transport, protocol, theirs = await in_habit()
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        transport.set_write_buffer_limits(high=1 << 20)
        written = received = b""
        for index in range(50):
            for _ in range(3):
                piece = bytes([index]) * 3000
                written += piece
                transport.write(piece)
            await asyncio.sleep(0)
        assert transport.get_write_buffer_size() > 0
        transport.close()
        while part := await own_loop.sock_recv(theirs, 1 << 20):
            received += part
        assert received == written
        assert await protocol.lost is None
        theirs.close()

    run(own_loop, scene)


def test_what_ends_the_loop_ends_the_call(own_loop: Any) -> None:
    """It is written all the same."""
    transport, protocol, theirs = own_loop.run_until_complete(in_habit())
    held: list[bytes] = []

    def interrupted() -> None:
        transport.write(SMALL)
        held.append(there(theirs))
        raise KeyboardInterrupt

    own_loop.call_soon(interrupted)
    with pytest.raises(KeyboardInterrupt):
        own_loop.run_forever()
    assert there(theirs) == SMALL or held == [SMALL]
    transport.write(SMALL)  # outside of the loop's calls
    assert there(theirs) == SMALL
    own_loop.run_until_complete(end(transport, protocol, theirs))


def test_a_turn_within_the_call_writes_first(own_loop: Any) -> None:
    async def scene() -> None:
        transport, protocol, theirs = await in_habit()
        transport.write(SMALL)
        own_loop._selector.select(0)
        assert there(theirs) == SMALL
        await end(transport, protocol, theirs)

    run(own_loop, scene)
