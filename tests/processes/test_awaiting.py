"""Results of pools in coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tress
from tests.processes import calls
from tests.processes.jobs import BOUND_S
from tests.processes.test_process_pool import until
from tress.concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from tress.multiprocessing.pool import Pool, ThreadPool

pytestmark = [
    pytest.mark.bound(120),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


@pytest.fixture
def pool(ctx: Any) -> Iterator[Pool]:
    with ctx.Pool(2) as pool:
        yield pool
    pool.join()


def test_futures(ctx: Any) -> None:
    async def main() -> None:
        with ThreadPoolExecutor(1) as threads, ProcessPoolExecutor(1, mp_context=ctx) as processes:
            for executor in (threads, processes):
                assert await executor.submit(calls.square, 3) == 9
                with pytest.raises(ValueError, match="so it is"):
                    await executor.submit(calls.fail, "so it is")

    asyncio.run(asyncio.wait_for(main(), BOUND_S))


def test_results(pool: Pool) -> None:
    async def main() -> None:
        told: list[Any] = []
        assert await pool.apply_async(calls.square, (3,), callback=told.append) == 9
        assert told == [9]
        assert await pool.map_async(calls.square, range(4)) == [0, 1, 4, 9]
        with pytest.raises(tress.WorkerLostError):
            await pool.apply_async(calls.kill_self)

    asyncio.run(asyncio.wait_for(main(), BOUND_S))


@pytest.mark.parametrize("name", ["imap", "imap_unordered"])
@pytest.mark.parametrize("chunksize", [1, 7])
def test_iterators(pool: Pool, name: str, chunksize: int) -> None:
    async def main() -> list[int]:
        iterator = getattr(pool, name)(calls.square, iter(range(700)), chunksize)
        return [number async for number in iterator]

    found = asyncio.run(asyncio.wait_for(main(), BOUND_S))
    assert sorted(found) == [n * n for n in range(700)]
    assert name == "imap_unordered" or found == sorted(found)


def test_an_iterator_waits_without_holding_the_loop_up(pool: Pool, tmp_path: Path) -> None:
    async def main() -> None:
        arguments = [(str(tmp_path), "begun")]
        for name in ("imap", "imap_unordered"):
            iterator = getattr(pool, name)(calls.tell_and_wait_for_both, arguments)
            waiting = asyncio.ensure_future(anext(iterator))
            await asyncio.to_thread(until, tmp_path / "begun")
            assert not waiting.done()
            (tmp_path / "go").touch()
            assert await waiting == "begun"
            with pytest.raises(StopAsyncIteration):
                await anext(iterator)
            (tmp_path / "go").unlink()
            (tmp_path / "begun").unlink()

    asyncio.run(asyncio.wait_for(main(), BOUND_S))


def test_threads() -> None:
    async def main() -> None:
        with ThreadPool(2) as pool:
            assert await pool.apply_async(calls.square, (3,)) == 9
            numbers = [n async for n in pool.imap_unordered(calls.square, range(50))]
            assert sorted(numbers) == [n * n for n in range(50)]

    asyncio.run(asyncio.wait_for(main(), BOUND_S))
