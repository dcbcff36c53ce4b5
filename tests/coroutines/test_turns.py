"""In which order a loop makes its calls, and how it ends."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.coroutines.turns import turn


def test_calls_are_made_in_order(loop: Any) -> None:
    seen: list[Any] = []
    for n in range(100):
        loop.call_soon(seen.append, n)
    assert seen == []
    turn(loop)
    assert seen == list(range(100))


def test_what_is_added_meanwhile_is_for_the_next_turn(loop: Any) -> None:
    seen: list[str] = []

    def again(depth: int) -> None:
        seen.append(f"again {depth}")
        if depth:
            loop.call_soon(again, depth - 1)

    loop.call_soon(again, 2)
    loop.call_soon(seen.append, "other")
    turn(loop)
    assert seen == ["again 2", "other"]
    turn(loop)
    assert seen == ["again 2", "other", "again 1"]
    turn(loop)
    assert seen == ["again 2", "other", "again 1", "again 0"]


def test_stop_finishes_the_turn(loop: Any) -> None:
    seen: list[str] = []
    loop.call_soon(loop.stop)
    loop.call_soon(lambda: loop.call_soon(seen.append, "next turn"))
    loop.call_soon(seen.append, "this turn")
    loop.run_forever()
    assert seen == ["this turn"]
    turn(loop)
    assert seen == ["this turn", "next turn"]


def test_stop_before_the_start_is_one_turn(loop: Any) -> None:
    seen: list[str] = []
    left, right = socket.socketpair()
    with left, right:
        right.send(b"x")
        loop.add_reader(left, seen.append, "readable")
        loop.call_soon(seen.append, "called")
        loop.call_soon(loop.call_soon, seen.append, "next turn")
        loop.stop()
        loop.run_forever()
        assert sorted(seen) == ["called", "readable"]
        loop.remove_reader(left)


def test_stop_is_for_one_run(loop: Any) -> None:
    loop.stop()
    loop.stop()
    loop.run_forever()
    seen: list[int] = []
    loop.call_soon(loop.call_soon, seen.append, 1)
    loop.call_later(0, loop.call_soon, loop.stop)
    loop.run_forever()
    assert seen == [1]


def test_run_until_complete(loop: Any) -> None:
    async def compute() -> int:
        await asyncio.sleep(0)
        return 7

    async def fail() -> None:
        raise ValueError("wrong")

    assert loop.run_until_complete(compute()) == 7
    with pytest.raises(ValueError, match="wrong"):
        loop.run_until_complete(fail())
    future = loop.create_future()
    loop.call_soon(future.set_result, 8)
    assert loop.run_until_complete(future) == 8
    assert loop.run_until_complete(future) == 8


def test_run_until_complete_when_it_is_stopped(loop: Any) -> None:
    future = loop.create_future()
    loop.call_soon(loop.stop)
    with pytest.raises(RuntimeError, match=r"Event loop stopped before Future completed\."):
        loop.run_until_complete(future)
    # The future does not stop a later run.
    future.set_result(None)
    seen: list[int] = []
    loop.call_soon(loop.call_soon, loop.call_soon, seen.append, 1)
    turn(loop, 3)
    assert seen == [1]


def test_the_state_of_a_loop(loop: Any) -> None:
    seen: list[Any] = []

    def look() -> None:
        seen.append((loop.is_running(), loop.is_closed(), asyncio.get_running_loop() is loop))

    assert not loop.is_running()
    loop.call_soon(look)
    turn(loop)
    assert seen == [(True, False, True)]
    assert not loop.is_running()
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


def test_no_loop_runs_within_another(
    library: ModuleType, loop: Any, new_loop: Callable[[], Any]
) -> None:
    if library is asyncio and sys.version_info[:2] == (3, 13):
        pytest.skip("the standard loop forgets there that it runs")
    other = new_loop()
    errors: list[str] = []

    def run(which: Any) -> None:
        try:
            which.run_forever()
        except RuntimeError as error:
            errors.append(str(error))

    loop.call_soon(run, loop)
    loop.call_soon(run, other)
    turn(loop)
    assert errors == [
        "This event loop is already running",
        "Cannot run the event loop while another loop is running",
    ]
    turn(other)


def test_a_failed_call_is_told_to_the_exception_handler(
    loop: Any, contexts: list[dict[str, Any]]
) -> None:
    class Odd(BaseException):
        pass

    def fail(error: BaseException) -> None:
        raise error

    errors = [ValueError("wrong"), Odd(), asyncio.CancelledError(), GeneratorExit()]
    handles = [loop.call_soon(fail, error) for error in errors]
    seen: list[int] = []
    loop.call_soon(seen.append, 1)
    turn(loop)
    assert [context["exception"] for context in contexts] == errors
    assert all(
        context["handle"] is handle for context, handle in zip(contexts, handles, strict=True)
    )
    assert all(set(context) == {"message", "exception", "handle"} for context in contexts)
    assert contexts[0]["message"].startswith("Exception in callback ")
    assert "fail" in contexts[0]["message"]
    assert seen == [1]


def test_messages_are_the_standard_librarys() -> None:
    import tress.asyncio

    def fail(*_: object) -> None:
        raise ValueError

    told: list[list[str]] = []
    for factory in (asyncio.SelectorEventLoop, tress.asyncio.EventLoop):
        messages: list[str] = []
        loop: Any = factory()
        loop.set_exception_handler(lambda _, context, m=messages: m.append(context["message"]))
        loop.call_soon(fail)
        loop.call_soon(fail, 1, "two")
        loop.call_soon(int, "x")
        loop.call_later(0, fail, 3)
        loop.call_soon_threadsafe(fail, 4)
        loop.call_later(0.001, loop.stop)
        loop.run_forever()
        loop.close()
        told.append(sorted(messages))
    assert told[0] == told[1]
    assert len(told[0]) == 5


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_loop(kind: type[BaseException], loop: Any) -> None:
    seen: list[int] = []

    def fail() -> None:
        raise kind

    loop.call_soon(seen.append, 1)
    loop.call_soon(fail)
    loop.call_soon(seen.append, 2)
    with pytest.raises(kind):
        loop.run_forever()
    assert seen == [1]
    assert not loop.is_running()
    # What was left of the turn is there still.
    turn(loop)
    assert seen == [1, 2]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_exception_handler_that_ends_the_loop(kind: type[BaseException], loop: Any) -> None:
    def handler(*_: object) -> None:
        raise kind

    loop.set_exception_handler(handler)
    loop.call_soon(int, "x")
    with pytest.raises(kind):
        loop.run_forever()
    loop.set_exception_handler(None)
    turn(loop)


def test_an_exception_handler_that_fails(loop: Any, caplog: pytest.LogCaptureFixture) -> None:
    def handler(*_: object) -> None:
        raise RuntimeError("bad handler")

    loop.set_exception_handler(handler)
    loop.call_soon(int, "x")
    turn(loop)
    assert "Unhandled error in exception handler" in caplog.text
    loop.set_exception_handler(None)
    loop.call_soon(int, "x")
    turn(loop)
    assert "Exception in callback int(" in caplog.text
