"""Pool among workers that are killed, end, or cannot begin."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.processes import calls
from tests.processes.jobs import BOUND_S
from tests.processes.test_process_pool import METHODS, until
from tests.processes.test_process_pool_faults import start
from tress.concurrent.futures.process import WorkerLostError

pytestmark = [
    pytest.mark.bound(120),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


def test_a_killed_worker_costs_its_task(ctx: Any, tmp_path: Path) -> None:
    with ctx.Pool(2) as pool:
        others = pool.map_async(calls.square, range(1000), chunksize=1)
        lost = pool.apply_async(calls.tell_and_wait, (str(tmp_path), "begun"))
        pid = int(until(tmp_path / "begun"))
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(
            WorkerLostError, match=r"killed by SIGKILL.* of tell_and_wait"
        ) as caught:
            lost.get(BOUND_S)
        assert (caught.value.pid, caught.value.exitcode) == (pid, -signal.SIGKILL)
        assert caught.value.task == "tell_and_wait"
        assert sum(others.get(BOUND_S)) == sum(n * n for n in range(1000))
        assert pool.apply(calls.square, (3,)) == 9
        assert len(pool._pool) == 2
        assert pid not in {worker.pid for worker in pool._pool}


def test_which_task_of_a_map_was_lost(ctx: Any) -> None:
    with ctx.Pool(2) as pool:
        with pytest.raises(WorkerLostError, match="during the call of kill_at, task 2") as caught:
            pool.map(calls.kill_at, [(n, 5) for n in range(8)], chunksize=2)
        assert caught.value.task == "kill_at, task 2"
        iterator = pool.imap(calls.kill_at, [(n, 1) for n in range(3)])
        assert next(iterator) == 0
        with pytest.raises(WorkerLostError):
            next(iterator)
        assert list(iterator) == [2]
        unordered = pool.imap_unordered(calls.kill_at, [(n, 1) for n in range(3)])
        got, lost = [], 0
        while True:
            try:
                got.append(next(unordered))
            except WorkerLostError:
                lost += 1
            except StopIteration:
                break
        assert (sorted(got), lost) == ([0, 2], 1)


def test_a_worker_that_exits(ctx: Any) -> None:
    with ctx.Pool(1) as pool:
        for function in (calls.exit_at_once, calls.exit_in_order):
            with pytest.raises(WorkerLostError, match="ended with exit code 7") as caught:
                pool.apply(function, (7,))
            assert caught.value.exitcode == 7
        assert pool.apply(calls.square, (3,)) == 9


def test_idle_workers_are_replaced(ctx: Any) -> None:
    with ctx.Pool(2) as pool:
        for _ in range(3):
            pids = {pool.apply(calls.pid)}
            for worker in pool._pool:
                worker.kill()
                worker.join(BOUND_S)
            assert pool.apply(calls.pid) not in pids


def test_workers_killed_while_they_start(ctx: Any) -> None:
    with ctx.Pool(2) as pool:
        for worker in pool._pool:
            worker.kill()
        assert pool.apply(calls.square, (3,)) == 9


def test_lost_workers_of_a_closed_pool(ctx: Any, tmp_path: Path) -> None:
    pool = ctx.Pool(2)
    lost = pool.apply_async(calls.tell_and_wait, (str(tmp_path), "begun"))
    others = pool.map_async(calls.square, range(1000), chunksize=1)
    pid = int(until(tmp_path / "begun"))
    pool.close()
    os.kill(pid, signal.SIGKILL)
    pool.join()
    assert len(others.get(BOUND_S)) == 1000
    with pytest.raises(WorkerLostError):
        lost.get(BOUND_S)


def test_retry(ctx: Any, tmp_path: Path) -> None:
    with ctx.Pool(2, on_worker_lost="retry", max_retries=1) as pool:
        assert pool.apply(calls.die_first, (str(tmp_path / "marker"),)) == "done"
        names = [str(tmp_path / str(n)) for n in range(4)]
        assert pool.map(calls.die_first, names, chunksize=1) == ["done"] * 4
        with pytest.raises(WorkerLostError):
            pool.apply(calls.kill_self)


def test_break(ctx: Any) -> None:
    with ctx.Pool(2, on_worker_lost="break") as pool:
        with pytest.raises(WorkerLostError):
            pool.apply(calls.kill_self)
        with pytest.raises(RuntimeError, match="pool"):
            pool.apply(calls.square, (3,))
        with pytest.raises(RuntimeError, match="pool"):
            list(pool.imap(calls.square, [1]))


@pytest.mark.parametrize("end", ["close", "terminate"])
def test_an_initializer_that_raises(ctx: Any, end: str, capfd: pytest.CaptureFixture[str]) -> None:
    pool = ctx.Pool(2, calls.refuse_to_begin)
    with pytest.raises(RuntimeError, match="process pool was terminated abruptly") as caught:
        pool.apply(calls.square, (3,))
    assert "initializer of a worker failed" in str(caught.value.__cause__)
    getattr(pool, end)()
    pool.join()
    if ctx.get_start_method() != "forkserver":
        # The fork server writes where it did when it was started.
        assert "ValueError: no" in capfd.readouterr().err


def test_workers_that_never_begin_do_not_go_on_for_ever(ctx: Any) -> None:
    pool = ctx.Pool(1, calls.exit_at_once, (3,))
    with pytest.raises(RuntimeError, match=r"workers end before they begin: .* exit code 3"):
        pool.map(calls.square, range(10))
    pool.terminate()
    pool.join()


def test_workers_killed_at_any_moment(ctx: Any) -> None:
    rounds = int(os.environ.get("TRESS_KILL_ROUNDS", "5"))
    chance = random.Random(ctx.get_start_method())
    with ctx.Pool(3) as pool:
        for _ in range(rounds):
            results = [
                pool.apply_async(calls.make, (chance.choice((10, 100_000)),)) for _ in range(60)
            ]
            results[chance.randrange(60)].wait()
            for worker in pool._pool:
                if chance.random() < 0.6:
                    worker.kill()
            lost = 0
            for result in results:
                try:
                    assert not any(result.get(BOUND_S)[:10])
                except WorkerLostError:
                    lost += 1
            assert lost <= 3 * 2


def test_workers_killed_while_the_pool_ends(ctx: Any) -> None:
    chance = random.Random(ctx.get_start_method())
    for end in ("close", "terminate") * 2:
        pool = ctx.Pool(2)
        pool.map_async(calls.square, range(100), chunksize=1)
        workers = pool._pool
        if chance.random() < 0.5:
            workers[0].kill()
        getattr(pool, end)()
        workers[-1].kill()
        pool.join()


INTERRUPTED = """
import sys
import tress.multiprocessing as mp
from tests.processes import calls
if __name__ == "__main__":
    with mp.get_context(sys.argv[1]).Pool(2) as pool:
        calls_made = [(sys.argv[2], str(n)) for n in range(2)]
        pool.map(calls.tell_and_wait_for_both, calls_made)
"""

FORGOTTEN = """
import sys
import tress.multiprocessing as mp
from tests.processes import calls
if __name__ == "__main__":
    pool = mp.get_context(sys.argv[1]).Pool(2)
    pool.map(calls.square, range(10))
    pending = pool.apply_async(calls.tell_and_wait, (sys.argv[2], "one"))
    print("done")
"""


@pytest.mark.parametrize("method", METHODS)
def test_an_interrupt_in_the_middle_of_map(method: str, tmp_path: Path) -> None:
    with start(INTERRUPTED, tmp_path, method) as parent:
        for name in ("0", "1"):
            until(tmp_path / name)
        os.killpg(parent.pid, signal.SIGINT)
        _, errors = parent.communicate(timeout=60)
    assert parent.returncode == -signal.SIGINT
    assert errors.count("Traceback") == 1, errors
    assert errors.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.parametrize("method", METHODS)
def test_a_program_that_forgets_its_pool_ends(method: str, tmp_path: Path) -> None:
    with start(FORGOTTEN, tmp_path, method) as program:
        output, errors = program.communicate(timeout=60)
    assert (output, errors, program.returncode) == ("done\n", "", 0)
