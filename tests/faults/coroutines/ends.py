"""The ends of connections: making and resetting them, and who writes down what they tell."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from functools import cache
from pathlib import Path
from typing import Any

from tests.coroutines import recorder

CERTIFICATE = Path(__file__).resolve().parents[3] / "programs/coroutines/_certificate.pem"
"""For "localhost", with its key."""

HOST = "127.0.0.1"


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


class Recorder(recorder.Recorder):
    """Counts what comes, which may be much, and notes it once for all that comes in a row."""

    keeps_data = True

    def __init__(self) -> None:
        super().__init__()
        self.received = 0

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if self.keeps_data:
            self.data += data
        if self.told[-1] != "data":
            self.told.append("data")
        self.changed.set()


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
