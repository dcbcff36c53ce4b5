"""ProcessPoolExecutor: what it makes of calls, on every start method."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, CancelledError
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

from tests.processes import calls
from tress import _native
from tress.concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed, wait
from tress.concurrent.futures.process import WorkerLostError

METHODS = ("fork", "spawn", "forkserver")

pytestmark = [
    pytest.mark.bound(60),
    # Workers are forked while the pool's own thread runs, where one takes another's place.
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


@pytest.fixture(params=METHODS)
def context(request: pytest.FixtureRequest) -> Any:
    return multiprocessing.get_context(request.param)


@pytest.fixture
def pool(context: Any) -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        yield pool


def until(path: Path) -> str:
    """What is written into the file, once something is."""
    while not (path.exists() and path.read_text()):
        threading.Event().wait(0.005)
    return path.read_text()


def test_results_and_exceptions(pool: ProcessPoolExecutor) -> None:
    assert pool.submit(calls.square, 3).result() == 9
    failed = pool.submit(calls.fail, "so it is")
    with pytest.raises(ValueError, match="so it is") as caught:
        failed.result()
    assert "in fail" in str(caught.value.__cause__)
    assert isinstance(failed.exception(), ValueError)
    assert pool.submit(calls.pid).result() != os.getpid()
    assert list(pool.map(calls.square, range(300))) == [n * n for n in range(300)]
    assert list(pool.map(pow, [2, 3], [5, 2, 9], chunksize=2)) == [32, 9]
    with pytest.raises(ValueError, match=r"chunksize must be >= 1"):
        pool.map(calls.square, [1], chunksize=0)


def test_what_cannot_be_pickled_ends_its_future_alone(pool: ProcessPoolExecutor) -> None:
    with pytest.raises(RuntimeError, match="not to be pickled"):
        pool.submit(calls.identity, calls.FailsToPickle()).result()
    with pytest.raises(RuntimeError, match="not to be pickled"):
        pool.submit(calls.make_unpicklable).result()
    with pytest.raises(BrokenProcessPool, match="call cannot be unpickled: RuntimeError"):
        pool.submit(calls.identity, calls.FailsToUnpickle()).result()
    with pytest.raises(BrokenProcessPool, match="result of the call cannot be unpickled"):
        pool.submit(calls.make_unreadable).result()
    with pytest.raises(BrokenProcessPool, match="cannot be unpickled: TypeError"):
        pool.submit(calls.raise_odd).result()
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(RecursionError):
        pool.submit(calls.identity, deep).result()
    while deep:
        deep = deep.pop()
    assert pool.submit(calls.square, 4).result() == 16


def test_large_arguments_and_results_come_whole_and_their_memory_back(
    pool: ProcessPoolExecutor,
) -> None:
    data = bytes(range(256)) * 16384
    assert pool.submit(calls.identity, data).result() == data
    assert pool.submit(calls.identity, bytearray(data)).result() == data
    assert len(pool.submit(calls.make, 20_000_000).result()) == 20_000_000
    sizes = [1, 200, 224, 225, 8000, 8192, 9000, 65536, 70_000, 1_000_000]
    for got, size in zip(pool.map(calls.make, sizes), sizes, strict=True):
        assert got == bytes(size)
    for future in [pool.submit(calls.total, data) for _ in range(50)]:
        assert future.result() == 0
    assert pool.statistics()["lent_bytes"] == 0


def test_arrays_are_read_where_they_lie(pool: ProcessPoolExecutor) -> None:
    data = bytearray(range(256)) * 4096
    back = pool.submit(calls.identity, calls.Buffer(data)).result().data
    assert isinstance(back, memoryview)
    assert isinstance(back.obj, _native.SharedBlock)
    assert back == data
    back[0] = 7
    assert data[0] == 0
    small = pool.submit(calls.identity, calls.Buffer(bytearray(b"few"))).result().data
    assert small == b"few"


def test_memory_of_large_data_goes_back(pool: ProcessPoolExecutor) -> None:
    def in_use() -> int:
        with open("/proc/self/smaps") as file:
            at_ours, kib = False, 0
            for line in file:
                if "-" in line.split(" ", 1)[0]:
                    at_ours = "memfd:tress" in line
                elif at_ours and line.startswith("Rss:"):
                    kib += int(line.split()[1])
        return kib * 1024

    size = 64 << 20
    views = pool.submit(calls.identity, calls.Buffer(bytearray(size))).result()
    assert views.data[-1] == 0
    assert in_use() > size
    del views
    while in_use() > size // 8:
        threading.Event().wait(0.05)


def test_cancel(context: Any, tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        running = pool.submit(calls.tell_and_wait, str(tmp_path), "first")
        until(tmp_path / "first")
        assert running.running()
        assert "state=running" in repr(running)
        waiting = [pool.submit(calls.square, n) for n in range(400)]
        assert not waiting[0].running()
        for future in waiting[::2]:
            assert future.cancel()
        assert not running.cancel()
        done, not_done = wait(waiting[::2])
        assert len(done) == 200
        assert not not_done
        with pytest.raises(CancelledError):
            waiting[0].result()
        (tmp_path / "go").touch()
        assert running.result() == "first"
        assert [future.result() for future in waiting[1::2]] == [n * n for n in range(1, 400, 2)]


def test_a_result_that_is_late(context: Any, tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        future = pool.submit(calls.tell_and_wait, str(tmp_path), "first")
        with pytest.raises(TimeoutError):
            future.result(timeout=0.01)
        with pytest.raises(TimeoutError):
            future.exception(timeout=0)
        (tmp_path / "go").touch()
        assert future.result(timeout=30) == "first"


def test_many_threads_wait_for_many_results(pool: ProcessPoolExecutor) -> None:
    with ThreadPoolExecutor(8) as threads:
        sums = threads.map(
            lambda start: sum(pool.submit(calls.square, start + n).result() for n in range(50)),
            range(0, 800, 100),
        )
        assert list(sums) == [
            sum((start + n) ** 2 for n in range(50)) for start in range(0, 800, 100)
        ]


def test_many_threads_submit_more_than_there_is_room_for(pool: ProcessPoolExecutor) -> None:
    def burst(start: int) -> int:
        futures = [pool.submit(calls.square, start + n) for n in range(500)]
        return sum(future.result(timeout=60) for future in futures)

    with ThreadPoolExecutor(6) as threads:
        sums = list(threads.map(burst, range(0, 3000, 500)))
    assert sums == [sum(n * n for n in range(start, start + 500)) for start in range(0, 3000, 500)]


@pytest.mark.parametrize("end", ["shutdown", "kill_workers"])
def test_no_call_is_forgotten_by_a_pool_that_ends(context: Any, end: str) -> None:
    for _ in range(5):
        pool = ProcessPoolExecutor(2, mp_context=context)
        first = threading.Barrier(4)

        def submit(pool: ProcessPoolExecutor = pool, first: Any = first) -> list[Any]:
            futures = []
            first.wait(30)
            try:
                while True:
                    futures.append(pool.submit(calls.square, 3))
                    if len(futures) > 500:
                        # More than there is room for, and no more than can be waited for.
                        futures[-500].result(timeout=60)
            except (RuntimeError, BrokenProcessPool, CancelledError):
                return futures

        with ThreadPoolExecutor(3) as threads:
            submitters = [threads.submit(submit) for _ in range(3)]
            first.wait(30)
            pool.submit(calls.square, 2).result()
            getattr(pool, end)()
            for submitter in submitters:
                for future in submitter.result(timeout=60):
                    try:
                        assert future.result(timeout=60) == 9
                    except (BrokenProcessPool, CancelledError):
                        assert end == "kill_workers"


def test_a_call_is_not_forgotten_that_gets_in_line_while_the_others_are_cancelled(
    tmp_path: Path,
) -> None:
    """Its submitter has been let in before the end, and is slow; here a callback plays it."""
    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork"))
    engine: Any = pool._engine
    pool.submit(calls.tell_and_wait, str(tmp_path), "busy")
    queued: Any = None
    while not engine.backlog:
        queued = pool.submit(calls.square, 2)
    late = type(queued)(engine, (calls.square, (3,), {}))
    with engine.lock:
        engine.submitting += 1
    engine.backlog[-1].add_done_callback(lambda _: engine.submit(late))
    pool.shutdown(wait=False, cancel_futures=True)
    (tmp_path / "go").touch()
    with contextlib.suppress(CancelledError):
        assert late.result(timeout=60) == 9


def test_callbacks_waiting_and_awaiting(pool: ProcessPoolExecutor) -> None:
    lock = threading.Lock()
    called = threading.Event()

    def call_back(_: object) -> None:
        # Whoever waits for a result holds the lock, and must not be the one to call this.
        with lock:
            called.set()

    with lock:
        future = pool.submit(calls.square, 5)
        future.add_done_callback(call_back)
        assert future.result() == 25
    assert called.wait(30)

    with ThreadPoolExecutor(1) as threads:
        mixed = [pool.submit(calls.square, 2), threads.submit(calls.square, 3)]
        assert sorted(future.result() for future in as_completed(mixed)) == [4, 9]

    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        return await asyncio.gather(
            *(loop.run_in_executor(pool, calls.square, number) for number in range(20))
        )

    assert asyncio.run(main()) == [n * n for n in range(20)]


def test_initializer(context: Any) -> None:
    with ProcessPoolExecutor(
        1, mp_context=context, initializer=calls.remember, initargs=("hello",)
    ) as pool:
        assert pool.submit(calls.recall).result() == "hello"
    with ProcessPoolExecutor(1, mp_context=context, initializer=calls.refuse_to_begin) as pool:
        with pytest.raises(BrokenExecutor):
            pool.submit(calls.recall).result()
        with pytest.raises(BrokenProcessPool):
            pool.submit(calls.recall)


def test_max_tasks_per_child() -> None:
    with ProcessPoolExecutor(2, max_tasks_per_child=3) as pool:
        pids = list(pool.map(calls.pid, range(20)))
    assert all(pids.count(pid) <= 3 for pid in pids)
    with pytest.raises(ValueError, match="incompatible with the 'fork'"):
        ProcessPoolExecutor(mp_context=multiprocessing.get_context("fork"), max_tasks_per_child=1)


@pytest.mark.parametrize("how", [calls.kill_self, calls.exit_at_once])
def test_a_worker_that_dies_breaks_the_pool(context: Any, how: Any, tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        other = pool.submit(calls.tell_and_wait, str(tmp_path), "first")
        until(tmp_path / "first")
        lost = pool.submit(how, *([] if how is calls.kill_self else [3]))
        with pytest.raises(WorkerLostError, match="during the call") as caught:
            lost.result()
        code = -signal.SIGKILL if how is calls.kill_self else 3
        assert caught.value.exitcode == code
        assert isinstance(caught.value.pid, int)
        with pytest.raises(BrokenProcessPool):
            other.result()
        with pytest.raises(BrokenProcessPool):
            pool.submit(calls.square, 1)


def test_a_worker_that_dies_costs_its_own_call(context: Any) -> None:
    with ProcessPoolExecutor(2, mp_context=context, on_worker_lost="fail_task") as pool:
        for _ in range(3):
            before = [pool.submit(calls.square, n) for n in range(20)]
            lost = pool.submit(calls.kill_self)
            after = [pool.submit(calls.square, n) for n in range(20)]
            with pytest.raises(WorkerLostError, match="SIGKILL"):
                lost.result()
            assert [future.result() for future in before + after] == [n * n for n in range(20)] * 2


def test_a_call_whose_worker_dies_is_made_again(context: Any, tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, mp_context=context, on_worker_lost="retry", max_retries=1) as pool:
        assert pool.submit(calls.die_first, str(tmp_path / "marker")).result() == "done"
        with pytest.raises(WorkerLostError):
            pool.submit(calls.kill_self).result()
        assert pool.submit(calls.square, 2).result() == 4


def test_an_idle_worker_that_is_killed(context: Any) -> None:
    with ProcessPoolExecutor(2, mp_context=context, on_worker_lost="fail_task") as pool:
        victim = pool.submit(calls.pid).result()
        os.kill(victim, signal.SIGKILL)
        assert list(pool.map(calls.square, range(50))) == [n * n for n in range(50)]
        assert victim not in set(pool.map(calls.pid, range(50)))


def test_shutdown(context: Any) -> None:
    pool = ProcessPoolExecutor(2, mp_context=context)
    futures = [pool.submit(calls.square, n) for n in range(600)]
    processes = list(pool._processes.values())
    collector = pool._executor_manager_thread
    pool.shutdown(wait=False)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        pool.submit(calls.square, 1)
    assert [future.result() for future in futures] == [n * n for n in range(600)]
    collector.join()
    assert [process.exitcode for process in processes] == [0, 0]


def test_nothing_is_left_open(context: Any) -> None:
    def use() -> int:
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            assert sum(pool.map(calls.square, range(10))) == 285
        return len(os.listdir("/proc/self/fd"))

    use()  # starts the fork server, and what tracks resources
    gc.collect()
    assert use() == use()


def test_shutdown_that_cancels(context: Any, tmp_path: Path) -> None:
    pool = ProcessPoolExecutor(1, mp_context=context)
    running = pool.submit(calls.tell_and_wait, str(tmp_path), "first")
    until(tmp_path / "first")
    waiting = [pool.submit(calls.square, n) for n in range(400)]
    pool.shutdown(wait=False, cancel_futures=True)
    assert len(list(as_completed(waiting, timeout=30))) == 400
    assert all(future.cancelled() for future in waiting)
    (tmp_path / "go").touch()
    assert running.result() == "first"
    pool.shutdown()


@pytest.mark.parametrize("how", ["terminate_workers", "kill_workers"])
def test_workers_stopped_by_force(context: Any, how: str, tmp_path: Path) -> None:
    pool = ProcessPoolExecutor(1, mp_context=context)
    running = pool.submit(calls.tell_and_wait, str(tmp_path), "first")
    until(tmp_path / "first")
    waiting = pool.submit(calls.square, 1)
    getattr(pool, how)()
    with pytest.raises(BrokenProcessPool):
        running.result(timeout=30)
    with pytest.raises((BrokenProcessPool, CancelledError)):
        waiting.result(timeout=30)
    pool.shutdown()


def test_a_forked_child_does_not_use_its_parents_pool(tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        assert pool.submit(calls.square, 2).result() == 4
        child = os.fork()
        if child == 0:
            try:
                pool.submit(calls.square, 2)
            except RuntimeError as error:
                os._exit(0 if "belongs to the parent process" in str(error) else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert pool.submit(calls.square, 3).result() == 9


def test_arguments() -> None:
    bad: Any = "3"
    with pytest.raises(ValueError, match="max_workers must be greater than 0"):
        ProcessPoolExecutor(0)
    with pytest.raises(TypeError, match="initializer must be a callable"):
        ProcessPoolExecutor(1, initializer=bad)
    with pytest.raises(ValueError, match=r"on_worker_lost must be one of 'break'.*not 'ignore'"):
        ProcessPoolExecutor(1, on_worker_lost="ignore")
    with pytest.raises(ValueError, match="max_retries must be at least 0, not -1"):
        ProcessPoolExecutor(1, max_retries=-1)
    with pytest.raises(TypeError, match="max_retries must be an int, not str"):
        ProcessPoolExecutor(1, max_retries=bad)
    if sys.version_info >= (3, 12):
        with pytest.raises(TypeError, match="max_tasks_per_child must be an integer"):
            ProcessPoolExecutor(1, max_tasks_per_child=bad)


def test_statistics_and_repr(pool: ProcessPoolExecutor) -> None:
    assert pool.submit(calls.square, 2).result() == 4
    numbers = pool.statistics()
    assert numbers["workers"] in (1, 2)
    assert numbers["unfinished"] == numbers["queued"] == 0
    assert "max_workers=2" in repr(pool)
