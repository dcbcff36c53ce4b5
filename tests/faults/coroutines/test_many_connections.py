"""Twenty thousand connections at once on one loop, with their other ends in other processes.

Fewer where the hard limit of descriptors (`ulimit -Hn`) does not allow them.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.coroutines.conftest import Run
from tests.faults.coroutines.ends import HOST, Recorder, address
from tests.faults.resources import descriptors

CROWD = Path(__file__).with_name("crowd.py")
CROWDS = 2
"""Processes that the other ends are in."""

SPARE = 200
"""Descriptors that this process wants beside them."""

_SOFT, _HARD = resource.getrlimit(resource.RLIMIT_NOFILE)
CONNECTIONS = 20_000 if _HARD == resource.RLIM_INFINITY else min(20_000, _HARD - SPARE)

pytestmark = pytest.mark.bound(120 + CONNECTIONS / 200)


@pytest.fixture(autouse=True)
def _may_have_many_descriptors() -> Iterator[None]:
    if CONNECTIONS < 1_000:
        pytest.skip(f"the hard limit of descriptors is {_HARD}: ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(_SOFT, CONNECTIONS + SPARE), _HARD))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (_SOFT, _HARD))


class Greeting(Recorder):
    """Greets, and sends back what comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.write(b"here")

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.transport.write(data)


async def begin(port: int, count: int, first: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, str(CROWD), str(port), str(count), str(first)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


async def all_say(crowds: list[asyncio.subprocess.Process], what: str) -> None:
    for crowd in crowds:
        assert crowd.stdout
        assert await crowd.stdout.readline() == f"{what}\n".encode()


def tell(crowds: list[asyncio.subprocess.Process]) -> None:
    for crowd in crowds:
        assert crowd.stdin
        crowd.stdin.write(b"\n")


def test_all_at_once(own_loop: Any, run_ours: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is greeted, answered, and lost once; the listener is as good as before."""
    monkeypatch.setattr("tests.faults.coroutines.conftest.LIMIT_S", 100 + CONNECTIONS / 200)

    async def scene() -> None:
        made: list[Greeting] = []

        def make() -> Greeting:
            made.append(Greeting())
            return made[-1]

        server = await own_loop.create_server(make, HOST, 0, backlog=1000)
        before = descriptors()
        each = CONNECTIONS // CROWDS
        crowds = [await begin(address(server)[1], each, at * each) for at in range(CROWDS)]
        await all_say(crowds, "connected")
        assert len(made) == each * CROWDS
        assert all(protocol.told == ["made"] for protocol in made)
        assert len(descriptors()) >= len(before) + each * CROWDS
        tell(crowds)
        await all_say(crowds, "answered")
        numbers = sorted(int.from_bytes(protocol.data, sys.byteorder) for protocol in made)
        assert numbers == list(range(each * CROWDS))
        assert {protocol.received for protocol in made} == {8}
        tell(crowds)
        await all_say(crowds, "closed")
        for protocol in made:
            error = await protocol.lost
            number = int.from_bytes(protocol.data, sys.byteorder)
            assert isinstance(error, ConnectionResetError) if number % 2 else error is None
            assert protocol.told.count("lost") == 1
        for crowd in crowds:
            assert await crowd.wait() == 0
        reader, writer = await asyncio.open_connection(*address(server))
        assert await reader.readexactly(4) == b"here"
        writer.close()
        await writer.wait_closed()
        assert await made[-1].lost is None
        server.close()
        await server.wait_closed()

    run_ours(scene())
