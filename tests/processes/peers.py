"""The other ends of connections: what runs in processes of tests, importable there."""

from __future__ import annotations

import os
import signal
from multiprocessing.connection import Connection as StandardConnection
from typing import Any, NoReturn

from tress.multiprocessing import connection


def echo(link: Any) -> None:
    """Sends back every object, until the other end is closed."""
    with link:
        while True:
            try:
                link.send(link.recv())
            except EOFError:
                return


def echo_bytes(link: Any) -> None:
    """Sends back every message, until the other end is closed."""
    with link:
        while True:
            try:
                link.send_bytes(link.recv_bytes())
            except EOFError:
                return


def kinds(link: Any) -> None:
    """Sends what its own end is."""
    with link:
        link.send((type(link).__module__, link.readable, link.writable))


def answer_through_what_comes(link: Any) -> None:
    """Receives connections, and sends through each."""
    with link:
        for number in range(link.recv()):
            with link.recv() as received:
                assert isinstance(received, StandardConnection)
                received.send((number, type(received).__module__))


def die_in_the_middle(link: Any) -> NoReturn:
    """Writes a part of a message, and is killed."""
    os.write(link.fileno(), b"\0\0\1\0torn")
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("killed")


def connect_and_echo(address: Any, authkey: bytes | None) -> None:
    """Connects, and sends back every object."""
    echo(connection.Client(address, authkey=authkey))
