"""Listener and Client: who is let in, and plain Python at the other end."""

from __future__ import annotations

import gc
import os
import pickle
import socket
import struct
import threading
import uuid
from collections.abc import Callable, Iterator
from multiprocessing import connection as standard, forkserver, resource_tracker
from pathlib import Path
from typing import Any

import pytest

import tress.multiprocessing as mp
from tests.processes import peers
from tests.processes.jobs import BOUND_S
from tests.processes.plain import line, program
from tests.threads.ordering import Runner
from tress.multiprocessing import connection

pytestmark = pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")

KEY = b"a key"
FAMILIES = ["AF_UNIX", "AF_INET", "abstract"]


@pytest.fixture(params=FAMILIES)
def listening(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What makes a listener of each family."""
    if request.param == "abstract":
        return {"address": f"\0tress-{uuid.uuid4().hex}"}
    return {"family": request.param}


@pytest.fixture(params=[None, KEY], ids=["open", "key"])
def key(request: pytest.FixtureRequest) -> bytes | None:
    given: bytes | None = request.param
    return given


@pytest.fixture(autouse=True)
def _leaves_no_descriptor() -> Iterator[None]:
    resource_tracker.ensure_running()
    forkserver.ensure_running()
    before = len(os.listdir("/proc/self/fd"))
    yield
    # The frames of a test that has caught something.
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_both_ends(listening: dict[str, Any], key: bytes | None) -> None:
    with connection.Listener(**listening, authkey=key) as listener:
        assert isinstance(listener, standard.Listener)
        accepting = Runner(listener.accept)
        with connection.Client(listener.address, authkey=key) as client, accepting.result() as end:
            for link in (client, end):
                assert type(link) is connection.Connection
            client.send({"a": 1})
            assert end.recv() == {"a": 1}
            end.send_bytes(b"b")
            assert client.recv_bytes() == b"b"
        if listening.get("family") == "AF_INET":
            assert listener.last_accepted
            assert listener.last_accepted[0] == "127.0.0.1"
    with pytest.raises(OSError, match="listener is closed"):
        listener.accept()


def test_the_socket_goes_with_its_listener() -> None:
    listener = connection.Listener(family="AF_UNIX")
    address: Any = listener.address
    assert Path(address).is_socket()
    assert Path(address).parent.stat().st_mode & 0o077 == 0
    listener.close()
    listener.close()
    assert not Path(address).exists()
    with pytest.raises(FileNotFoundError):
        connection.Client(address)


def test_errors_are_the_standard_ones() -> None:
    def refused(module: Any, *arguments: object, **options: object) -> tuple[type, str]:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - compared
            module(*arguments, **options)
        return caught.type, str(caught.value)

    for name, arguments, options in (
        ("Listener", (), {"family": "AF_PIPE"}),
        ("Listener", (5,), {}),
        ("Listener", (), {"authkey": "text"}),
        ("Client", (5,), {}),
        ("Client", ("x",), {"family": "AF_PIPE"}),
        ("Client", (("localhost", 1),), {}),
        ("Client", ("/nowhere/at/all",), {}),
    ):
        ours, theirs = getattr(connection, name), getattr(standard, name)
        assert refused(ours, *arguments, **options) == refused(theirs, *arguments, **options)


def test_a_wrong_key(listening: dict[str, Any]) -> None:
    with connection.Listener(**listening, authkey=KEY) as listener:
        accepting = Runner(listener.accept)
        with pytest.raises(mp.AuthenticationError):
            connection.Client(listener.address, authkey=b"another")
        with pytest.raises(mp.AuthenticationError):
            accepting.result()
        # It is as good as new for the next one.
        accepting = Runner(listener.accept)
        with connection.Client(listener.address, authkey=KEY), accepting.result():
            pass
        with pytest.raises(TypeError, match="authkey should be a byte string"):
            connection.Client(listener.address, authkey="text")  # type: ignore[arg-type]


def _connected(address: Any) -> socket.socket:
    link = socket.socket(socket.AF_UNIX)
    link.connect(address)
    return link


class _Bomb:
    def __reduce__(self) -> Any:
        return _explode, ()


exploded = threading.Event()


def _explode() -> None:
    exploded.set()


@pytest.mark.parametrize(
    "frame",
    [
        pickle.dumps(_Bomb()),
        b"",
        b"x" * 256,
        b"#CHALLENGE#" + b"y" * 20,
    ],
    ids=["pickle", "nothing", "text", "challenge"],
)
def test_nothing_is_unpickled_without_the_key(frame: bytes) -> None:
    with connection.Listener(family="AF_UNIX", authkey=KEY) as listener:
        accepting = Runner(listener.accept)
        with _connected(listener.address) as link:
            link.sendall((struct.pack("!i", len(frame)) + frame) * 3)
            with pytest.raises(mp.AuthenticationError):
                accepting.result()
    assert not exploded.is_set()


@pytest.mark.parametrize(
    "head", [struct.pack("!i", 257), struct.pack("!i", -5), struct.pack("!iQ", -1, 2**63)]
)
def test_a_malformed_answer_to_the_challenge(head: bytes) -> None:
    with connection.Listener(family="AF_UNIX", authkey=KEY) as listener:
        accepting = Runner(listener.accept)
        with _connected(listener.address) as link:
            link.sendall(head + bytes(300))
            with pytest.raises(OSError, match="bad message length"):
                accepting.result()


def test_processes_connect(ctx: Any, start: Callable[..., Any], key: bytes | None) -> None:
    with connection.Listener(family="AF_INET", authkey=key) as listener:
        start(peers.connect_and_echo, listener.address, key)
        with Runner(listener.accept).result() as link:
            link.send([1, "two"])
            assert link.recv() == [1, "two"]


PLAIN_CLIENT = """
import sys
from multiprocessing.connection import Client
address, key = eval(sys.argv[1])
with Client(address, authkey=key) as link:
    while (value := link.recv()) is not None:
        link.send([value])
    link.send_bytes(link.recv_bytes())
"""

PLAIN_LISTENER = """
import sys
from multiprocessing.connection import Listener
options, key = eval(sys.argv[1])
with Listener(**options, authkey=key) as listener:
    print(repr(listener.address), flush=True)
    with listener.accept() as link:
        while (value := link.recv()) is not None:
            link.send([value])
        link.send_bytes(link.recv_bytes())
"""

LARGE = bytes(3_000_000)


def talk(link: Any) -> None:
    for value in (1, "two", {"three": [4.0]}, LARGE):
        link.send(value)
        assert link.poll(BOUND_S)
        assert link.recv() == [value]
    link.send(None)
    sending = Runner(link.send_bytes, LARGE)
    assert link.recv_bytes() == LARGE
    sending.result()


def test_a_plain_client(listening: dict[str, Any], key: bytes | None) -> None:
    with (
        connection.Listener(**listening, authkey=key) as listener,
        program(PLAIN_CLIENT, repr((listener.address, key))),
        Runner(listener.accept).result() as link,
    ):
        talk(link)


def test_a_plain_listener(listening: dict[str, Any], key: bytes | None) -> None:
    with program(PLAIN_LISTENER, repr((listening, key))) as running:
        address = eval(line(running))
        with connection.Client(address, authkey=key) as link:
            talk(link)


def test_xml_connections() -> None:
    module: Any = connection
    with module.XmlListener(family="AF_UNIX") as listener:
        accepting = Runner(listener.accept)
        client = module.XmlClient(listener.address)
        accepted = accepting.result()
        client.send([1, "two"])
        assert accepted.recv() == [1, "two"]
        client.close()
        accepted.close()
