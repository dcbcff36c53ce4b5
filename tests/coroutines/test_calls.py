"""`call_soon` and its kin: order, turns, handles, contexts, errors."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from tests.coroutines.turns import turn


def test_calls_are_made_in_order_with_their_arguments(loop: Any) -> None:
    made: list[tuple[int, ...]] = []
    for arguments in ((), (1,), (1, 2), (1, 2, 3)):
        loop.call_soon(lambda *given: made.append(given), *arguments)
    turn(loop)
    assert made == [(), (1,), (1, 2), (1, 2, 3)]


def test_what_a_call_adds_is_for_the_next_turn(loop: Any) -> None:
    made: list[str] = []

    def first() -> None:
        made.append("first")
        loop.call_soon(made.append, "second")

    loop.call_soon(first)
    turn(loop)
    assert made == ["first"]
    turn(loop)
    assert made == ["first", "second"]


def test_stop_ends_with_the_turn(loop: Any) -> None:
    made: list[str] = []
    loop.call_soon(loop.stop)
    loop.call_soon(made.append, "same turn")
    loop.call_soon(lambda: loop.call_soon(made.append, "next turn"))
    loop.run_forever()
    assert made == ["same turn"]


def test_a_cancelled_call_is_not_made_and_lets_go(loop: Any) -> None:
    class Kept:
        pass

    kept = Kept()
    there = weakref.ref(kept)
    handle = loop.call_soon(lambda _: pytest.fail("called"), kept)
    del kept
    assert there() is not None
    assert not handle.cancelled()
    handle.cancel()
    handle.cancel()
    gc.collect()
    assert handle.cancelled()
    assert there() is None
    turn(loop)


def test_a_call_may_cancel_itself(loop: Any) -> None:
    made: list[str] = []

    def call() -> None:
        handle.cancel()
        made.append("made")

    handle = loop.call_soon(call)
    turn(loop)
    assert made == ["made"]
    assert handle.cancelled()


def test_one_call_cancels_the_next(loop: Any) -> None:
    handles: list[Any] = []
    loop.call_soon(lambda: handles[0].cancel())
    handles.append(loop.call_soon(pytest.fail, "called"))
    turn(loop)


def test_handles_pass_for_the_standard_ones(own_loop: Any) -> None:
    standard: Any = asyncio.SelectorEventLoop()
    try:
        makers: list[Callable[[Any], Any]] = [
            lambda loop: loop.call_soon(print, 1, "two"),
            lambda loop: loop.call_at(7.0, print, 1),
            lambda loop: loop.call_soon_threadsafe(print),
        ]
        for make in makers:
            ours, theirs = make(own_loop), make(standard)
            assert isinstance(ours, type(theirs))
            assert repr(ours) == repr(theirs)
            assert ours._args == theirs._args
            assert isinstance(ours.get_context(), contextvars.Context)
            for handle in (ours, theirs):
                handle.cancel()
            assert repr(ours) == repr(theirs)
            assert ours._args is None
            assert ours._callback is None
    finally:
        standard.close()


def test_a_call_is_made_in_its_context(loop: Any) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    seen: list[str] = []
    given = contextvars.copy_context()
    given.run(variable.set, "given")
    variable.set("present")

    def change() -> None:
        seen.append(variable.get())
        variable.set("changed")

    loop.call_soon(change)
    loop.call_soon(lambda: seen.append(variable.get()))
    loop.call_soon(lambda: seen.append(variable.get()), context=given)
    turn(loop)
    assert seen == ["present", "present", "given"]
    assert variable.get() == "present"


def test_an_error_goes_to_the_handler_outside_the_context(loop: Any) -> None:
    told: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, about: told.append(about))
    error = ValueError("no")

    def fail() -> None:
        raise error

    handle = loop.call_soon(fail)
    made: list[str] = []
    loop.call_soon(made.append, "next")
    turn(loop)
    (about,) = told
    assert about["exception"] is error
    assert about["handle"] is handle
    assert about["message"].startswith("Exception in callback ")
    assert made == ["next"]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_ends_the_loop_first(loop: Any, kind: type[BaseException]) -> None:
    made: list[str] = []

    def end() -> None:
        raise kind

    loop.call_soon(end)
    loop.call_soon(made.append, "later")
    with pytest.raises(kind):
        loop.run_forever()
    assert not loop.is_running()
    assert made == []
    turn(loop)
    assert made == ["later"]


def test_a_closed_loop_takes_no_calls(loop: Any) -> None:
    loop.close()
    calls: list[Callable[[], Any]] = [
        lambda: loop.call_soon(print),
        lambda: loop.call_soon_threadsafe(print),
        lambda: loop.call_later(1, print),
        lambda: loop.call_at(1, print),
        lambda: loop.run_forever(),
        lambda: loop.add_reader(0, print),
    ]
    for call in calls:
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            call()
    assert loop.is_closed()
    loop.close()


def test_bad_arguments(own_loop: Any) -> None:
    with pytest.raises(TypeError):
        own_loop.call_soon()
    with pytest.raises(TypeError):
        own_loop.call_soon(print, 1, key=2)
    with pytest.raises(TypeError, match=r"context must be a contextvars\.Context, not int"):
        own_loop.call_soon(print, context=1)
    with pytest.raises(TypeError, match="delay must not be None"):
        own_loop.call_later(None, print)
    with pytest.raises(TypeError, match="when cannot be None"):
        own_loop.call_at(None, print)
    with pytest.raises(TypeError):
        own_loop.call_later("soon", print)


def test_another_thread_wakes_the_loop(loop: Any) -> None:
    made: list[int] = []
    is_asleep = threading.Event()

    def call() -> None:
        is_asleep.wait()
        loop.call_soon_threadsafe(made.append, threading.get_ident())
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=call)
    thread.start()
    loop.call_soon(is_asleep.set)
    loop.run_forever()
    thread.join()
    assert made == [thread.ident]


def test_a_loop_and_its_handles_are_collected(new_loop: Callable[[], Any]) -> None:
    class Kept:
        pass

    def use() -> tuple[weakref.ref[Any], weakref.ref[Any]]:
        loop, kept = new_loop(), Kept()
        kept.handle = loop.call_soon(print, kept)  # type: ignore[attr-defined]
        kept.timer = loop.call_later(3600, print, kept)  # type: ignore[attr-defined]
        loop.kept = kept
        there = weakref.ref(kept), weakref.ref(kept.timer)  # type: ignore[attr-defined]
        loop.close()
        del loop.kept
        return there

    kept, timer = use()
    gc.collect()
    assert kept() is None
    assert timer() is None
