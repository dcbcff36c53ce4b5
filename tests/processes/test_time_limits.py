"""Calls that are ended together with the worker that makes them: time limits, retries, kill."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest

import tress
from tests.processes import calls
from tests.processes.jobs import BOUND_S
from tests.processes.test_process_pool import until
from tress.concurrent.futures import ProcessPoolExecutor
from tress.multiprocessing.pool import Pool, ThreadPool

pytestmark = [
    pytest.mark.bound(120),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

# Long enough for a call that does nothing, also where the machine is busy.
LONG = 60.0


@pytest.fixture
def executor(ctx: Any) -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context=ctx) as executor:
        yield executor


@pytest.fixture
def pool(ctx: Any) -> Iterator[Pool]:
    with ctx.Pool(2) as pool:
        yield pool
    pool.join()


def test_a_call_that_takes_too_long(executor: ProcessPoolExecutor, tmp_path: Path) -> None:
    other = executor.submit(calls.tell_and_wait, str(tmp_path), "other")
    until(tmp_path / "other")
    slow = executor.with_options(timeout=0.2).submit(calls.tell_and_wait, str(tmp_path), "slow")
    with pytest.raises(tress.TaskTimeoutError, match=r"tell_and_wait took longer than 0\.2 s") as e:
        slow.result(BOUND_S)
    assert isinstance(e.value, TimeoutError)
    assert (e.value.timeout, e.value.task) == (0.2, "tell_and_wait")
    pid = int((tmp_path / "slow").read_text())
    # It alone has ended, though a worker that dies by itself would break this pool.
    (tmp_path / "go").touch()
    assert other.result(BOUND_S) == "other"
    assert executor.submit(calls.square, 3).result(BOUND_S) == 9
    assert pid not in executor._processes


def test_calls_in_time(executor: ProcessPoolExecutor) -> None:
    limited = executor.with_options(timeout=LONG)
    assert list(limited.map(calls.square, range(600))) == [n * n for n in range(600)]
    assert list(limited.map(calls.square, range(9), chunksize=4)) == [n * n for n in range(9)]
    with pytest.raises(ValueError, match="so it is"):
        limited.submit(calls.fail, "so it is").result()
    assert "timeout=60.0" in repr(limited)


def test_the_time_counts_from_the_beginning_of_the_call(
    executor: ProcessPoolExecutor, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        executor.submit(calls.tell_and_wait, str(tmp_path), name)
        until(tmp_path / name)
    waiting = executor.with_options(timeout=LONG).submit(calls.square, 3)
    short = executor.with_options(timeout=0.05)
    late = [short.submit(calls.tell_and_wait, str(tmp_path), f"late{n}") for n in range(3)]
    # Longer than they may take, and none of them has begun.
    assert not threading.Event().wait(0.3)
    assert not any(future.done() for future in [waiting, *late])
    (tmp_path / "go").touch()
    assert waiting.result(BOUND_S) == 9
    for future in late:
        # `go` is there, so what begins now ends at once or has been begun too slowly.
        assert isinstance(future.exception(BOUND_S), (tress.TaskTimeoutError, type(None)))


def test_retries(executor: ProcessPoolExecutor, tmp_path: Path) -> None:
    again = executor.with_options(timeout=1.0, retries=2)
    assert again.submit(calls.wait_first, str(tmp_path / "marker")).result(BOUND_S) == "done"
    never = executor.with_options(timeout=0.5, retries=2)
    with pytest.raises(tress.TaskTimeoutError):
        never.submit(calls.count_and_wait, str(tmp_path / "count")).result(BOUND_S)
    assert len((tmp_path / "count").read_text()) == 3


def test_retries_of_calls_whose_worker_dies(pool: Pool, tmp_path: Path) -> None:
    again = pool.with_options(retries=1)
    assert again.apply(calls.die_first, (str(tmp_path / "marker"),)) == "done"
    with pytest.raises(tress.WorkerLostError):
        again.apply(calls.kill_self)
    with pytest.raises(tress.WorkerLostError):
        pool.apply(calls.kill_self)


def test_a_pool_with_options(pool: Pool, tmp_path: Path) -> None:
    short = pool.with_options(timeout=0.2)
    with pytest.raises(tress.TaskTimeoutError):
        short.apply(calls.tell_and_wait, (str(tmp_path), "one"))
    told: list[Any] = []
    result = short.apply_async(
        calls.tell_and_wait, (str(tmp_path), "two"), error_callback=told.append
    )
    with pytest.raises(tress.TaskTimeoutError):
        result.get(BOUND_S)
    assert [type(error) for error in told] == [tress.TaskTimeoutError]
    slow = [(str(tmp_path), name) for name in "abc"]
    with pytest.raises(tress.TaskTimeoutError, match="tell_and_wait_for_both, task 0"):
        short.map(calls.tell_and_wait_for_both, slow[:1])
    limited = pool.with_options(timeout=LONG)
    iterator = limited.imap_unordered(calls.square, range(300))
    assert sorted(iterator) == [n * n for n in range(300)]
    assert limited.starmap(pow, [(2, 3)]) == [8]
    pool.close()
    with pytest.raises(ValueError, match="Pool not running"):
        limited.apply(calls.square, (3,))


def test_kill(executor: ProcessPoolExecutor, tmp_path: Path) -> None:
    running = executor.submit(calls.tell_and_wait, str(tmp_path), "running")
    other = executor.submit(calls.tell_and_wait, str(tmp_path), "other")
    until(tmp_path / "running")
    until(tmp_path / "other")
    waiting = executor.submit(calls.square, 3)
    assert waiting.kill()
    assert waiting.cancelled()
    # What a running call makes of the standard method is as it was.
    assert not running.cancel()
    assert running.kill()
    with pytest.raises(CancelledError):
        running.result(BOUND_S)
    (tmp_path / "go").touch()
    assert other.result(BOUND_S) == "other"
    assert not other.kill()
    assert executor.submit(calls.square, 3).result(BOUND_S) == 9


def test_kill_of_a_result_of_a_pool(pool: Pool, tmp_path: Path) -> None:
    result = pool.apply_async(calls.tell_and_wait, (str(tmp_path), "begun"))
    until(tmp_path / "begun")
    assert result.kill()
    with pytest.raises(CancelledError):
        result.get(BOUND_S)
    assert not result.successful()
    assert pool.map(calls.square, range(10)) == [n * n for n in range(10)]


def test_kill_at_any_moment_costs_no_other_call(pool: Pool) -> None:
    for _ in range(30):
        results = [pool.apply_async(calls.square, (n,)) for n in range(20)]
        for result in results[::3]:
            result.kill()
        for n, result in enumerate(results):
            try:
                assert result.get(BOUND_S) == n * n
            except CancelledError:
                assert n % 3 == 0


def test_bad_options(executor: ProcessPoolExecutor) -> None:
    for timeout in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="timeout must be greater than 0"):
            executor.with_options(timeout=timeout)
    with pytest.raises(TypeError, match="timeout must be a number of seconds or None, not str"):
        executor.with_options(timeout="1")
    with pytest.raises(ValueError, match="retries must be at least 0, not -1"):
        executor.with_options(retries=-1)
    with pytest.raises(TypeError, match="retries must be an int or None, not float"):
        executor.with_options(retries=1.5)
    with ThreadPool(1) as threads, pytest.raises(NotImplementedError, match="pool of processes"):
        threads.with_options(timeout=1)
