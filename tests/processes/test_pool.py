"""Pool: what it makes of calls, on every start method."""

from __future__ import annotations

import gc
import itertools
import multiprocessing.pool
import pickle
import threading
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tress.multiprocessing as mp
from tests.processes import calls
from tests.processes.jobs import BOUND_S
from tests.processes.test_process_pool import until
from tress.multiprocessing.pool import MapResult, Pool, ThreadPool

standard: Any = multiprocessing.pool

pytestmark = [
    pytest.mark.bound(120),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


@pytest.fixture
def pool(ctx: Any) -> Iterator[Pool]:
    with ctx.Pool(2) as pool:
        yield pool
    pool.join()


def test_calls_and_maps(pool: Pool) -> None:
    assert pool.apply(calls.square, (3,)) == 9
    assert pool.apply(pow, (2,), {"exp": 3}) == 8
    assert pool.map(calls.square, range(100)) == [n * n for n in range(100)]
    assert pool.map(calls.square, iter(range(1000)), chunksize=1) == [n * n for n in range(1000)]
    assert pool.starmap(pow, [(2, 3), (3, 2)]) == [8, 9]
    assert pool.starmap_async(pow, zip([2, 3], [3, 2], strict=True)).get(BOUND_S) == [8, 9]
    assert pool.map(calls.square, []) == []
    assert list(pool.imap(calls.square, range(600))) == [n * n for n in range(600)]
    assert list(pool.imap(calls.square, range(10), chunksize=3)) == [n * n for n in range(10)]
    assert sorted(pool.imap_unordered(calls.square, range(9))) == [n * n for n in range(9)]
    assert sorted(pool.imap_unordered(calls.square, range(9), 2)) == [n * n for n in range(9)]
    assert list(pool.imap(calls.square, [])) == list(pool.imap_unordered(calls.square, [])) == []
    with pytest.raises(ValueError, match=r"Chunksize must be 1\+, not 0"):
        pool.imap(calls.square, [1], chunksize=0)
    assert pool._cache == {}


def test_results(pool: Pool) -> None:
    result = pool.apply_async(calls.square, (4,))
    assert isinstance(result, multiprocessing.pool.AsyncResult)
    result.wait(BOUND_S)
    assert result.ready()
    assert result.successful()
    assert result.get() == 16
    failed = pool.apply_async(calls.fail, ("no",))
    with pytest.raises(ValueError, match="no") as caught:
        failed.get(BOUND_S)
    cause: Any = caught.value.__cause__
    assert type(cause) is standard.RemoteTraceback
    assert "in fail" in cause.tb
    assert not failed.successful()


def test_a_result_that_is_not_there_yet(pool: Pool, tmp_path: Path) -> None:
    result = pool.apply_async(calls.tell_and_wait, (str(tmp_path), "begun"))
    iterator: Any = pool.imap(calls.tell_and_wait_for_both, [(str(tmp_path), "other")])
    until(tmp_path / "begun")
    until(tmp_path / "other")
    assert not result.ready()
    with pytest.raises(ValueError, match="not ready"):
        result.successful()
    with pytest.raises(mp.TimeoutError):
        result.get(timeout=0.01)
    with pytest.raises(mp.TimeoutError):
        iterator.next(timeout=0.01)
    assert set(pool._cache) == {result._job, iterator._job}
    (tmp_path / "go").touch()
    assert result.get(BOUND_S) == "begun"
    assert iterator.next(timeout=BOUND_S) == "other"
    with pytest.raises(StopIteration):
        iterator.next(timeout=BOUND_S)


def test_callbacks_come_before_the_result(pool: Pool) -> None:
    told: list[Any] = []
    here = threading.get_ident()

    def tell(value: Any) -> None:
        assert threading.get_ident() != here
        told.append(value)

    for count in range(1, 51):
        pool.apply_async(calls.square, (count,), callback=tell, error_callback=told.append).wait()
        assert len(told) == count
    assert pool.map_async(calls.square, range(3), callback=tell).get(BOUND_S) == [0, 1, 4]
    assert told.pop() == [0, 1, 4]
    pool.map_async(calls.fail, ["a"], callback=told.append, error_callback=tell).wait(BOUND_S)
    assert isinstance(told[-1], ValueError)
    pool.apply_async(calls.identity, (calls.FailsToPickle(),), error_callback=tell).wait(BOUND_S)
    assert isinstance(told[-1], RuntimeError)


def test_a_callback_that_raises_is_reported(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.append(args.exc_value))
    result = pool.apply_async(calls.square, (3,), callback=calls.fail)
    assert result.get(BOUND_S) == 9
    assert [str(error) for error in reported] == ["9"]
    assert pool.apply(calls.square, (3,)) == 9


def numbers(count: int, error: Exception) -> Iterator[int]:
    yield from range(count)
    raise error


def test_an_iterable_that_raises(pool: Pool) -> None:
    error = LookupError("enough")
    iterator = pool.imap(calls.square, numbers(3, error))
    assert [next(iterator) for _ in range(3)] == [0, 1, 4]
    with pytest.raises(LookupError, match="enough") as caught:
        next(iterator)
    assert caught.value.__cause__ is None
    assert next(iterator, "end") == "end"
    unordered = pool.imap_unordered(calls.square, numbers(5, error), chunksize=2)
    with pytest.raises(LookupError, match="enough"):
        list(unordered)
    with pytest.raises(LookupError, match="enough"):
        pool.map(calls.square, numbers(3, error))

    class Sized:
        def __len__(self) -> int:
            return 10

        def __iter__(self) -> Iterator[int]:
            return numbers(3, error)

    with pytest.raises(LookupError, match="enough"):
        pool.map(calls.square, Sized(), 1)


def test_an_endless_iterable_is_read_as_it_is_needed(pool: Pool) -> None:
    read = itertools.count()
    iterator = pool.imap(calls.square, read)
    assert [next(iterator) for _ in range(2000)] == [n * n for n in range(2000)]
    # Some hundreds ahead of the workers, which may be ahead of this process.
    other = pool.imap_unordered(calls.square, range(10))
    pool.terminate()
    assert iterator is not other


def test_an_iterable_that_waits_holds_nobody_up(pool: Pool) -> None:
    come = threading.Semaphore(0)

    def slowly() -> Iterator[int]:
        for number in range(3):
            come.acquire(timeout=BOUND_S)
            yield number

    iterator = pool.imap(calls.square, slowly())
    for number in range(3):
        assert pool.apply(calls.square, (5,)) == 25
        assert pool.map(calls.square, [1, 2]) == [1, 4]
        come.release()
        assert next(iterator) == number**2


@pytest.mark.parametrize("name", ["imap", "imap_unordered"])
@pytest.mark.parametrize("kind", [list, iter])
def test_what_nobody_reads_is_done_all_the_same(pool: Pool, name: str, kind: Any) -> None:
    iterator = getattr(pool, name)(calls.square, kind(list(range(2000))))
    assert pool.apply(calls.square, (3,)) == 9
    pool.close()
    pool.join()
    assert sorted(iterator) == [n * n for n in range(2000)]
    assert next(iterator, "end") == "end"


@pytest.mark.parametrize("name", ["imap", "imap_unordered"])
def test_an_iterator_of_several_threads(pool: Pool, name: str) -> None:
    iterator = getattr(pool, name)(calls.square, range(3000))
    with ThreadPool(3) as threads:
        parts = [threads.apply_async(list, (iterator,)) for _ in range(3)]
        parts.append(threads.apply_async(pool.map, (calls.square, range(3000, 4000), 1)))
        found = [number for part in parts for number in part.get(BOUND_S)]
    assert sorted(found) == [n * n for n in range(4000)]


def test_all_calls_of_a_map_are_made_before_it_fails(pool: Pool, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        pool.map(calls.make_file, [str(tmp_path / name) for name in "aabcd"], chunksize=1)
    assert {path.name for path in tmp_path.iterdir()} == set("abcd")


def test_what_cannot_travel(pool: Pool) -> None:
    with pytest.raises(RuntimeError, match="not to be pickled"):
        pool.apply(calls.identity, (calls.FailsToPickle(),))
    with pytest.raises(RuntimeError, match="not to be pickled"):
        pool.map(calls.identity, [1, calls.FailsToPickle()], chunksize=1)
    with pytest.raises(standard.MaybeEncodingError, match="not to be pickled"):
        pool.apply(calls.make_unpicklable)
    with pytest.raises(RuntimeError, match="the call cannot be unpickled"):
        pool.apply(calls.identity, (calls.FailsToUnpickle(),))
    with pytest.raises(RuntimeError, match="result of the call cannot be unpickled"):
        pool.apply(calls.make_unreadable)
    with pytest.raises(RuntimeError, match="cannot be unpickled: TypeError"):
        pool.apply(calls.raise_odd)
    assert pool.apply(calls.square, (3,)) == 9


def test_workers(ctx: Any) -> None:
    with ctx.Pool(3, calls.remember, ("hello",)) as pool:
        assert len(pool._pool) == pool._processes == 3
        assert all(worker.daemon and "PoolWorker" in worker.name for worker in pool._pool)
        assert pool.apply(calls.recall) == "hello"
        pids = {worker.pid for worker in pool._pool}
        assert pool.apply(calls.pid) in pids
        assert repr(pool).endswith(".Pool state=RUN pool_size=3>")
    pool.join()
    assert pool._pool == []


def test_workers_are_replaced_after_so_many_tasks(ctx: Any) -> None:
    with ctx.Pool(2, maxtasksperchild=2) as pool:
        pids = pool.map(calls.pid, range(12), chunksize=1)
        assert len(set(pids)) >= 6
        assert max(pids.count(pid) for pid in pids) <= 2
        results = [pool.apply_async(calls.square, (n,)) for n in range(6)]
        pool.close()
        pool.join()
        assert [result.get(BOUND_S) for result in results] == [n * n for n in range(6)]


def test_close_and_join(ctx: Any) -> None:
    pool = ctx.Pool(2)
    with pytest.raises(ValueError, match="Pool is still running"):
        pool.join()
    result = pool.map_async(calls.square, range(1000), chunksize=1)
    iterator = pool.imap(calls.square, iter(range(1000)))
    pool.close()
    for call in (pool.apply, pool.apply_async, pool.map, pool.map_async, pool.imap):
        with pytest.raises(ValueError, match="Pool not running"):
            call(calls.square, [1])
    with pytest.raises(ValueError, match="Pool not running"):
        pool.__enter__()
    pool.join()
    assert result.ready()
    assert sum(result.get()) == sum(iterator) == sum(n * n for n in range(1000))


def test_a_closed_pool_has_begun_its_workers(ctx: Any, tmp_path: Path) -> None:
    pool = ctx.Pool(1, calls.make_file, (str(tmp_path / "begun"),))
    pool.close()
    pool.join()
    assert (tmp_path / "begun").exists()


def test_nobody_waits_for_ever_after_terminate(ctx: Any, tmp_path: Path) -> None:
    pool = ctx.Pool(2)
    called: list[Any] = []
    result = pool.map_async(
        calls.tell_and_wait_for_both,
        [(str(tmp_path), str(n)) for n in range(2000)],
        chunksize=1,
        callback=called.append,
        error_callback=called.append,
    )
    one = pool.apply_async(calls.square, (3,))
    iterator = pool.imap_unordered(calls.square, itertools.count())
    until(tmp_path / "0")
    pool.terminate()
    pool.join()
    assert pool._pool == []
    for get in (result.get, one.get, lambda _: next(iterator)):
        with pytest.raises(RuntimeError, match="the pool was terminated"):
            get(BOUND_S)
    assert not called


def test_terminate_from_a_callback(ctx: Any) -> None:
    pool = ctx.Pool(2)
    done = threading.Event()

    def end(_: object) -> None:
        pool.terminate()
        done.set()

    pool.apply_async(calls.square, (3,), callback=end)
    assert done.wait(BOUND_S)
    pool.join()


def test_workers_that_ignore_sigterm_are_killed(ctx: Any, tmp_path: Path) -> None:
    pool = ctx.Pool(1)
    pool.apply_async(calls.ignore_sigterm_and_wait, (str(tmp_path), "begun"))
    until(tmp_path / "begun")
    pool.terminate()
    pool.join()


def test_bad_arguments(ctx: Any) -> None:
    for processes in (0, -1):
        with pytest.raises(ValueError, match="Number of processes must be at least 1"):
            ctx.Pool(processes)
    for tasks in (0, -1, 0.5, "12"):
        with pytest.raises(ValueError, match="maxtasksperchild must be a positive int or None"):
            ctx.Pool(1, maxtasksperchild=tasks)
    with pytest.raises(TypeError, match="initializer must be a callable"):
        ctx.Pool(1, initializer=1)
    with pytest.raises(ValueError, match="on_worker_lost must be one of"):
        ctx.Pool(1, on_worker_lost="ignore")


def test_a_pool_stays_where_it_is(pool: Pool) -> None:
    assert isinstance(pool, multiprocessing.pool.Pool)
    with pytest.raises(NotImplementedError, match="cannot be passed between processes"):
        pickle.dumps(pool)


def test_a_pool_that_is_dropped_ends(ctx: Any) -> None:
    pool = ctx.Pool(1)
    assert pool.apply(calls.square, (3,)) == 9
    worker, reference = pool._pool[0], weakref.ref(pool)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        del pool
        gc.collect()
    assert any("unclosed running multiprocessing pool" in str(one.message) for one in caught)
    # The warning has its source.
    caught.clear()
    assert reference() is None
    worker.join(BOUND_S)
    assert not worker.is_alive()


def test_a_pool_that_has_ended_is_freed_without_the_garbage_collector(ctx: Any) -> None:
    gc.collect()
    gc.disable()
    try:
        pool = ctx.Pool(1)
        assert list(pool.imap(calls.square, iter([1, 2]))) == [1, 4]
        assert list(pool.imap_unordered(calls.square, [1])) == pool.map(calls.square, [1])
        engine = weakref.ref(pool._engine)
        pool.terminate()
        pool.join()
        del pool
        assert engine() is None
    finally:
        gc.enable()


def test_what_is_done_is_let_go(pool: Pool) -> None:
    thing = calls.Thing()
    reference = weakref.ref(thing)
    result = pool.map_async(calls.identity, [thing])
    assert isinstance(result, MapResult)
    result.wait(BOUND_S)
    del thing
    gc.collect()
    assert reference() is None


def test_a_subclass_makes_its_workers(ctx: Any) -> None:
    made = []

    class Own(Pool):
        @staticmethod
        def Process(ctx: Any, *args: Any, **kwds: Any) -> Any:
            made.append(ctx)
            return ctx.Process(*args, **kwds)

    with Own(2, context=ctx) as pool:
        assert pool.apply(calls.square, (2,)) == 4
    assert made == [ctx, ctx]


def test_a_pool_in_the_standard_contexts() -> None:
    with Pool(1, context=multiprocessing.get_context("spawn")) as pool:
        assert pool.apply(calls.square, (2,)) == 4
    with mp.Pool(1) as pool:
        assert isinstance(pool, Pool)
        assert pool.apply(calls.square, (2,)) == 4
