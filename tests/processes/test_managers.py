"""Managers: every kind of object, proxies, and what becomes of them when a process is killed."""

from __future__ import annotations

import os
import pickle
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping, MutableSequence
from multiprocessing import managers as standard
from pathlib import Path
from typing import Any, cast

import pytest

import tress.multiprocessing as mp
from tests.processes import clients
from tests.processes.jobs import BOUND_S
from tests.threads.ordering import Runner, until
from tress.multiprocessing import connection, managers

pytestmark = pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")

Start = Callable[..., Any]


@pytest.fixture
def manager(ctx: Any) -> Iterator[Any]:
    with ctx.Manager() as running:
        yield running


@pytest.fixture
def forked() -> Iterator[Any]:
    """A manager for tests to which it is all one how it was started."""
    with mp.get_context("fork").Manager() as running:
        yield running


def test_what_they_are(manager: Any) -> None:
    assert type(manager) is managers.SyncManager
    assert isinstance(manager, standard.SyncManager)
    shared = manager.dict()
    assert type(shared) is managers.DictProxy
    for base in (standard.DictProxy, standard.BaseProxy, managers.BaseProxy):
        assert isinstance(shared, base)
    if sys.version_info >= (3, 14):
        assert isinstance(shared, MutableMapping)
        assert isinstance(manager.list(), MutableSequence)
    assert repr(shared).startswith("<DictProxy object, typeid 'dict' at 0x")
    assert str(shared) == "{}"


def test_containers(manager: Any) -> None:
    shared = manager.dict({"a": 1}, b=2)
    shared["c"] = [3]
    assert (shared["c"], len(shared), "a" in shared, sorted(shared.keys())) == (
        [3],
        3,
        True,
        ["a", "b", "c"],
    )
    assert sorted(iter(shared)) == ["a", "b", "c"]
    assert shared.pop("a") == 1
    assert dict(shared.items()) == shared.copy() == {"b": 2, "c": [3]}
    with pytest.raises(KeyError) as missing:
        shared["a"]
    assert missing.value.args == ("a",)
    items = manager.list(range(3))
    items += [7]
    items.extend("x")
    items[0] = None
    assert items[:] == [None, 1, 2, 7, "x"]
    items.sort(key=str)
    assert items[-1] == "x"
    numbers = manager.Array("i", [1, 2, 3])
    numbers[1] = 5
    assert (list(numbers), len(numbers)) == ([1, 5, 3], 3)
    value = manager.Value("d", 1.5)
    value.value += 1
    assert value.value == value.get() == 2.5
    space = manager.Namespace(x=1)
    space.y = [2]
    del space.x
    assert space.y == [2]
    assert str(space) == "Namespace(y=[2])"
    with pytest.raises(AttributeError):
        space.x  # noqa: B018 - it raises


@pytest.mark.skipif(sys.version_info < (3, 14), reason="a name of 3.14")
def test_sets(manager: Any) -> None:
    shared = manager.set([1, 2])
    shared.add(3)
    shared |= {4}
    assert {0, *shared} == {0, 1, 2, 3, 4}
    assert shared & {1, 9} == {1}


def test_locks_and_queues(manager: Any) -> None:
    for name in ("Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition"):
        lock = getattr(manager, name)()
        with lock:
            if name in ("Lock", "Semaphore"):
                assert Runner(lock.acquire, False).result() is False
        assert lock.acquire()
        lock.release()
    condition, event = manager.Condition(), manager.Event()
    barrier = manager.Barrier(2)
    meeting = Runner(barrier.wait)
    barrier.wait()
    meeting.result()
    assert (barrier.parties, barrier.broken) == (2, False)
    assert event.wait(0.01) is False
    waiting = Runner(event.wait, BOUND_S)
    event.set()
    assert waiting.result() is True
    with condition:
        assert condition.wait(0.01) is False
    items = manager.Queue(1)
    items.put("one")
    with pytest.raises(queue.Full):
        items.put("two", timeout=0.01)
    assert items.get() == "one"
    with pytest.raises(queue.Empty):
        items.get(block=False)
    joinable = manager.JoinableQueue()
    joinable.put(1)
    joinable.get()
    joinable.task_done()
    joinable.join()


def test_a_pool(forked: Any) -> None:
    with forked.Pool(2) as pool:
        assert pool.map(abs, [-1, -2]) == [1, 2]
        assert pool.apply_async(abs, (-3,)).get(BOUND_S) == 3
        assert sorted(pool.imap_unordered(abs, [-4, 5])) == [4, 5]


