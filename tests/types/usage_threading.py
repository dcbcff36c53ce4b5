"""A user's program on `tress.threading`: checked by mypy --strict, and run."""

from __future__ import annotations

import asyncio
import sys
import threading as standard
from typing import Any, assert_type

from tress import threading


class Doubler(threading.Thread):
    """A thread that is a subclass."""

    def __init__(self, number: int) -> None:
        super().__init__(name=f"doubler-{number}", daemon=True)
        self.number = number

    def run(self) -> Any:  # what it returns is the result; the standard class says None
        return 2 * self.number


def threads() -> None:
    thread = threading.Thread(target=pow, name="power", args=(2,), kwargs={"exp": 10}, daemon=False)
    thread.start()
    thread.join(timeout=10)
    thread.join()
    assert_type(thread.is_alive(), bool)
    assert_type(thread.ident, int | None)
    assert_type(thread.native_id, int | None)
    assert_type(thread.name, str)
    assert_type(thread.daemon, bool)
    assert thread.result() == 1024
    assert thread.result(timeout=1.0) == 1024

    doubler = Doubler(21)
    doubler.start()
    assert doubler.result(10) == 42
    as_standard: standard.Thread = doubler
    assert not as_standard.is_alive()

    timer = threading.Timer(3600.0, print, args=["never"], kwargs={"flush": True})
    timer.start()
    timer.cancel()
    timer.join()

    assert_type(threading.current_thread(), standard.Thread)
    assert_type(threading.main_thread(), standard.Thread)
    assert_type(threading.enumerate(), list[standard.Thread])
    assert_type(threading.active_count(), int)
    assert_type(threading.get_ident(), int)
    assert_type(threading.get_native_id(), int)
    assert_type(threading.stack_size(), int)
    assert_type(threading.TIMEOUT_MAX, float)


def locks() -> None:
    lock = threading.Lock()
    with lock:
        assert_type(lock.locked(), bool)
    assert_type(lock.acquire(), bool)
    assert not lock.acquire(blocking=False)
    assert not lock.acquire(timeout=0.001)
    lock.release()
    assert_type(lock.statistics(), dict[str, Any])

    rlock = threading.RLock()
    with rlock, rlock:
        assert rlock.acquire(True, 1)
        rlock.release()
    if sys.version_info >= (3, 14):
        assert_type(rlock.locked(), bool)
    assert_type(rlock.statistics(), dict[str, Any])

    for given in (None, lock, rlock):
        condition = threading.Condition(given)
        with condition:
            condition.notify()
            condition.notify(n=2)
            condition.notify_all()
            assert_type(condition.wait(timeout=0.001), bool)
            assert condition.wait_for(lambda: "ready", timeout=1) == "ready"
        assert_type(condition.statistics(), dict[str, Any])


def signals() -> None:
    semaphore = threading.Semaphore(2)
    with semaphore:
        assert_type(semaphore.acquire(blocking=False), bool)
        assert not semaphore.acquire(timeout=0.001)
        semaphore.release(n=1)
    bounded: threading.Semaphore = threading.BoundedSemaphore(value=1)
    try:
        bounded.release()
    except ValueError:
        pass
    assert_type(bounded.statistics(), dict[str, Any])

    event = threading.Event()
    event.set()
    assert_type(event.is_set(), bool)
    assert_type(event.wait(timeout=1), bool)
    event.clear()
    as_standard: standard.Event = event
    assert not as_standard.is_set()
    assert_type(event.statistics(), dict[str, Any])

    barrier = threading.Barrier(1, action=lambda: None, timeout=5)
    assert_type(barrier.wait(), int)
    assert_type(barrier.parties, int)
    assert_type(barrier.n_waiting, int)
    assert_type(barrier.broken, bool)
    barrier.abort()
    try:
        barrier.wait()
    except threading.BrokenBarrierError as error:
        assert isinstance(error, standard.BrokenBarrierError)
    barrier.reset()


def locals_and_hooks() -> None:
    data = threading.local()
    data.name = "mine"
    assert data.name == "mine"
    threading.settrace(threading.gettrace())
    threading.setprofile(threading.getprofile())
    assert callable(threading.excepthook)


async def awaited() -> None:
    lock, rlock, semaphore = threading.Lock(), threading.RLock(), threading.BoundedSemaphore(2)
    async with lock, rlock, semaphore:
        assert_type(lock.locked(), bool)
    assert_type(await rlock.aacquire(), bool)
    rlock.release()
    event = threading.Event()
    event.set()
    assert_type(await asyncio.create_task(event.await_()), bool)
    condition = threading.Condition()
    async with condition:
        assert_type(await condition.await_for(lambda: "ready"), str)
        waits = asyncio.create_task(notified(condition))
        assert_type(await condition.await_(), bool)
    await waits


async def notified(condition: threading.Condition) -> None:
    async with condition:
        condition.notify_all()


def main() -> None:
    threads()
    locks()
    signals()
    locals_and_hooks()
    asyncio.run(awaited())


if __name__ == "__main__":
    main()
