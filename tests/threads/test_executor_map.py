"""ThreadPoolExecutor.map beside the standard library's, and its buffer on every version."""

from __future__ import annotations

import contextlib
import gc
import itertools
import threading
import weakref
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.threads.futures_of import LIBRARIES, Gate, collect
from tests.threads.ordering import BOUND_S
from tress.concurrent.futures import ThreadPoolExecutor


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> ModuleType:
    """The standard `concurrent.futures`, and tress's."""
    name: str = request.param
    return LIBRARIES[name]


def test_map(library: ModuleType) -> None:
    with library.ThreadPoolExecutor(3) as pool:
        assert list(pool.map(pow, range(10), itertools.repeat(2))) == [n**2 for n in range(10)]
        assert list(pool.map(lambda: 1)) == []
        assert list(pool.map(int, [])) == []
        assert list(pool.map(collect, "ab", "cde", chunksize=7)) == [
            (("a", "c"), {}),
            (("b", "d"), {}),
        ]
        assert next(iter(pool.map(int, "1", timeout=BOUND_S))) == 1


def test_map_raises_in_turn_and_cancels_the_rest(library: ModuleType, gate: Gate) -> None:
    made = []

    def call(number: int) -> int:
        made.append(number)
        if number == 1:
            raise ValueError("in its turn")
        if number == 2:
            gate()
        return number

    with library.ThreadPoolExecutor(1) as pool:
        results = pool.map(call, range(10))
        assert next(results) == 0
        with pytest.raises(ValueError, match=r"^in its turn$"):
            next(results)
        assert list(results) == []
        gate.open()
    assert made in ([0, 1], [0, 1, 2])


def test_map_with_a_timeout(library: ModuleType, gate: Gate) -> None:
    with library.ThreadPoolExecutor(1) as pool:
        results = pool.map(lambda number: gate() if number else number, range(3), timeout=0.2)
        assert next(results) == 0
        with pytest.raises(TimeoutError):
            next(results)
        gate.open()


def test_a_closed_map_cancels(library: ModuleType, gate: Gate) -> None:
    made: list[int] = []
    with library.ThreadPoolExecutor(1) as pool:
        pool.submit(gate)
        gate.await_entered()
        results = pool.map(made.append, range(5), timeout=0)
        with contextlib.closing(results), pytest.raises(TimeoutError):
            next(results)
        gate.open()
    assert made == []


def test_map_submits_before_it_is_iterated(library: ModuleType) -> None:
    made: list[int] = []
    with library.ThreadPoolExecutor(2) as pool:
        pool.map(made.append, range(10))
    assert sorted(made) == list(range(10))


def test_map_goes_on_while_its_input_waits_for_it() -> None:
    """An input that waits for the first call to be made: calls begin before all are submitted."""
    begun = threading.Event()

    def inputs() -> Iterator[Callable[[], None]]:
        yield begun.set
        assert begun.wait(BOUND_S)
        yield lambda: None

    with ThreadPoolExecutor(1) as pool:
        assert list(pool.map(lambda call: call(), inputs())) == [None, None]


def test_an_input_of_map_that_raises(library: ModuleType) -> None:
    def inputs() -> Iterator[int]:
        yield 1
        raise KeyError("in the input")

    with library.ThreadPoolExecutor(1) as pool:
        with pytest.raises(KeyError, match="in the input"):
            pool.map(int, inputs())
        assert pool.submit(int).result(BOUND_S) == 0


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_map_with_a_buffer(size: int) -> None:
    taken = []

    def inputs() -> Iterator[int]:
        for number in range(20):
            taken.append(number)
            yield number

    with ThreadPoolExecutor(2) as pool:
        results = pool.map(str, inputs(), buffersize=size)
        assert len(taken) == min(size, 20)
        assert next(results) == "0"
        assert len(taken) == min(size + 1, 20)
        assert list(results) == [str(number) for number in range(1, 20)]
        endless = pool.map(str, itertools.count(), buffersize=size)
        assert [next(endless) for _ in range(30)] == [str(number) for number in range(30)]
        endless.close()  # type: ignore[attr-defined]


def test_a_buffered_map_does_not_keep_its_executor() -> None:
    pool = ThreadPoolExecutor(1)
    results = pool.map(str, range(10), buffersize=3)
    seen = weakref.ref(pool)
    del pool
    gc.collect()
    assert seen() is None
    assert list(results) == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("size", "error", "message"),
    [
        ("1", TypeError, r"^buffersize must be an integer or None$"),
        (1.5, TypeError, r"^buffersize must be an integer or None$"),
        (0, ValueError, r"^buffersize must be None or > 0$"),
        (-1, ValueError, r"^buffersize must be None or > 0$"),
    ],
)
def test_bad_buffers(size: Any, error: type[Exception], message: str) -> None:
    with ThreadPoolExecutor(1) as pool, pytest.raises(error, match=message):
        pool.map(int, "1", buffersize=size)


def test_map_uses_an_own_submit(library: ModuleType) -> None:
    submitted = []

    class Own(library.ThreadPoolExecutor):  # type: ignore[name-defined, misc]
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            submitted.append(args)
            return super().submit(fn, *args, **kwargs)

    with Own(1) as pool:
        assert list(pool.map(int, "12")) == [1, 2]
    assert submitted == [("1",), ("2",)]
