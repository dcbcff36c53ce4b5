"""Handles: what `call_soon` and its kin return."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import tress.asyncio
from tests.coroutines.turns import FAR, Called, Thing, turn

Add = Callable[..., Any]


@pytest.fixture(params=["call_soon", "call_soon_threadsafe", "call_later", "call_at"])
def add(loop: Any, request: pytest.FixtureRequest) -> Add:
    """Each way to have something called: with the function, its arguments and a context."""
    if request.param == "call_later":
        return lambda *args, **options: loop.call_later(0, *args, **options)
    if request.param == "call_at":
        return lambda *args, **options: loop.call_at(loop.time(), *args, **options)
    return getattr(loop, request.param)  # type: ignore[no-any-return]


def test_arguments(loop: Any, add: Add) -> None:
    called = Called()
    cases: list[tuple[Any, ...]] = [(), (1,), ((1,),), (1, 2), (None,), ([], {}, "three")]
    for arguments in cases:
        called.arguments.clear()
        add(called, *arguments)
        turn(loop, 2)
        assert called.arguments == [arguments]


@pytest.mark.parametrize("end", ["called", "closed", "abandoned"])
@pytest.mark.parametrize("method", ["call_soon", "call_soon_threadsafe", "call_later"])
def test_a_burst_leaves_nothing(method: str, end: str) -> None:
    """Of handles that are kept, cancelled or thrown away, with contexts that hold them."""
    loop: Any = tress.asyncio.EventLoop()
    variable: contextvars.ContextVar[Any] = contextvars.ContextVar("variable")
    called: list[None] = []
    references: list[weakref.ref[Any]] = []
    delay = (0,) if method == "call_later" else ()
    before = len(gc.get_objects())

    def call(thing: Any) -> None:
        assert variable.get() is thing
        called.append(None)

    def add(loop: Any) -> None:
        for number in range(5_000):
            thing: Any = Thing()
            thing.loop = loop
            variable.set(thing)
            references.append(weakref.ref(thing))
            handle = getattr(loop, method)(*delay, call, thing)
            if number % 3 == 0:
                thing.handle = handle
            if number % 5 == 0:
                thing.context = handle.get_context()
            if number % 7 == 0:
                handle.cancel()
            if number % 1_000 == 0:
                gc.collect()

    contextvars.copy_context().run(add, loop)
    gc.collect()
    if end == "called":
        turn(loop, 1 + len(delay))
        assert len(called) == 5_000 - 715
    else:
        assert all(reference() is not None for reference in references[1::7])
    if end != "abandoned":
        loop.close()
    del loop
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
        gc.collect()
    assert not [reference for reference in references if reference() is not None]
    assert len(gc.get_objects()) - before < 500 + len(references)


def test_a_cancelled_call_is_not_made(loop: Any, add: Add) -> None:
    called = Called()
    handle = add(called, 1)
    assert handle.cancelled() is False
    assert handle.cancel() is None
    assert handle.cancelled() is True
    handle.cancel()
    turn(loop, 2)
    assert called.arguments == []
    assert handle.cancelled() is True


def test_cancelling_drops_the_callback_and_its_arguments(loop: Any, add: Add) -> None:
    called, thing = Called(), Thing()
    references: list[Any] = [weakref.ref(called), weakref.ref(thing)]
    handle = add(called, thing)
    del called, thing
    assert all(reference() is not None for reference in references)
    handle.cancel()
    assert [reference() for reference in references] == [None, None]


def test_a_call_that_was_made_is_forgotten(loop: Any, add: Add) -> None:
    called, thing = Called(), Thing()
    references: list[Any] = [weakref.ref(called), weakref.ref(thing)]
    references.append(weakref.ref(add(called, thing)))
    del called, thing
    turn(loop, 2)
    assert [reference() for reference in references] == [None, None, None]


def test_a_callback_cancels_its_own_handle(loop: Any, add: Add) -> None:
    seen: list[Any] = []
    handles: list[Any] = []
    thing = Thing()
    reference = weakref.ref(thing)

    def cancel_itself(argument: Thing) -> None:
        handles[0].cancel()
        # What is called is kept until it returns.
        seen.append((handles[0].cancelled(), isinstance(argument, Thing)))

    handles.append(add(cancel_itself, thing))
    del thing
    turn(loop, 2)
    assert seen == [(True, True)]
    assert reference() is None


def test_a_callback_cancels_another_of_the_same_turn(loop: Any) -> None:
    called = Called()
    handles: list[Any] = []
    loop.call_soon(lambda: handles[0].cancel())
    handles.append(loop.call_soon(called))
    turn(loop)
    assert called.arguments == []


def test_cancelling_after_the_call(loop: Any, add: Add) -> None:
    called = Called()
    handle = add(called)
    turn(loop, 2)
    handle.cancel()
    assert handle.cancelled()
    assert called.arguments == [()]


def test_the_context_is_a_copy(loop: Any, add: Add) -> None:
    variable = contextvars.ContextVar("variable", default=0)
    seen: list[int] = []

    def call() -> None:
        seen.append(variable.get())
        variable.set(99)

    variable.set(1)
    add(call)
    variable.set(2)
    add(call)
    turn(loop, 2)
    assert seen == [1, 2]
    assert variable.get() == 2


def test_a_context_of_the_callers_own(loop: Any, add: Add) -> None:
    variable = contextvars.ContextVar("variable", default=0)
    context = contextvars.copy_context()
    add(variable.set, 1, context=context)
    add(lambda: variable.set(variable.get() + 1), context=context)
    add(variable.set, 5, context=None)
    turn(loop, 2)
    assert context[variable] == 2
    assert variable.get() == 0


def test_a_context_that_is_entered_already(
    loop: Any, add: Add, caplog: pytest.LogCaptureFixture
) -> None:
    context = contextvars.copy_context()
    called = Called()
    add(called, context=context)
    context.run(turn, loop, 2)
    assert called.arguments == []
    # A handler of the program's own would be called in that context, since 3.12.
    assert "Exception in callback" in caplog.text
    assert "is already entered" in caplog.text
    turn(loop)


def test_what_cannot_be_called_is_told_to_the_exception_handler(
    loop: Any, add: Add, contexts: list[dict[str, Any]]
) -> None:
    add(17)
    turn(loop, 2)
    assert isinstance(contexts[0]["exception"], TypeError)


def test_isinstance(loop: Any) -> None:
    soon, later = loop.call_soon(print), loop.call_later(FAR, print)
    assert isinstance(soon, asyncio.Handle)
    assert not isinstance(soon, asyncio.TimerHandle)
    assert isinstance(later, asyncio.Handle)
    assert isinstance(later, asyncio.TimerHandle)
    soon.cancel()
    later.cancel()


REPEATED: list[tuple[str, tuple[Any, ...]]] = [
    ("function", (turn, 1, "two")),
    ("without arguments", (turn,)),
    ("built in", (len, [])),
    ("method", ([].append, None)),
    ("object", (Called.__call__, 3)),
]


@pytest.mark.parametrize(("_name", "call"), REPEATED, ids=[name for name, _ in REPEATED])
@pytest.mark.parametrize("is_cancelled", [False, True])
def test_reprs_are_the_standard_librarys(
    is_cancelled: bool, _name: str, call: tuple[Any, ...]
) -> None:
    loop = tress.asyncio.EventLoop()
    standard = asyncio.SelectorEventLoop()
    pairs = [
        (loop.call_soon(*call), standard.call_soon(*call)),
        (loop.call_at(FAR, *call), standard.call_at(FAR, *call)),
    ]
    for ours, theirs in pairs:
        if is_cancelled:
            ours.cancel()
            theirs.cancel()
        assert repr(ours) == repr(theirs)
    loop.close()
    standard.close()


BY: list[Callable[[Any, Any], object]] = [
    lambda a, b: a < b,
    lambda a, b: a <= b,
    lambda a, b: a > b,
    lambda a, b: a >= b,
    lambda a, b: a == b,
    lambda a, b: a != b,
]


def test_timer_handles_are_compared_by_their_times(loop: Any) -> None:
    # Each by another time: handles are equal if all of them is.
    early, late = loop.call_at(FAR, print), loop.call_at(FAR + 1, print)
    assert [by(early, late) for by in BY] == [True, True, False, False, False, True]
    assert [by(late, early) for by in BY] == [False, False, True, True, False, True]
    assert [by(early, early) for by in BY] == [False, True, False, True, True, False]
    again, other = loop.call_at(FAR, print), loop.call_at(FAR, len)
    assert [by(early, again) for by in BY] == [False, True, False, True, True, False]
    assert early != other
    assert hash(early) == hash(again) == hash(FAR)
    again.cancel()
    assert early != again
    assert early != 1
    assert (early == FAR) is False
    with pytest.raises(TypeError):
        assert early < 1
    assert sorted([late, early]) == [early, late]


def test_timer_handles_of_both_libraries_are_compared() -> None:
    loops: list[Any] = [asyncio.SelectorEventLoop(), tress.asyncio.EventLoop()]
    for one, another in (loops, reversed(loops)):
        early, late = one.call_at(FAR, print), another.call_at(FAR + 1, print)
        assert [by(early, late) for by in BY] == [True, True, False, False, False, True]
        assert [by(late, early) for by in BY] == [False, False, True, True, False, True]
    for loop in loops:
        loop.close()


def test_when(loop: Any) -> None:
    assert loop.call_at(FAR, print).when() == FAR
    before = loop.time()
    when = loop.call_later(5, print).when()
    assert before + 5 <= when <= loop.time() + 5