def test_processes_share(manager: Any, start: Start) -> None:
    shared, items = manager.dict(), manager.list()
    processes = [start(clients.fill, shared, number * 10, 10) for number in range(3)]
    processes.append(start(clients.append, items, shared))
    for process in processes:
        process.join(BOUND_S)
        assert process.exitcode == 0
    assert shared.copy() == {number: number * 2 for number in range(30)}
    assert items[0].copy() == shared.copy()
    assert type(items[0]) is managers.DictProxy


def test_nested_proxies(manager: Any) -> None:
    outer, inner = manager.list(), manager.dict(a=1)
    outer.append(inner)
    del inner
    outer[0]["b"] = 2
    assert outer[0].copy() == {"a": 1, "b": 2}
    before = manager._number_of_objects()
    outer.append(manager.list([outer]))
    assert outer[1][0][0]["a"] == 1
    del outer
    until(lambda: manager._number_of_objects() < before, "what nobody has is gone")


def test_a_pickled_proxy_is_a_standard_one_where_there_is_no_tress(forked: Any) -> None:
    for proxy in (forked.list([1]), forked.Queue()):
        pickled = pickle.dumps(proxy)
        again: Any = pickle.loads(pickled)
        assert isinstance(again, managers.BaseProxy)
        assert again._token.id == proxy._token.id
        ours = sys.modules.pop("tress.multiprocessing.managers")
        try:
            plain = pickle.loads(pickled)
        finally:
            sys.modules[ours.__name__] = ours
        assert isinstance(plain, standard.BaseProxy)
        assert not isinstance(plain, managers.BaseProxy)
        call: Any = plain._callmethod
        assert call("__str__") == proxy._callmethod("__str__")


def test_errors(forked: Any) -> None:
    shared = forked.dict()
    with pytest.raises(managers.RemoteError, match="not in exposed"):
        shared._callmethod("no_such_method")
    with pytest.raises(TypeError):
        shared.update(1, 2)
    with pytest.raises((pickle.PicklingError, AttributeError)):
        shared["key"] = lambda: None
    with pytest.raises(managers.RemoteError, match="unrecognized"):
        managers.dispatch(forked._Client(forked.address, authkey=forked._authkey), None, "eval")
    assert shared.copy() == {}
    items = forked.list([1])
    with pytest.raises(IndexError):
        items[5]
    with pytest.raises(TypeError, match=r"reversed|pickle"):
        items.append(threading.Lock())
    assert forked._debug_info().count("refcount=1") == 2
    for error in (AssertionError, mp.ProcessError):
        with pytest.raises(error):
            (forked.start if error is mp.ProcessError else managers.SyncManager().list)()


def test_states(ctx: Any) -> None:
    manager = managers.SyncManager(ctx=ctx)
    manager.start()
    assert manager.dict(a=1)["a"] == 1
    with pytest.raises(mp.ProcessError, match="Already started"):
        manager.get_server()
    process = manager._process
    manager.shutdown()
    assert process.exitcode == 0
    with pytest.raises(mp.ProcessError, match="shut down"):
        manager.get_server()
    with pytest.raises(TypeError, match="callable"):
        managers.SyncManager(ctx=ctx).start(initializer=cast(Any, 1))


def test_programs_register_their_own(ctx: Any) -> None:
    with clients.Manager(ctx=ctx) as manager:
        counter = manager.Counter(1)
        assert counter.add(2) == 3
        assert counter.child().add(1) == 4
        assert not hasattr(counter, "_hidden")
        with pytest.raises(LookupError, match="on purpose"):
            counter.fail()
        with pytest.raises(managers.RemoteError, match="Unserializable"):
            counter.lambda_()
        assert counter.add(0) == 3
        again: Any = pickle.loads(pickle.dumps(counter))
        assert again.add(1) == 4
        named = manager.Named()
        assert type(named) is clients.CounterProxy
        assert named.add_twice(2) == 4
    assert "Counter" not in managers.SyncManager._registry


def test_shared_memory(ctx: Any) -> None:
    with managers.SharedMemoryManager(ctx=ctx) as manager:
        assert isinstance(manager, standard.SharedMemoryManager)
        block = manager.SharedMemory(100)
        names = [block.name, manager.ShareableList([1, 2]).shm.name]
        assert all(Path("/dev/shm", name).exists() for name in names)
        block.close()
    assert not any(Path("/dev/shm", name).exists() for name in names)


def test_a_killed_client_harms_nobody(manager: Any, ctx: Any, start: Start) -> None:
    shared, items = manager.dict(), manager.Queue()
    receiver, sender = ctx.Pipe(duplex=False)
    with receiver, sender:
        for call, thing in ((clients.call_for_ever, shared), (clients.get_for_ever, items)):
            for _ in range(3):
                start(call, thing, sender)
                assert receiver.poll(BOUND_S)
                os.kill(receiver.recv(), signal.SIGKILL)
    assert shared["before"] == 1
    shared["after"] = 2
    assert shared["after"] == 2


