"""`wait` and `as_completed`, with futures of both libraries and both mixed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any

import pytest

import tress
from tests.threads.futures_of import LIBRARIES, Gate, future_in
from tests.threads.ordering import BOUND_S, Runner, until
from tress.concurrent.futures import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    Future,
    ThreadPoolExecutor,
)

tress_futures = LIBRARIES["tress"]
standard_futures = LIBRARIES["standard"]

# The functions of one library with the futures of one or the other, or of both in turn.
PAIRS = {
    "standard alone": (standard_futures, [standard_futures]),
    "tress alone": (tress_futures, [tress_futures]),
    "tress with standard futures": (tress_futures, [standard_futures]),
    "standard with tress futures": (standard_futures, [tress_futures]),
    "tress with both": (tress_futures, [tress_futures, standard_futures]),
    "standard with both": (standard_futures, [standard_futures, tress_futures]),
}


class Library:
    """`wait` and `as_completed` of one library, and futures to use them with."""

    def __init__(self, functions: ModuleType, makers: list[ModuleType]) -> None:
        self.functions = functions
        self._makers = makers
        self._made: list[Any] = []

    def future(self, state: str = "PENDING", **attributes: Any) -> Any:
        """A new future where the test wants it."""
        maker = self._makers[len(self._made) % len(self._makers)]
        self._made.append(future_in(maker, state, **attributes))
        return self._made[-1]

    def futures(self, count: int) -> list[Any]:
        """New pending futures."""
        return [self.future() for _ in range(count)]

    def await_observed(self, *futures: Any) -> None:
        """Waits until somebody waits for all these futures."""
        self.await_observers(1, futures)

    def await_observers(self, count: int, futures: Iterable[Any]) -> None:
        """Waits until so many wait for each of these futures."""
        expected = [count for _ in futures]
        until(
            lambda: [self.observers(future) for future in futures] == expected,
            f"{count} wait for each",
        )

    @staticmethod
    def observers(future: Any) -> int:
        """How many calls of `wait` and `as_completed` wait for a future."""
        if isinstance(future, Future):
            count: int = future.statistics()["observers"]
            return count
        return len(future._waiters)

    def assert_nobody_waits(self) -> None:
        """No future has kept a trace of who waited for it."""
        assert [self.observers(future) for future in self._made] == [0] * len(self._made)


@pytest.fixture(params=PAIRS)
def library(request: pytest.FixtureRequest) -> Iterator[Library]:
    """Each pair; at the end nobody waits for any of its futures."""
    name: str = request.param
    made = Library(*PAIRS[name])
    yield made
    made.assert_nobody_waits()


def end(future: Any, how: str = "result") -> None:
    if how == "cancelled":
        future.cancel()
    future.set_running_or_notify_cancel()
    if how == "result":
        future.set_result(future)
        # No cycle.
        future._result = None
    elif how == "exception":
        future.set_exception(OSError())


# wait


def test_the_result_is_the_standard_librarys_named_pair(library: Library) -> None:
    result: Any = library.functions.wait([])
    assert type(result) is concurrent.futures._base.DoneAndNotDoneFutures
    assert result.done == set()
    assert result.not_done == set()


@pytest.mark.parametrize("when", [ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION])
def test_futures_that_have_ended(library: Library, when: str) -> None:
    futures = [
        library.future("FINISHED", result=1),
        library.future("CANCELLED_AND_NOTIFIED"),
        library.future("FINISHED", exception=OSError()),
        library.future("FINISHED", result=2),
    ]
    assert library.functions.wait(futures, return_when=when) == (set(futures), set())
    assert library.functions.wait(iter(futures * 2), 0, when) == (set(futures), set())


@pytest.mark.parametrize("timeout", [0, -1, 0.001])
@pytest.mark.parametrize("when", [ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION])
def test_timeouts(library: Library, when: str, timeout: float) -> None:
    """One that is merely cancelled may still be in somebody's queue: it has not ended."""
    futures = [library.future(state) for state in ("PENDING", "RUNNING", "CANCELLED")]
    assert library.functions.wait(futures, timeout, when) == (set(), set(futures))


