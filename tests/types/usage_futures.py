"""A user's program on `tress.concurrent.futures`: checked by mypy --strict, and run."""

from __future__ import annotations

import asyncio
import concurrent.futures as standard
from typing import Any, assert_type

from tress import Progress
from tress.concurrent import futures
from tress.multiprocessing.pool import ThreadPool


def half(number: int) -> float:
    return number / 2


def executor() -> None:
    started: list[str] = []
    with futures.ThreadPoolExecutor(
        max_workers=2, thread_name_prefix="half", initializer=started.append, initargs=("here",)
    ) as pool:
        as_standard: standard.Executor = pool
        future = pool.submit(half, 3)
        assert_type(future.result(), float)
        assert_type(future.result(timeout=1), float)
        assert_type(future.exception(), BaseException | None)
        assert_type(future.done(), bool)
        assert_type(future.running(), bool)
        assert_type(future.cancelled(), bool)
        assert_type(future.cancel(), bool)
        assert sorted(pool.map(half, [1, 2], timeout=5, chunksize=1)) == [0.5, 1.0]
        assert as_standard.submit(half, 1).result() == 0.5
        assert_type(pool.statistics(), dict[str, Any])
    pool.shutdown(wait=True, cancel_futures=True)
    assert started


def several() -> None:
    with futures.ThreadPoolExecutor() as pool, standard.ThreadPoolExecutor(1) as other:
        mixed: list[standard.Future[float]] = [pool.submit(half, 1), other.submit(half, 2)]
        for future in futures.as_completed(mixed, timeout=5):
            assert_type(future.result(), float)
        done, not_done = futures.wait(mixed, timeout=5, return_when=futures.ALL_COMPLETED)
        assert done == set(mixed)
        assert not not_done
        assert futures.wait(mixed, return_when=futures.FIRST_COMPLETED).done
        assert futures.wait(mixed, return_when=futures.FIRST_EXCEPTION).done


def by_hand() -> None:
    seen: list[futures.Future[int]] = []
    future = futures.Future[int]()
    future.add_done_callback(seen.append)
    assert future.set_running_or_notify_cancel()
    future.set_result(7)
    assert [each.result() for each in seen] == [7]
    try:
        future.set_result(8)
    except futures.InvalidStateError as error:
        assert isinstance(error, standard.InvalidStateError)

    failed: futures.Future[int] = futures.Future()
    failed.set_exception(ValueError("no"))
    assert isinstance(failed.exception(timeout=1), ValueError)

    dropped: futures.Future[int] = futures.Future()
    dropped.cancel()
    try:
        dropped.result()
    except futures.CancelledError as error:
        assert isinstance(error, standard.CancelledError)

    waiting: futures.Future[int] = futures.Future()
    try:
        waiting.result(timeout=0.001)
    except futures.TimeoutError as error:
        assert isinstance(error, TimeoutError)
    assert_type(waiting.statistics(), dict[str, Any])


def with_asyncio() -> None:
    async def both() -> float:
        loop = asyncio.get_running_loop()
        with futures.ThreadPoolExecutor(1) as pool:
            wrapped = await asyncio.wrap_future(pool.submit(half, 2))
            return wrapped + await loop.run_in_executor(pool, half, 4)

    assert_type(asyncio.run(both()), float)


def progress() -> None:
    told: list[int] = []

    def tell(progress: Progress) -> None:
        assert_type(progress.total, int | None)
        told.append(assert_type(progress.done, int))

    with futures.ThreadPoolExecutor() as pool:
        for result in pool.map(half, [1, 2], progress=tell):
            assert_type(result, float)
        for future in futures.as_completed([pool.submit(half, 1)], progress=tell):
            assert_type(future.result(), float)
    with ThreadPool(1) as threads:
        # The caller may be ahead of the last that is told.
        assert threads.map(half, [1, 2], progress=tell) == [0.5, 1.0]
        assert list(threads.imap(half, [1, 2], progress=False)) == [0.5, 1.0]
    assert set(told) == {1, 2}


def main() -> None:
    executor()
    several()
    by_hand()
    with_asyncio()
    progress()


if __name__ == "__main__":
    main()
