"""The ends of connections: making and resetting them, and who writes down what they tell."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

CERTIFICATE = Path(__file__).resolve().parents[3] / "programs/coroutines/_certificate.pem"
"""For "localhost", with its key."""

HOST = "127.0.0.1"


def descriptors() -> dict[int, str]:
    """The open descriptors of this process, and what each is of."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # the one of the listing itself
            continue
    return found


def resident_bytes() -> int:
    """How much memory of this process is in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@cache
def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


@cache
def client_tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(CERTIFICATE))


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected unix sockets that do not block."""
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    return ends


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected TCP sockets that do not block: these can be reset."""
    with socket.create_server((HOST, 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    for end in (ours, theirs):
        end.setblocking(False)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ours, theirs


def reset_when_closed(end: Any) -> None:
    """The other end is told of a reset, not of an end."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def reset(end: socket.socket) -> None:
    """Close it, as a reset."""
    reset_when_closed(end)
    end.close()


def address(server: Any) -> tuple[str, int]:
    """Where a server of one socket listens."""
    found: tuple[str, int] = server.sockets[0].getsockname()
    return found


class Recorder(asyncio.Protocol):
    """Writes down what it is told, and how many bytes came."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.received = 0
        self.data = bytearray()
        self.keeps_data = True
        self.transport: Any = None
        self.lost: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        self._changed = asyncio.Event()

    def tell(self, what: str) -> None:
        self.told.append(what)
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until it is true; it is looked at whenever this is told something."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.tell("made")

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if self.keeps_data:
            self.data += data
        if self.told[-1] != "data":
            self.told.append("data")
        self._changed.set()

    def eof_received(self) -> bool | None:
        self.tell("eof")
        return None

    def pause_writing(self) -> None:
        self.tell("pause")

    def resume_writing(self) -> None:
        self.tell("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.tell("lost")
        self.lost.set_result(exc)


class StaysOpen(Recorder):
    """Goes on writing after the other end has ended its own."""

    def eof_received(self) -> bool:
        self.tell("eof")
        return True


async def connect(
    kind: type[Recorder] = Recorder, ends: tuple[socket.socket, socket.socket] | None = None
) -> tuple[Any, Any, socket.socket]:
    """A transport, its protocol, and the socket at the other end."""
    ours, theirs = ends or pair()
    transport, protocol = await asyncio.get_running_loop().create_connection(kind, sock=ours)
    return transport, protocol, theirs
