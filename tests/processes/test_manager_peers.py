"""Remote managers, and plain Python at either end."""

from __future__ import annotations

import multiprocessing
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import managers as standard
from typing import Any

import pytest

import tress.multiprocessing as mp
from tests.processes.plain import line, program
from tests.threads.ordering import Runner
from tress.multiprocessing import managers

KEY = b"a key"

PLAIN_SERVER = """
import sys, threading
from multiprocessing.managers import SyncManager, DictProxy
class Manager(SyncManager):
    pass
shared = {"begin": 1}
Manager.register("get_dict", lambda: shared, DictProxy)
address, key = eval(sys.argv[1])
__import__("multiprocessing").current_process().authkey = key
server = Manager(address, key).get_server()
print(repr(server.address), flush=True)
def run():
    try:
        server.serve_forever()
    except SystemExit:
        pass
threading.Thread(target=run, daemon=True).start()
sys.stdin.read()
assert shared["mine"] == [1, 2], shared
"""

PLAIN_CLIENT = """
import sys
from multiprocessing.managers import SyncManager, DictProxy
class Manager(SyncManager):
    pass
Manager.register("get_dict", proxytype=DictProxy)
address, key = eval(sys.argv[1])
__import__("multiprocessing").current_process().authkey = key
manager = Manager(address, key)
manager.connect()
shared = manager.get_dict()
assert shared["begin"] == 1
shared["plain"] = list(range(1000))
assert list(iter(shared)) == ["begin", "nested", "plain"], list(shared)
assert shared["nested"][0] == "inside"
shared["nested"].append("from outside")
shared["another"] = manager.list(["mine"])
queue = manager.Queue()
queue.put(1)
assert queue.get() == 1
with manager.Lock():
    pass
try:
    shared["missing"]
except KeyError as error:
    assert error.args == ("missing",)
else:
    raise AssertionError
"""


class Remote(managers.SyncManager):
    """A client of servers that others run."""


Remote.register("get_dict", proxytype=managers.DictProxy)


class Served(managers.SyncManager):
    """A server for others."""


_served: dict[str, Any] = {}
Served.register("get_dict", lambda: _served, managers.DictProxy)


@pytest.fixture(autouse=True)
def _key() -> Iterator[None]:
    """A proxy that comes out of another object asks for it with the process's own key."""
    this = multiprocessing.current_process()
    before, this.authkey = this.authkey, KEY
    yield
    this.authkey = before


@pytest.fixture(params=["AF_UNIX", "AF_INET"])
def address(request: pytest.FixtureRequest) -> Any:
    return None if request.param == "AF_UNIX" else ("127.0.0.1", 0)


@contextmanager
def serving(address: Any) -> Iterator[Any]:
    """A server in this process, and a client of it."""
    server = Served(address, KEY).get_server()

    def serve() -> None:
        with pytest.raises(SystemExit):
            server.serve_forever()

    running = Runner(serve)
    client = Remote(server.address, KEY)
    client.connect()
    try:
        yield client
    finally:
        link = client._Client(server.address, authkey=KEY)
        managers.dispatch(link, None, "shutdown")
        link.close()
        running.result()


def test_a_plain_server(address: Any) -> None:
    with program(PLAIN_SERVER, repr((address, KEY))) as running:
        manager = Remote(eval(line(running)), KEY)
        manager.connect()
        shared: Any = manager.get_dict()
        assert type(shared) is managers.DictProxy
        assert shared["begin"] == 1
        shared["mine"] = [1, 2]
        shared["nested"] = manager.list(["inside"])
        nested = shared["nested"]
        assert nested[:] == ["inside"]
        assert list(iter(shared)) == ["begin", "mine", "nested"]
        assert isinstance(nested, standard.ListProxy)
        with pytest.raises(KeyError):
            shared["missing"]
        items = manager.Queue()
        items.put(b"x" * 1_000_000)
        assert len(items.get()) == 1_000_000
        del nested, items


def test_a_plain_client(address: Any) -> None:
    _served.clear()
    _served["begin"] = 1
    with serving(address) as client:
        shared = client.get_dict()
        shared["nested"] = client.list(["inside"])
        with program(PLAIN_CLIENT, repr((client.address, KEY))):
            pass
        assert shared["nested"][:] == ["inside", "from outside"]
        assert shared["plain"] == list(range(1000))
        assert shared["another"][:] == ["mine"]
        shared.clear()


def test_a_standard_manager_object_at_a_tress_server(address: Any) -> None:
    _served.clear()
    with serving(address) as client:
        plain = standard.SyncManager(client.address, KEY)
        plain.connect()
        items = plain.list([1])
        items.append(2)
        assert items[:] == [1, 2]
        assert type(items) is standard.ListProxy


def test_a_wrong_key_lets_nobody_in(address: Any) -> None:
    with serving(address) as client:
        wrong = managers.SyncManager(client.address, b"another")
        with pytest.raises(mp.AuthenticationError):
            wrong.connect()
        assert client.list([1])[:] == [1]


@pytest.mark.parametrize("head", [b"", b"\0", struct.pack("!i", -7), struct.pack("!iQ", -1, 2**63)])
@pytest.mark.parametrize("has_key", [False, True])
def test_a_malformed_request_closes_one_connection(head: bytes, has_key: bool) -> None:
    with serving(None) as client:
        items = client.list([1])
        if has_key:
            link = client._Client(client.address, authkey=KEY)
            managers.dispatch(link, None, "accept_connection", ("a name",))
            raw = socket.socket(fileno=link.fileno())
            link._detach() if hasattr(link, "_detach") else setattr(link, "_handle", None)
        else:
            raw = socket.socket(socket.AF_UNIX)
            raw.connect(client.address)
        with raw:
            raw.settimeout(30)
            raw.sendall(head)
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(1000):
                pass
        assert items[:] == [1]
        assert client.list([2])[:] == [2]


def test_requests_that_make_no_sense_are_answered(address: Any) -> None:
    with serving(address) as client:
        link = client._Client(client.address, authkey=KEY)
        managers.dispatch(link, None, "accept_connection", ("a name",))
        with link:
            requests: list[Any] = [1, (), ("no such", "name", (), {}), ("0", "name", (), {})]
            for request in requests:
                link.send(request)
                assert link.recv()[0] == "#TRACEBACK"
            link.send_bytes(b"no pickle")
            assert link.recv()[0] == "#TRACEBACK"
        assert client.list([2])[:] == [2]