@pytest.mark.parametrize("how", ["result", "exception", "cancelled"])
def test_all_completed(library: Library, how: str) -> None:
    futures = library.futures(4)
    end(futures[0], how)
    waiting = Runner(library.functions.wait, futures, BOUND_S)
    library.await_observed(*futures[1:])
    for future in futures[1:]:
        assert waiting.is_running
        end(future, how)
    assert waiting.result() == (set(futures), set())


@pytest.mark.parametrize("how", ["result", "exception", "cancelled"])
def test_first_completed(library: Library, how: str) -> None:
    futures = library.futures(4)
    waiting = Runner(library.functions.wait, futures, BOUND_S, FIRST_COMPLETED)
    library.await_observed(*futures)
    end(futures[2], how)
    done, not_done = {futures[2]}, {futures[0], futures[1], futures[3]}
    assert waiting.result() == (done, not_done)
    assert library.functions.wait(futures, None, FIRST_COMPLETED) == (done, not_done)


def test_first_exception(library: Library) -> None:
    futures = library.futures(5)
    waiting = Runner(library.functions.wait, futures, BOUND_S, FIRST_EXCEPTION)
    library.await_observed(*futures)
    end(futures[0], "result")
    end(futures[1], "cancelled")
    assert waiting.is_running
    end(futures[2], "exception")
    done, not_done = set(futures[:3]), set(futures[3:])
    assert waiting.result() == (done, not_done)
    assert library.functions.wait(futures, None, FIRST_EXCEPTION) == (done, not_done)


def test_first_exception_without_one(library: Library) -> None:
    futures = library.futures(2)
    waiting = Runner(library.functions.wait, futures, BOUND_S, FIRST_EXCEPTION)
    library.await_observed(*futures)
    end(futures[0], "result")
    assert waiting.is_running
    end(futures[1], "cancelled")
    assert waiting.result() == (set(futures), set())


def test_what_ends_before_the_timeout_is_done(library: Library) -> None:
    futures = library.futures(3)
    waiting = Runner(library.functions.wait, futures, 0.3)
    library.await_observed(*futures)
    end(futures[1])
    assert waiting.result() == ({futures[1]}, {futures[0], futures[2]})


def test_a_bad_condition(library: Library) -> None:
    futures = library.futures(1)
    with pytest.raises(ValueError, match=r"^Invalid return condition: 'SOMETIME'$"):
        library.functions.wait(futures, return_when="SOMETIME")


@pytest.mark.parametrize("futures", [7, [7], ["ab"], None])
def test_what_is_no_future(library: Library, futures: Any) -> None:
    with pytest.raises((TypeError, AttributeError)):
        library.functions.wait(futures)
    with pytest.raises((TypeError, AttributeError)):
        list(library.functions.as_completed(futures))


def test_several_wait_for_the_same(library: Library) -> None:
    futures = library.futures(3)
    waiting = [Runner(library.functions.wait, futures, BOUND_S) for _ in range(3)]
    first = Runner(library.functions.wait, futures, BOUND_S, FIRST_COMPLETED)
    library.await_observers(4, futures)
    end(futures[0])
    assert first.result().done == {futures[0]}
    end(futures[1])
    end(futures[2])
    assert [runner.result() for runner in waiting] == [(set(futures), set())] * 3


def test_the_wait_is_seen() -> None:
    futures = {Future[int](), Future[int]()}
    waiting = Runner(tress_futures.wait, futures, BOUND_S).await_blocked()
    operations = {wait.operation for wait in tress.waits()}
    assert "wait" in operations
    for future in futures:
        future.set_result(1)
    waiting.result()
    completing = Runner(list, tress_futures.as_completed([Future(), *futures], 0.3))
    until(
        lambda: "as_completed" in {wait.operation for wait in tress.waits()},
        "as_completed waits",
    )
    with pytest.raises(TimeoutError):
        completing.result()


