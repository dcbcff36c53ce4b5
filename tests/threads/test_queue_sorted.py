"""The order of a priority queue is that of Python's `<`, whatever it is made of."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tress.queue import PriorityQueue

numbers = st.one_of(
    st.integers(-(2**70), 2**70),
    st.integers(-3, 3),
    st.sampled_from([0, 2**30 - 1, 2**30, 2**31, -(2**30) + 1, -(2**30), 2**60, True, False]),
    st.floats(allow_nan=False),
)
texts = st.sampled_from(["", "a", "b", "ab"])
items = st.one_of(
    st.lists(numbers, max_size=20),
    st.lists(texts, max_size=20),
    st.lists(st.tuples(numbers, texts), max_size=20),
    st.lists(st.tuples(st.integers(0, 3), st.tuples(st.floats(0, 1), texts)), max_size=20),
    st.lists(st.tuples(numbers), max_size=20),
)


def drained(q: PriorityQueue[Any]) -> list[Any]:
    return [q.get() for _ in range(q.qsize())]


@given(items)
def test_sorted_as_python_sorts(things: list[Any]) -> None:
    q: PriorityQueue[Any] = PriorityQueue()
    for thing in things:
        q.put(thing)
    assert drained(q) == sorted(things)


@pytest.mark.parametrize("one", [0, 1, -1, 2**30 - 1, 2**30, -(2**30), 2**62, 1.5, -0.0, True])
@pytest.mark.parametrize("other", [0, 1, -1, 2**30 - 1, 2**30, -(2**30), 2**62, 1.5, 0.0, False])
def test_every_pair_of_numbers(one: Any, other: Any) -> None:
    for left, right in [(one, other), ((one,), (other,)), ((one, "b"), (other, "a"))]:
        q: PriorityQueue[Any] = PriorityQueue()
        q.put(right)
        q.put(left)
        assert q.get() == min(left, right)


@pytest.mark.parametrize(
    ("one", "other"), [(1, "1"), ((1, 2), 3), ((1, "a"), (1, 2)), (1j, 2j), ((), 1), (None, None)]
)
def test_what_cannot_be_compared_raises_what_python_raises(one: Any, other: Any) -> None:
    q: PriorityQueue[Any] = PriorityQueue()
    q.put(other)
    with pytest.raises(TypeError, match="'<' not supported between instances of"):
        q.put(one)


def test_empty_tuples_and_unequal_lengths() -> None:
    q: PriorityQueue[Any] = PriorityQueue()
    things = [(1, 2), (), (1,), (0,), (1, 1)]
    q.put_many(things)
    assert drained(q) == sorted(things)


def test_not_a_number_compares_as_in_python() -> None:
    nan = float("nan")
    q: PriorityQueue[Any] = PriorityQueue()
    q.put((nan, 2))
    q.put((nan, 1))
    # The same object: Python's tuples take it for equal, and go on to what follows.
    assert q.get() == (nan, 1)


def test_subclasses_of_numbers_and_tuples_are_asked() -> None:
    class Backwards(int):
        def __lt__(self, other: Any) -> bool:
            return int(self) > int(other)

    class Pair(tuple[int, ...]):
        def __lt__(self, other: Any) -> bool:
            return tuple(self) > tuple(other)

    q: PriorityQueue[Any] = PriorityQueue()
    q.put_many([Backwards(number) for number in (1, 3, 2)])
    assert drained(q) == [3, 2, 1]
    q.put_many([Pair((number, 0)) for number in (1, 3, 2)])
    assert drained(q) == [(3, 0), (2, 0), (1, 0)]


def test_many_in_and_out() -> None:
    dice = random.Random(1)
    q: PriorityQueue[tuple[int, int]] = PriorityQueue()
    inside: list[tuple[int, int]] = []
    for step in range(3_000):
        if inside and dice.random() < 0.45:
            inside.sort()
            assert q.get() == inside.pop(0)
        else:
            item = (dice.randrange(50), step)
            q.put(item)
            inside.append(item)
    assert q.get_many(len(inside)) == sorted(inside)