def test_a_killed_server_is_an_error(ctx: Any) -> None:
    manager = ctx.Manager()
    shared, items = manager.dict(), manager.Queue()
    shared["key"] = 1
    waiting = Runner(items.get)
    until(waiting.is_blocked, "it waits")
    os.kill(manager._process.pid, signal.SIGKILL)
    with pytest.raises((EOFError, ConnectionError)):
        waiting.result()
    for _ in range(2):
        with pytest.raises((EOFError, OSError)):
            shared["key"] = 2
    manager.shutdown()


def test_a_server_ends_with_its_owner(ctx: Any, start: Start) -> None:
    receiver, sender = ctx.Pipe(duplex=False)
    with receiver, sender:
        owner = start(clients.own_a_manager, ctx.get_start_method(), sender)
        assert receiver.poll(BOUND_S)
        server, address = receiver.recv()
    watched = os.pidfd_open(server)
    try:
        os.kill(owner.pid, signal.SIGKILL)
        assert mp.connection.wait([watched], BOUND_S) == [watched]
    finally:
        os.close(watched)
    assert not Path(address).exists()


def test_an_interrupted_call_takes_no_answer_of_the_next(forked: Any) -> None:
    items, shared = forked.Queue(), forked.dict(key=1)
    main = threading.main_thread().ident or 0

    def interrupt() -> None:
        import tress

        until(lambda: any(wait.thread_ident == main for wait in tress.waits()), "it waits")
        signal.pthread_kill(main, signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        helper = Runner(interrupt)
        with pytest.raises(KeyboardInterrupt):
            items.get()
        helper.result()
    finally:
        signal.signal(signal.SIGINT, before)
    items.put("late")
    assert shared["key"] == 1


def test_threads_have_connections_of_their_own(forked: Any) -> None:
    shared = forked.dict()
    for runner in [Runner(clients.fill, shared, number * 50, 50) for number in range(4)]:
        runner.result()
    assert len(shared) == 200


def _has_line(proxy: Any) -> bool:
    """Whether the calls of this thread go through shared memory."""
    try:
        proxy._tls.connection._lay(connection.Connection._new_line(), True)
    except ValueError:
        return True
    return False


@pytest.mark.parametrize("size", [0, 1, 12_000, 12_288, 12_300, 70_000, 3_000_000])
def test_values_of_any_size_after_a_pause_of_any_length(forked: Any, size: int) -> None:
    items = forked.list()
    for pause in (0, 0, 0.005, 0):
        time.sleep(pause)  # so that the server stops looking: nothing depends on it
        items.append(bytes(size))
        assert items.pop() == bytes(size)
        # The other way: the client waits longer than it looks.
        assert forked.Event().wait(pause) is False
    assert _has_line(items)


def test_no_line_over_the_network() -> None:
    manager = managers.SyncManager(("127.0.0.1", 0), ctx=mp.get_context("fork"))
    with manager:
        items: Any = manager.list([1])
        assert items[:] == [1]
        assert not _has_line(items)


def test_no_line_without_memory(forked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> int:
        raise OSError("none left")

    monkeypatch.setattr(connection.Connection, "_new_line", staticmethod(fail))
    items = forked.list([1])
    assert items[:] == [1]
    monkeypatch.undo()
    assert not _has_line(items)


def test_a_server_that_takes_no_line_is_a_server_all_the_same(
    forked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send_nothing(link: socket.socket, data: list[bytes], fds: list[int]) -> None:
        link.sendall(data[0])

    monkeypatch.setattr(socket, "send_fds", send_nothing)
    items = forked.list([1])
    assert items[:] == [1]
    monkeypatch.undo()
    assert not _has_line(items)


def test_other_memory_is_refused(forked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    null = os.open("/dev/null", os.O_RDWR)
    monkeypatch.setattr(connection.Connection, "_new_line", staticmethod(lambda: os.dup(null)))
    items = forked.list([1])
    assert items[:] == [1]
    monkeypatch.undo()
    os.close(null)
    assert not _has_line(items)


def test_no_descriptor_is_left(ctx: Any) -> None:
    def once() -> None:
        with ctx.Manager() as manager:
            shared = manager.dict(a=1)
            assert Runner(lambda: shared["a"]).result() == 1
            assert list(iter(shared)) == ["a"]

    once()
    before = os.listdir("/proc/self/fd")
    once()
    assert len(os.listdir("/proc/self/fd")) <= len(before)
