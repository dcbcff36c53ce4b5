"""ProcessPoolExecutor among signals: killed parents, killed workers, Ctrl-C."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.processes import calls
from tests.processes.test_process_pool import METHODS, until
from tests.threads.ordering import BOUND_S, until as wait_until
from tress.concurrent.futures import ProcessPoolExecutor
from tress.concurrent.futures.process import WorkerLostError

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.bound(120),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

ORPHANS = """
import multiprocessing, os, signal, sys
from tests.processes import calls
from tress.concurrent.futures import ProcessPoolExecutor
if __name__ == "__main__":
    pool = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(sys.argv[1]))
    pool.submit(calls.tell_and_wait, sys.argv[2], "one")
    pool.submit(calls.tell_and_wait, sys.argv[2], "two")
    sys.stdin.read(1)
    os.kill(os.getpid(), signal.SIGKILL)
"""

INTERRUPTED = """
import multiprocessing, sys
from tests.processes import calls
from tress.concurrent.futures import ProcessPoolExecutor
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        list(pool.map(calls.tell_and_wait, [sys.argv[2]] * 100, map(str, range(100))))
"""


INSTALLED = """
import sys, tress
tress.install()
if __name__ == "__main__":
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from tests.processes import calls
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(sys.argv[1])) as pool:
        print(sum(pool.map(calls.square, range(4))), type(pool).__mro__[1].__name__)
"""


def start(program: str, directory: Path, *arguments: str) -> subprocess.Popen[str]:
    path = directory / "program.py"
    path.write_text(program)
    return subprocess.Popen(
        [sys.executable, str(path), *arguments, str(directory)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(pidfd: int) -> bool:
    """Whether a process ends within the bound of a second that orphans have, and some."""
    return bool(select.select([pidfd], [], [], 5)[0])


@pytest.mark.parametrize("method", METHODS)
def test_workers_end_with_a_parent_that_is_killed(method: str, tmp_path: Path) -> None:
    with start(ORPHANS, tmp_path, method) as parent:
        workers = [os.pidfd_open(int(until(tmp_path / name))) for name in ("one", "two")]
        assert parent.stdin is not None
        parent.stdin.write("x")
        parent.stdin.close()
        try:
            assert all(ended(worker) for worker in workers)
        finally:
            for worker in workers:
                os.close(worker)


@pytest.mark.parametrize("method", METHODS)
def test_workers_in_which_tress_is_installed(method: str, tmp_path: Path) -> None:
    # There the standard module is first imported, and tress's with it, by what unpickles the
    # worker's own function.
    with start(INSTALLED, tmp_path, method) as program:
        output, errors = program.communicate(timeout=60)
    assert (output, errors) == ("14 ProcessPoolExecutor\n", "")


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
    begun = [path for path in tmp_path.iterdir() if path.name.isdigit()]
    assert len(begun) <= 4


def test_a_worker_that_dies_before_the_offer_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call is offered once more, by another thread, and must still be there."""
    import multiprocessing

    with ProcessPoolExecutor(
        1,
        mp_context=multiprocessing.get_context("fork"),
        on_worker_lost="retry",
        max_retries=1,
    ) as pool:
        engine: Any = pool._engine
        offer, limit, is_over = engine.offer, engine.watch.limit, threading.Event()

        def offer_after_the_first(future: Any) -> Any:
            if future._losses > 0:
                assert is_over.wait(BOUND_S)
                return offer(future)
            made = offer(future)
            is_over.set()
            return made

        def limit_late(future: Any, seconds: float) -> None:
            wait_until(lambda: future._losses > 0, "the worker has died")
            limit(future, seconds)

        monkeypatch.setattr(engine, "offer", offer_after_the_first)
        monkeypatch.setattr(engine.watch, "limit", limit_late)
        again = pool.with_options(timeout=BOUND_S)
        assert again.submit(calls.die_first, str(tmp_path / "marker")).result(BOUND_S) == "done"


def test_pending_calls_are_cancelled_though_their_numbers_are_not_noted(tmp_path: Path) -> None:
    """As when a signal has interrupted a submission."""
    import multiprocessing

    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork"))
    futures: list[Any] = [
        pool.submit(calls.tell_and_wait, str(tmp_path), str(number)) for number in range(20)
    ]
    until(tmp_path / "0")
    for future in futures[5:10]:
        future._task = None
    (tmp_path / "go").touch()
    pool.shutdown(cancel_futures=True)
    assert all(future.done() for future in futures)
    assert futures[-1].cancelled()


@pytest.mark.parametrize("method", METHODS)
def test_workers_killed_at_any_moment(method: str) -> None:
    import multiprocessing

    rounds = int(os.environ.get("TRESS_KILL_ROUNDS", "10"))
    chance = random.Random(method)
    with ProcessPoolExecutor(
        3, mp_context=multiprocessing.get_context(method), on_worker_lost="fail_task"
    ) as pool:
        for _ in range(rounds):
            futures = [pool.submit(calls.make, chance.choice((10, 100_000))) for _ in range(60)]
            futures[chance.randrange(60)].result()
            for process in list(pool._processes.values()):
                if chance.random() < 0.6:
                    process.kill()
            lost = 0
            for future in futures:
                try:
                    assert not any(future.result()[:10])
                except WorkerLostError:
                    lost += 1
            assert lost <= 3 * 2
    assert pool._engine.pool.unfinished == 0
