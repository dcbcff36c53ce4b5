"""ThreadPool, and `multiprocessing.dummy`."""

from __future__ import annotations

import itertools
import multiprocessing.dummy
import multiprocessing.pool
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import tress.multiprocessing as mp
import tress.multiprocessing.dummy as dummy
import tress.threading
from tests.processes import calls
from tests.processes.jobs import BOUND_S
from tress.multiprocessing.pool import ThreadPool

pytestmark = pytest.mark.bound(60)


@pytest.fixture
def pool() -> Iterator[ThreadPool]:
    with ThreadPool(2) as pool:
        yield pool
    pool.join()


def test_calls_and_maps(pool: ThreadPool) -> None:
    assert isinstance(pool, multiprocessing.pool.ThreadPool)
    assert pool.apply(calls.square, (3,)) == 9
    assert pool.map(lambda n: n + 1, range(1000), chunksize=1) == list(range(1, 1001))
    assert pool.starmap(pow, [(2, 3)]) == [8]
    assert list(pool.imap(calls.square, iter(range(600)))) == [n * n for n in range(600)]
    assert sorted(pool.imap_unordered(calls.square, range(9), 2)) == [n * n for n in range(9)]
    assert len(pool._pool) == 2
    assert all(isinstance(thread, tress.threading.Thread) for thread in pool._pool)
    assert all(thread.daemon for thread in pool._pool)


def test_an_exception_is_the_one_that_was_raised(pool: ThreadPool) -> None:
    error = ValueError("so it is")

    def fail() -> None:
        raise error

    with pytest.raises(ValueError, match="so it is") as caught:
        pool.apply(fail)
    assert caught.value is error
    assert error.__cause__ is None


def test_callbacks_are_called_one_after_the_other(pool: ThreadPool) -> None:
    inside = threading.Lock()
    told = []

    def tell(value: int) -> None:
        assert inside.acquire(blocking=False)
        told.append(value)
        inside.release()

    results = [pool.apply_async(calls.square, (n,), callback=tell) for n in range(200)]
    for result in results:
        result.wait(BOUND_S)
    assert sorted(told) == [n * n for n in range(200)]


def test_timeouts(pool: ThreadPool) -> None:
    go = threading.Event()
    result = pool.apply_async(go.wait, (BOUND_S,))
    with pytest.raises(mp.TimeoutError):
        result.get(0.01)
    go.set()
    assert result.get(BOUND_S) is True


def test_close_makes_every_call(pool: ThreadPool) -> None:
    result = pool.map_async(calls.square, iter(range(5000)), chunksize=1)
    iterator = pool.imap(calls.square, iter(range(1000)))
    pool.close()
    with pytest.raises(ValueError, match="Pool not running"):
        pool.apply(calls.square, (1,))
    pool.join()
    assert len(result.get()) == 5000
    assert sum(iterator) == sum(n * n for n in range(1000))
    assert not any(thread.is_alive() for thread in pool._pool)


def test_nobody_waits_for_ever_after_terminate(pool: ThreadPool) -> None:
    begun, go = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        go.wait(BOUND_S)

    running = pool.apply_async(wait)
    pending = pool.map_async(lambda _: wait(), range(1000), chunksize=1)
    iterator = pool.imap(calls.square, itertools.count())
    assert begun.wait(BOUND_S)
    pool.terminate()
    go.set()
    pool.join()
    for result in (running, pending):
        with pytest.raises(RuntimeError, match="the pool was terminated"):
            result.get(BOUND_S)
    with pytest.raises(RuntimeError, match="the pool was terminated"):
        list(iterator)


def test_an_initializer(pool: ThreadPool, monkeypatch: pytest.MonkeyPatch) -> None:
    barrier = threading.Barrier(2)
    with ThreadPool(2, barrier.wait, (BOUND_S,)) as begun:
        assert begun.apply(calls.square, (3,)) == 9
    seen: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.append(args.exc_value))
    refused = ThreadPool(1, calls.refuse_to_begin)
    with pytest.raises(RuntimeError, match="initializer of a thread of the pool failed"):
        refused.apply(calls.square, (3,))
    refused.terminate()
    refused.join()
    assert [str(error) for error in seen] == ["no"]


def test_the_dummy_module_is_imported_after_install() -> None:
    program = """
import tress
tress.install()
import tress.multiprocessing.dummy as dummy
with dummy.Pool(2) as pool:
    print(pool.map(abs, [-1, 2]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[1, 2]\n", "")


def test_the_dummy_module() -> None:
    assert set(dummy.__all__) == set(multiprocessing.dummy.__all__)
    with dummy.Pool(2) as pool:
        assert isinstance(pool, ThreadPool)
        assert pool.map(calls.square, [1, 2]) == [1, 4]
    done: list[int] = []
    process = dummy.Process(target=done.append, args=(1,))
    assert isinstance(process, multiprocessing.dummy.DummyProcess)
    assert process.exitcode is None
    process.start()
    assert process in dummy.active_children() or not process.is_alive()
    process.join(BOUND_S)
    code: Any = process.exitcode
    assert (done, code) == ([1], 0)
    assert dummy.Manager() is dummy
    assert isinstance(dummy.Lock(), type(tress.threading.Lock()))
