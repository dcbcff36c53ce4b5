"""Workers that are replaced when they have become too large."""

from __future__ import annotations

from typing import Any

import pytest

from tests.processes import calls
from tests.processes.jobs import BOUND_S
from tress.concurrent.futures import ProcessPoolExecutor

pytestmark = [
    pytest.mark.bound(120),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

MIB = 1 << 20
LIMIT = 250 * MIB
"""More than a worker has that does nothing, also a forked one: what it shares is not its own."""


def test_workers_of_an_executor(ctx: Any) -> None:
    with ProcessPoolExecutor(1, mp_context=ctx, max_worker_memory=LIMIT) as executor:
        pids = [executor.submit(calls.pid).result(BOUND_S) for _ in range(5)]
        # What the call leaves behind is small.
        assert len(executor.submit(calls.make, 300 * MIB).result(BOUND_S)) == 300 * MIB
        pids += [executor.submit(calls.pid).result(BOUND_S) for _ in range(5)]
        assert len(set(pids)) == 1
        assert executor.submit(calls.hoard, 300 * MIB).result(BOUND_S) == pids[0]
        after = [executor.submit(calls.pid).result(BOUND_S) for _ in range(5)]
        assert len({*after, pids[0]}) == 2


def test_workers_of_a_pool(ctx: Any) -> None:
    with ctx.Pool(2, max_worker_memory=LIMIT) as pool:
        pids = pool.map(calls.hoard, [300 * MIB] * 4, chunksize=1)
        assert len(set(pids)) == 4
        assert pool.map(calls.square, range(100)) == [n * n for n in range(100)]


def test_bad_limits(ctx: Any) -> None:
    with pytest.raises(ValueError, match="max_worker_memory must be greater than 0, not 0"):
        ctx.Pool(1, max_worker_memory=0)
    with pytest.raises(TypeError, match="max_worker_memory must be a number of bytes or None"):
        ProcessPoolExecutor(1, max_worker_memory="1G")