# as_completed


def test_as_completed_of_nothing(library: Library) -> None:
    assert list(library.functions.as_completed([])) == []


def test_as_completed_of_what_has_ended(library: Library) -> None:
    futures = [
        library.future("FINISHED", result=1),
        library.future("CANCELLED_AND_NOTIFIED"),
        library.future("FINISHED", exception=OSError()),
    ]
    completed = list(library.functions.as_completed(iter(futures * 3), timeout=0))
    assert len(completed) == 3
    assert set(completed) == set(futures)


@pytest.mark.parametrize("how", ["result", "exception", "cancelled"])
def test_as_completed_in_the_order_of_the_ends(library: Library, how: str) -> None:
    futures = library.futures(5)
    end(futures[4], how)
    completed = library.functions.as_completed(futures, BOUND_S)
    assert next(completed) is futures[4]
    for index in (2, 0):
        end(futures[index], how)
        assert next(completed) is futures[index]
    end(futures[3], how)
    end(futures[1], how)
    assert list(completed) == [futures[3], futures[1]]


def test_as_completed_waits(library: Library) -> None:
    futures = library.futures(3)
    completed = library.functions.as_completed(futures)
    for index in (1, 2, 0):
        waiting = Runner(next, completed)
        library.await_observed(futures[index])
        end(futures[index])
        assert waiting.result() is futures[index]
    assert list(completed) == []


@pytest.mark.parametrize("timeout", [0, -1, 0.001])
def test_as_completed_with_a_timeout(library: Library, timeout: float) -> None:
    futures = library.futures(3)
    end(futures[1])
    completed = library.functions.as_completed(futures, timeout)
    assert next(completed) is futures[1]
    with pytest.raises(TimeoutError, match=r"^2 \(of 3\) futures unfinished$"):
        next(completed)
    assert list(completed) == []


def test_the_clock_starts_with_the_first_request(library: Library) -> None:
    """A generator does nothing before it is asked."""
    futures = library.futures(2)
    completed = library.functions.as_completed(futures, BOUND_S)
    assert [library.observers(future) for future in futures] == [0, 0]
    assert completed.gi_frame is not None
    end(futures[0])
    assert next(completed) is futures[0]
    completed.close()


def test_a_dropped_iterator_leaves_nobody_waiting(library: Library) -> None:
    futures = library.futures(3)
    end(futures[0])
    completed = library.functions.as_completed(futures)
    assert next(completed) is futures[0]
    assert [library.observers(future) for future in futures] == [0, 1, 1]
    del completed
    gc.collect()
    library.assert_nobody_waits()


def test_an_exception_in_the_loop_leaves_nobody_waiting(library: Library) -> None:
    futures = library.futures(2)
    end(futures[0])

    def loop() -> None:
        for _ in library.functions.as_completed(futures):
            raise KeyError

    with pytest.raises(KeyError):
        loop()
    gc.collect()
    library.assert_nobody_waits()


@pytest.mark.parametrize("functions", LIBRARIES)
@pytest.mark.parametrize("maker", LIBRARIES)
def test_what_was_yielded_is_let_go_of(functions: str, maker: str) -> None:
    futures = [future_in(LIBRARIES[maker], "PENDING") for _ in range(4)]
    for future in futures[:2]:
        end(future)
    seen = []
    futures_left = futures
    iterator = LIBRARIES[functions].as_completed(futures, BOUND_S)
    while futures_left:
        future = next(iterator)
        futures_left.remove(future)
        reference = weakref.ref(future)
        seen.append(reference)
        del future
        gc.collect()
        assert reference() is None
        if futures_left and not futures_left[0].done():
            end(futures_left[0])
    assert len(seen) == 4


