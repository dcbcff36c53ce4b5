"""Loops in debug mode."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import subprocess
import sys
import threading
from typing import Any

import pytest

from tests.coroutines.turns import FAR, Called, turn
from tests.threads.ordering import BOUND_S, Runner


@pytest.fixture
def debugged(loop: Any) -> Any:
    """A loop in debug mode, that calls nothing slow."""
    loop.set_debug(True)
    loop.slow_callback_duration = FAR
    return loop


def test_switching(loop: Any) -> None:
    assert loop.get_debug() is False
    loop.set_debug(True)
    assert loop.get_debug() is True
    assert "debug=True" in repr(loop)
    loop.set_debug(False)
    assert loop.get_debug() is False


def test_calls_are_made_all_the_same(debugged: Any) -> None:
    seen: list[Any] = []
    debugged.call_soon(seen.append, 1)
    debugged.call_soon_threadsafe(seen.append, 2)
    debugged.call_soon(seen.append, "never").cancel()
    turn(debugged)
    debugged.call_later(0.002, seen.append, 4)
    debugged.call_at(debugged.time(), seen.append, 3)
    debugged.call_later(0.001, seen.append, "never").cancel()
    debugged.call_later(0.003, debugged.stop)
    debugged.run_forever()
    assert seen == [1, 2, 3, 4]


def test_a_mode_that_changes_on_the_way(loop: Any) -> None:
    """Handles of both kinds keep their order."""
    seen: list[int] = []
    now = 0.0
    loop.time = lambda: now
    for n in range(10):
        loop.set_debug(bool(n % 2))
        loop.call_soon(seen.append, n)
        loop.call_at(n, seen.append, n + 10)
        loop.call_at(n, pytest.fail).cancel()
    loop.set_debug(False)
    now = 100.0
    turn(loop)
    assert seen == list(range(20))


def test_slow_calls_are_reported(debugged: Any, caplog: pytest.LogCaptureFixture) -> None:
    debugged.slow_callback_duration = 0
    with caplog.at_level(logging.WARNING, "asyncio"):
        debugged.call_soon(len, "argument")
        debugged.call_later(0, ord, "x")
        turn(debugged, 2)
    messages = [record.getMessage() for record in caplog.records]
    assert all(message.startswith("Executing <") for message in messages)
    assert all(message.rpartition(" took ")[2].endswith(" seconds") for message in messages)
    assert sum("len('argument')" in message for message in messages) == 1
    assert sum("ord('x')" in message and "TimerHandle" in message for message in messages) == 1
    assert {record.name for record in caplog.records} == {"asyncio"}


def test_slow_tasks_are_reported(debugged: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def slow() -> None:
        debugged.slow_callback_duration = 0
        await asyncio.sleep(0)

    with caplog.at_level(logging.WARNING, "asyncio"):
        debugged.run_until_complete(slow())
    assert "Executing <Task" in caplog.text
    assert "slow()" in caplog.text


def test_quick_ones_are_not(debugged: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "asyncio"):
        debugged.call_soon(len, "argument")
        turn(debugged)
    assert caplog.records == []


def test_handles_tell_where_they_were_made(debugged: Any) -> None:
    handles = [
        debugged.call_soon(print),
        debugged.call_later(FAR, print),
        debugged.call_at(FAR, print),
    ]
    for handle in handles:
        assert f"created at {__file__}:" in repr(handle)
        handle.cancel()
        assert repr(handle).startswith("<TimerHandle" if hasattr(handle, "when") else "<Handle")
        assert "cancelled" in repr(handle)
        assert "print()" in repr(handle)


def test_the_exception_handler_is_told_where(debugged: Any, contexts: list[dict[str, Any]]) -> None:
    handle = debugged.call_soon(int, "x")
    turn(debugged)
    (context,) = contexts
    assert context["handle"] is handle
    assert context["source_traceback"][-1].filename == __file__
    assert isinstance(context["exception"], ValueError)


def test_another_threads_calls_are_refused(debugged: Any) -> None:
    ready = threading.Event()
    debugged.call_soon(ready.set)
    running = Runner(debugged.run_forever)
    assert ready.wait(BOUND_S)
    for method in ("call_soon", "call_later", "call_at"):
        time = () if method == "call_soon" else (FAR,)
        with pytest.raises(RuntimeError, match="Non-thread-safe operation"):
            getattr(debugged, method)(*time, print)
    debugged.call_soon_threadsafe(debugged.stop)
    running.result()


async def _coroutine() -> None:
    pass


@pytest.mark.parametrize("callback", [None, 17, "text", _coroutine])
@pytest.mark.parametrize("method", ["call_soon", "call_soon_threadsafe", "call_later", "call_at"])
def test_what_cannot_be_called_is_refused(method: str, callback: Any, debugged: Any) -> None:
    time = () if "soon" in method else (FAR,)
    with pytest.raises(TypeError):
        getattr(debugged, method)(*time, callback)


def test_contexts(debugged: Any) -> None:
    variable = contextvars.ContextVar("variable", default=0)
    context = contextvars.copy_context()
    seen: list[int] = []
    debugged.call_soon(variable.set, 7, context=context)
    debugged.call_later(0, lambda: seen.append(variable.get()), context=context)
    debugged.call_soon(lambda: seen.append(variable.get()))
    turn(debugged, 2)
    assert seen == [0, 7]


def test_many_cancelled_timers(debugged: Any) -> None:
    called = Called()
    handles = [debugged.call_later(FAR, called) for _ in range(500)]
    for handle in handles:
        handle.cancel()
    debugged.call_later(0.001, debugged.stop)
    debugged.run_forever()
    assert called.arguments == []


@pytest.mark.parametrize("module", ["asyncio", "tress.asyncio"])
@pytest.mark.parametrize(
    ("flags", "environment"),
    [(["-X", "dev"], {}), ([], {"PYTHONASYNCIODEBUG": "1"})],
    ids=["-X dev", "environment"],
)
def test_from_outside(flags: list[str], environment: dict[str, str], module: str) -> None:
    done = subprocess.run(
        [
            *(sys.executable, *flags, "-c"),
            f"import {module} as a\nasync def main(): return a.get_running_loop().get_debug()\n"
            "print(a.run(main()), a.get_running_loop.__name__)",
        ],
        env=environment,
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )
    assert (done.returncode, done.stdout.split()[:1], done.stderr) == (0, ["True"], "")
