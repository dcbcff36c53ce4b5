"""What calls may do to the worker that makes them: it costs that call, and the pool goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.processes import calls
from tests.processes.jobs import BOUND_S
from tress import WorkerLostError
from tress.concurrent.futures import ProcessPoolExecutor

pytestmark = [
    pytest.mark.bound(120),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

ROOT = Path(__file__).resolve().parents[2]
GIB = 1 << 30


def close_everything(_: object = None) -> str:
    os.closerange(3, 4096)
    return "closed"


def interrupt(_: object = None) -> None:
    raise KeyboardInterrupt("of the call's own")


def test_one_that_closes_the_descriptors_of_its_process(ctx: Any) -> None:
    with ProcessPoolExecutor(2, mp_context=ctx, on_worker_lost="fail_task") as executor:
        closing = [executor.submit(close_everything) for _ in range(4)]
        for future in closing:
            # The answer may find its way nevertheless, and the worker die of a later call.
            assert isinstance(future.exception(BOUND_S), (WorkerLostError, type(None)))
        for _ in closing:
            squares = [executor.submit(calls.square, n) for n in range(50)]
            errors = [future.exception(BOUND_S) for future in squares]
            if not any(errors):
                break
            assert all(isinstance(error, (WorkerLostError, type(None))) for error in errors)
        assert list(executor.map(calls.square, range(50))) == [n * n for n in range(50)]
    with ctx.Pool(1) as pool:
        outcome = pool.apply_async(close_everything)
        outcome.wait(BOUND_S)
        assert outcome.ready()
        assert pool.map(calls.square, range(50)) == [n * n for n in range(50)]
        pool.close()
        pool.join()


def test_one_that_raises_an_interrupt_of_its_own(ctx: Any) -> None:
    with ProcessPoolExecutor(1, mp_context=ctx) as executor:
        pid = executor.submit(calls.pid).result(BOUND_S)
        with pytest.raises(KeyboardInterrupt, match="of the call's own"):
            executor.submit(interrupt).result(BOUND_S)
        assert executor.submit(calls.pid).result(BOUND_S) == pid


FLOOD = """
import os, sys
import tress.multiprocessing as mp
from tests.processes.calls import square

def flood(_):
    while True:
        os.write(1, b"x" * 65536)

if __name__ == "__main__":
    ctx = mp.get_context({method!r})
    with ctx.Pool(2) as pool:
        flooding = pool.apply_async(flood, (0,))
        assert pool.map(square, range(50), chunksize=1) == [n * n for n in range(50)]
        assert not flooding.ready()
    print("over", file=sys.stderr)
"""


def test_one_that_fills_standard_output(ctx: Any, tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(FLOOD.format(method=ctx.get_start_method()))
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", file],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        # Nobody reads standard output; it is there for the process to end.
        assert process.stderr.readline() == "over\n"
        process.stdout.close()
        assert process.wait(BOUND_S) in (0, 120)  # 120: it could not be flushed


@pytest.mark.nightly("3 GiB, copied once")
@pytest.mark.bound(300)
def test_an_argument_and_a_result_of_3_gib(ctx: Any) -> None:
    with open("/proc/meminfo") as file:
        lines = dict(line.split(":") for line in file)
    available = int(lines["MemAvailable"].split()[0]) * 1024
    if available < 20 * GIB:
        pytest.skip(f"{available // GIB} GiB of memory are not enough")
    data = bytes(3 * GIB)
    with ProcessPoolExecutor(1, mp_context=ctx) as executor:
        assert executor.submit(len, data).result(250) == 3 * GIB
        assert executor.submit(bytes, 3 * GIB).result(250) == data