def test_nothing_is_lost_between_ending_and_waiting() -> None:
    """Futures end in two threads while a third waits for them in all the ways."""
    for turn in range(60):
        futures = [Future[int]() for _ in range(10)]
        go = threading.Barrier(3)

        how = ("result", "exception", "cancelled")[turn % 3]

        def finish(part: list[Future[int]], how: str, go: threading.Barrier) -> None:
            go.wait(BOUND_S)
            for future in part:
                end(future, how)

        finishers = [Runner(finish, part, how, go) for part in (futures[:5], futures[5:])]
        go.wait(BOUND_S)
        if turn % 2:
            assert set(tress_futures.as_completed(futures, BOUND_S)) == set(futures)
        else:
            assert tress_futures.wait(futures, BOUND_S) == (set(futures), set())
        for finisher in finishers:
            finisher.result()
        assert [future.statistics()["observers"] for future in futures] == [0] * 10


# Both kinds of executors, and asyncio.


@pytest.mark.parametrize("functions", LIBRARIES.values(), ids=LIBRARIES.keys())
def test_executors_of_both_libraries(functions: ModuleType) -> None:
    with ThreadPoolExecutor(2) as ours, standard_futures.ThreadPoolExecutor(2) as theirs:
        futures = [pool.submit(pow, n, 2) for n in range(50) for pool in (ours, theirs)]
        results = [future.result() for future in functions.as_completed(futures, BOUND_S)]
        assert sorted(results) == sorted([n**2 for n in range(50)] * 2)
        assert functions.wait(futures, BOUND_S) == (set(futures), set())


def run_async(main: Callable[[], Any]) -> Any:
    return asyncio.run(asyncio.wait_for(main(), BOUND_S))


def test_an_event_loop_on_our_executor() -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(2) as pool:
            loop.set_default_executor(pool)
            many = [loop.run_in_executor(None, pow, n, 2) for n in range(50)]
            results = await asyncio.gather(*many)
            with pytest.raises(ValueError, match="invalid literal"):
                await loop.run_in_executor(pool, int, "x")
            assert await asyncio.to_thread(len, "four") == 4
        return results

    assert run_async(main) == [n**2 for n in range(50)]


def test_wrapped_futures() -> None:
    async def main() -> None:
        done: Future[int] = Future()
        done.set_result(1)
        assert await asyncio.wrap_future(done) == 1
        failed: Future[int] = Future()
        wrapped = asyncio.wrap_future(failed)
        failed.set_exception(OSError("x"))
        with pytest.raises(OSError, match="x"):
            await wrapped
        cancelled: Future[int] = Future()
        wrapped = asyncio.wrap_future(cancelled)
        assert wrapped.cancel()
        await asyncio.sleep(0)
        assert cancelled.cancelled()
        late: Future[int] = Future()
        wrapped = asyncio.wrap_future(late)
        finisher = threading.Thread(target=late.set_result, args=(7,))
        finisher.start()
        assert await wrapped == 7
        finisher.join(BOUND_S)

    run_async(main)


def test_a_cancelled_call_of_an_event_loop(gate: Gate) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as pool:
            running = loop.run_in_executor(pool, gate)
            gate.await_entered()
            waiting = loop.run_in_executor(pool, gate)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await asyncio.sleep(0)  # the loop tells the pool's future in its next turn
            gate.open()
            await running
            until(lambda: pool.statistics()["cancelled"] == 1, "the second is passed over")

    run_async(main)


def test_a_coroutine_run_from_a_thread() -> None:
    """Such a future is the standard library's, unless tress is installed."""

    async def main() -> str:
        loop = asyncio.get_running_loop()

        async def inner() -> str:
            return "inner"

        def outside() -> str:
            future = asyncio.run_coroutine_threadsafe(inner(), loop)
            done, _ = tress_futures.wait([future], BOUND_S)
            assert done == {future}
            return future.result(0)

        return await asyncio.to_thread(outside)

    assert run_async(main) == "inner"
