"""Functions and classes that plain pickle cannot send: by value, where cloudpickle is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.processes import calls
from tests.processes.jobs import BOUND_S
from tress import _by_value
from tress.concurrent.futures import ProcessPoolExecutor

pytestmark = [
    pytest.mark.bound(120),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


def adder(amount: int) -> Callable[[int], int]:
    return lambda number: number + amount


def test_lambdas_and_closures_as_calls_and_results(ctx: Any) -> None:
    with ProcessPoolExecutor(1, mp_context=ctx) as executor:
        assert executor.submit(lambda a, *, b: (a, b), 1, b=2).result(BOUND_S) == (1, 2)
        assert list(executor.map(adder(10), range(5), chunksize=2)) == [10, 11, 12, 13, 14]
        assert executor.submit(adder, 3).result(BOUND_S)(4) == 7
        assert executor.submit(calls.square, 3).result(BOUND_S) == 9
    with ctx.Pool(1) as pool:
        assert pool.map(lambda n: -n, range(4)) == [0, -1, -2, -3]
        assert list(pool.imap_unordered(adder(1), [1])) == [2]


def test_a_class_of_a_function_and_an_exception_of_one(ctx: Any) -> None:
    class Pair:
        def __init__(self, a: int, b: int) -> None:
            self.a, self.b = a, b

    class Wrong(Exception):
        pass

    def fail() -> None:
        raise Wrong("so")

    with ProcessPoolExecutor(1, mp_context=ctx) as executor:
        made = executor.submit(lambda: Pair(1, 2)).result(BOUND_S)
        assert type(made) is Pair
        assert (made.a, made.b) == (1, 2)
        with pytest.raises(Wrong, match="so"):
            executor.submit(fail).result(BOUND_S)


def test_an_initializer(ctx: Any) -> None:
    name = f"TRESS_BY_VALUE_{os.getpid()}"

    def begin(value: str) -> None:
        os.environ[name] = value

    with ProcessPoolExecutor(1, ctx, begin, ("executor",)) as executor:
        assert executor.submit(os.getenv, name).result(BOUND_S) == "executor"
    with ctx.Pool(1, begin, ("pool",)) as pool:
        assert pool.apply(os.getenv, (name,)) == "pool"


def test_large_buffers_stay_apart(ctx: Any) -> None:
    data = bytearray(b"x" * 1_000_000)
    with ProcessPoolExecutor(1, mp_context=ctx) as executor:
        length = executor.submit(lambda buffer: len(bytes(buffer)), data).result(BOUND_S)
    assert length == len(data)


def test_what_cannot_be_sent_at_all_is_refused_as_ever(ctx: Any) -> None:
    lock = threading.Lock()
    with ProcessPoolExecutor(1, mp_context=ctx) as executor:
        with pytest.raises(TypeError, match="cannot pickle"):
            executor.submit(id, lock).result(BOUND_S)
        error = executor.submit(lambda: lock).exception(BOUND_S)
        assert "lambda" in str(error)
        assert "cannot pickle '_thread.lock' object" in error.__notes__[-1]
        assert executor.submit(calls.square, 2).result(BOUND_S) == 4


def test_without_cloudpickle_the_error_says_what_would_help(
    ctx: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_by_value, "_pickler", None)
    monkeypatch.setattr(_by_value, "_is_missing", False)
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with ProcessPoolExecutor(1, mp_context=ctx) as executor:
        error = executor.submit(lambda: 1).exception(BOUND_S)
        assert error is not None
        assert "lambda" in str(error)
        assert "tress[cloudpickle]" in error.__notes__[-1]
        assert executor.submit(calls.square, 2).result(BOUND_S) == 4


SESSION = """
from tress.concurrent.futures import ProcessPoolExecutor
import tress.multiprocessing as mp

executor = ProcessPoolExecutor(1, mp_context=mp.get_context({method!r}))
executor.submit(int).result()
amount = 1

class Point:
    def __init__(self, x):
        self.x = x

def move(point):
    return Point(point.x + amount)

print(executor.submit(move, Point(1)).result().x)
amount = 10
moved = executor.submit(move, Point(1)).result()
print(moved.x, type(moved) is Point)
executor.shutdown()
"""


def test_what_is_defined_in_a_session_after_the_workers_have_begun(ctx: Any) -> None:
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SESSION.format(method=ctx.get_start_method())],
        check=True,
        capture_output=True,
        text=True,
        timeout=BOUND_S,
    )
    assert told.stdout.split() == ["2", "11", "True"]


PROGRAM = """
from tress.concurrent.futures import ProcessPoolExecutor
import tress.multiprocessing as mp

class Point:
    pass

def same(value):
    return type(value) is Point

if __name__ == "__main__":
    with ProcessPoolExecutor(1, mp_context=mp.get_context({method!r})) as executor:
        print(executor.submit(lambda value: same(value), Point()).result())
        print(type(executor.submit(lambda: Point()).result()) is Point)
"""


def test_a_class_of_a_program_is_the_one_that_its_worker_has(ctx: Any, tmp_path: Any) -> None:
    file = tmp_path / "program.py"
    file.write_text(PROGRAM.format(method=ctx.get_start_method()))
    told = subprocess.run(
        [sys.executable, "-W", "ignore", file],
        check=True,
        capture_output=True,
        text=True,
        timeout=BOUND_S,
    )
    assert told.stdout.split() == ["True", "True"]
