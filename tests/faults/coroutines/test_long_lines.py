"""Lines and messages that are longer than a stream's limit, or end too early."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

import tress.asyncio
from tests.faults.coroutines.conftest import LIMIT_S, Run
from tests.faults.coroutines.ends import HOST, address, pair

LIMIT = 1000


async def stream(limit: int = LIMIT) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Any]:
    ours, theirs = pair()
    return (*await asyncio.open_connection(sock=ours, limit=limit), theirs)


async def close(writer: asyncio.StreamWriter, theirs: Any) -> None:
    theirs.close()
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("length", [LIMIT - 1, LIMIT, LIMIT + 1, 5 * LIMIT])
def test_readuntil(run: Run, length: int) -> None:
    """What is too long stays where it is, and can be read otherwise: nothing is lost."""

    async def scene() -> None:
        reader, writer, theirs = await stream()
        theirs.send(b"x" * length + b"\n" + b"next\n")
        if length <= LIMIT:
            assert await reader.readuntil() == b"x" * length + b"\n"
        else:
            for _ in range(2):
                with pytest.raises(asyncio.LimitOverrunError) as raised:
                    await reader.readuntil()
                assert "eparator is found, but chunk is longer than limit" in str(raised.value)
                assert raised.value.consumed == length
            assert await reader.readexactly(length + 1) == b"x" * length + b"\n"
        assert await reader.readuntil() == b"next\n"
        await close(writer, theirs)

    run(scene())


def test_readuntil_of_what_has_no_end_yet(run: Run) -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        reader, writer, theirs = await stream()
        await loop.sock_sendall(theirs, b"x" * 10 * LIMIT)
        with pytest.raises(asyncio.LimitOverrunError) as raised:
            await reader.readuntil(b"\r\n")
        assert "eparator is not found, and chunk exceed the limit" in str(raised.value)
        consumed = raised.value.consumed
        assert LIMIT < consumed <= 10 * LIMIT
        assert await reader.readexactly(consumed) == b"x" * consumed
        await loop.sock_sendall(theirs, b"\r\n")
        # One attempt for each piece that is too long again.
        rest = b""
        while not rest.endswith(b"\r\n"):
            try:
                rest += await reader.readuntil(b"\r\n")
            except asyncio.LimitOverrunError as error:
                rest += await reader.readexactly(error.consumed)
        assert rest == b"x" * (10 * LIMIT - consumed) + b"\r\n"
        await close(writer, theirs)

    run(scene())


def test_readline_drops_the_line_that_is_too_long(run: Run) -> None:
    """It alone: the next one is whole. With its end unseen, all that was there is dropped."""

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        reader, writer, theirs = await stream()
        await loop.sock_sendall(theirs, b"x" * 2 * LIMIT + b"\n" + b"next\n")
        with pytest.raises(ValueError, match="longer than limit"):
            await reader.readline()
        assert await reader.readline() == b"next\n"
        await loop.sock_sendall(theirs, b"x" * 3 * LIMIT)
        with pytest.raises(ValueError, match="exceed the limit"):
            await reader.readline()
        assert reader._buffer == b""  # type: ignore[attr-defined]
        await loop.sock_sendall(theirs, b"end of it\nnext\n")
        assert await reader.readline() == b"end of it\n"
        assert await reader.readline() == b"next\n"
        await close(writer, theirs)

    run(scene())


def test_a_line_without_end_holds_up_its_peer_only(run: Run) -> None:
    """A server is sent a line for ever: it keeps little of it, and serves others."""

    async def scene() -> None:
        failed = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                writer.write(await reader.readuntil())
            except asyncio.LimitOverrunError:
                assert len(reader._buffer) <= 2 * LIMIT + (1 << 18)  # type: ignore[attr-defined]
                failed.set()
            writer.close()

        async def flood() -> None:
            _, writer = await asyncio.open_connection(*address(server))
            try:
                while True:
                    writer.write(b"x" * 10_000)
                    await writer.drain()
            except ConnectionError:
                pass

        server = await asyncio.start_server(serve, HOST, 0, limit=LIMIT)
        flooding = asyncio.ensure_future(flood())
        reader, writer = await asyncio.open_connection(*address(server))
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        assert await reader.read() == b""
        await failed.wait()
        await flooding
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    run(scene())


def test_an_end_in_the_middle(run: Run) -> None:
    async def scene() -> None:
        reader, writer, theirs = await stream()
        theirs.send(b"line\npart")
        theirs.close()
        assert await reader.readline() == b"line\n"
        with pytest.raises(asyncio.IncompleteReadError) as exactly:
            await reader.readexactly(100)
        assert (exactly.value.partial, exactly.value.expected) == (b"part", 100)
        assert await reader.read() == b""
        with pytest.raises(asyncio.IncompleteReadError) as until:
            await reader.readuntil()
        assert until.value.partial == b""
        assert await reader.readline() == b""
        writer.close()
        await writer.wait_closed()

    run(scene())


LINES = st.lists(st.integers(0, 3 * LIMIT), max_size=15)


@pytest.mark.parametrize("library", [asyncio, tress.asyncio], ids=["standard", "tress"])
@settings(max_examples=40, deadline=None, database=None)
@given(lengths=LINES, cuts=st.lists(st.integers(1, 2 * LIMIT), min_size=1, max_size=10))
def test_any_lines(library: Any, lengths: list[int], cuts: list[int]) -> None:
    """Lines of any length, cut anyhow: each byte is read once, in order."""
    text = b"".join(bytes([65 + at]) * length + b"\n" for at, length in enumerate(lengths))

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        reader, writer, theirs = await stream()

        async def send() -> None:
            at = turn = 0
            while at < len(text):
                count = cuts[turn % len(cuts)]
                await loop.sock_sendall(theirs, text[at : at + count])
                at += count
                turn += 1
                if turn % 3 == 0:
                    await asyncio.sleep(0)
            theirs.close()

        sending = asyncio.ensure_future(send())
        read = b""
        while True:
            try:
                read += await reader.readuntil()
            except asyncio.LimitOverrunError as error:
                read += await reader.readexactly(error.consumed)
            except asyncio.IncompleteReadError as error:
                read += error.partial
                break
        await sending
        assert read == text
        writer.close()
        await writer.wait_closed()

    loop = library.SelectorEventLoop()
    try:
        loop.run_until_complete(asyncio.wait_for(scene(), LIMIT_S))
    finally:
        loop.close()
