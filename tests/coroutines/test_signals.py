"""Signals while a loop runs, above all while it sleeps."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import tress.asyncio
from tests.coroutines.turns import FAR, Called, turn
from tests.programs.processes import wait_until_asleep
from tests.threads.ordering import BOUND_S, Runner, outcome

USR1 = signal.SIGUSR1


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Every test begins and ends with the usual handlers."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, USR1)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.set_wakeup_fd(-1) == -1
    for number, handler in before.items():
        signal.signal(number, handler)


def run_until_asleep_then(number: int, program: str) -> tuple[str, str, int]:
    """Run a program until its main thread sleeps, having said so; send a signal, and wait."""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        wait_until_asleep(process.pid)
        process.send_signal(number)
        try:
            stdout, stderr = process.communicate(timeout=BOUND_S)
        finally:
            process.kill()
    return stdout, stderr, process.returncode


MODULES = ["asyncio", "tress.asyncio"]


@pytest.mark.parametrize("module", MODULES)
def test_ctrl_c_in_an_idle_loop(module: str) -> None:
    stdout, stderr, code = run_until_asleep_then(
        signal.SIGINT,
        f"""
import {module} as asyncio
loop = asyncio.SelectorEventLoop()
loop.call_soon(print, "ready")
loop.call_later({FAR}, print, "later")
import sys; sys.stdout.reconfigure(line_buffering=True)
try:
    loop.run_forever()
except KeyboardInterrupt:
    print("interrupted", loop.is_running())
loop.call_soon(loop.stop)
loop.run_forever()
loop.close()
""",
    )
    assert (stdout, stderr, code) == ("interrupted False\n", "", 0)


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("catches", [True, False])
def test_ctrl_c_in_run(catches: bool, module: str) -> None:
    """It cancels the main task; then `run` raises KeyboardInterrupt."""
    stdout, stderr, code = run_until_asleep_then(
        signal.SIGINT,
        f"""
import {module} as asyncio
async def main():
    print("ready", flush=True)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        print("cancelled", flush=True)
        raise
try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted", flush=True)
    if not {catches}:
        raise
""",
    )
    assert stdout == "cancelled\ninterrupted\n"
    assert code == (0 if catches else -signal.SIGINT)
    assert ("KeyboardInterrupt" in stderr) is not catches


@pytest.mark.parametrize("module", MODULES)
def test_ctrl_c_in_a_loop_that_never_sleeps(module: str) -> None:
    program = f"""
import os, signal
import {module} as asyncio
loop = asyncio.SelectorEventLoop()
def again(n):
    if n == 100:
        os.kill(os.getpid(), signal.SIGINT)
    loop.call_soon(again, n + 1)
loop.call_soon(again, 0)
try:
    loop.run_forever()
except KeyboardInterrupt:
    print("interrupted")
loop.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")


def test_ctrl_c_in_a_callback_leaves_the_rest(loop: Any) -> None:
    seen: list[int] = []
    loop.call_soon(seen.append, 1)
    loop.call_soon(signal.raise_signal, signal.SIGINT)
    loop.call_soon(loop.stop)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    turn(loop, 2)
    assert seen == [1]


def test_a_handler_of_pythons_own_runs_while_the_loop_sleeps(loop: Any) -> None:
    seen: list[int] = []

    def handle(number: int, _: object) -> None:
        seen.append(number)
        loop.call_soon_threadsafe(loop.stop)

    signal.signal(USR1, handle)
    for _ in range(3):
        sender = Runner(_send_when_asleep)
        loop.run_forever()
        sender.result()
    assert seen == [USR1] * 3


def _send_when_asleep() -> None:
    wait_until_asleep(os.getpid())
    os.kill(os.getpid(), USR1)


def test_signal_handlers_of_the_loop(loop: Any) -> None:
    called = Called()
    loop.add_signal_handler(USR1, called, 1, "two")
    signal.raise_signal(USR1)
    turn(loop, 3)
    assert called.arguments == [(1, "two")]
    loop.add_signal_handler(USR1, called, "replaced")
    signal.raise_signal(USR1)
    turn(loop, 3)
    assert called.arguments[1:] == [("replaced",)]
    assert loop.remove_signal_handler(USR1) is True
    assert loop.remove_signal_handler(USR1) is False
    assert signal.getsignal(USR1) is signal.SIG_DFL


def test_they_wake_a_sleeping_loop(loop: Any) -> None:
    loop.add_signal_handler(USR1, loop.stop)
    for _ in range(3):
        sender = Runner(_send_when_asleep)
        loop.run_forever()
        sender.result()
    loop.remove_signal_handler(USR1)


def test_a_signal_just_before_the_loop_sleeps(loop: Any) -> None:
    """From another thread, at any moment."""
    rounds = 300
    count = 0

    def note() -> None:
        nonlocal count
        count += 1
        if count < rounds:
            Runner(os.kill, os.getpid(), USR1)
        else:
            loop.stop()

    loop.add_signal_handler(USR1, note)
    Runner(os.kill, os.getpid(), USR1)
    loop.run_forever()
    assert count == rounds
    loop.remove_signal_handler(USR1)


def test_one_that_removes_itself(loop: Any) -> None:
    seen: list[bool] = []

    def handle() -> None:
        seen.append(loop.remove_signal_handler(USR1))
        loop.stop()

    def begin() -> None:
        loop.add_signal_handler(USR1, handle)
        signal.raise_signal(USR1)

    loop.call_soon(begin)
    loop.run_forever()
    assert seen == [True]
    # The loop still hears of other signals.
    signal.signal(USR1, lambda *_: loop.call_soon_threadsafe(loop.stop))
    sender = Runner(_send_when_asleep)
    loop.run_forever()
    sender.result()


def test_closing_removes_them(loop: Any) -> None:
    loop.add_signal_handler(USR1, print)
    turn(loop)
    loop.close()
    assert signal.getsignal(USR1) is signal.SIG_DFL


ATTEMPTS = {
    "kill": lambda loop: loop.add_signal_handler(signal.SIGKILL, print),
    "number": lambda loop: loop.add_signal_handler(1000, print),
    "zero": lambda loop: loop.add_signal_handler(0, print),
    "text": lambda loop: loop.add_signal_handler("USR1", print),
    "coroutine": lambda loop: loop.add_signal_handler(USR1, asyncio.sleep),
    "remove number": lambda loop: loop.remove_signal_handler(1000),
    "thread": lambda loop: Runner(loop.add_signal_handler, USR1, print).result(),
}


@pytest.mark.parametrize("name", ATTEMPTS)
def test_bad_signals(name: str) -> None:
    loops: list[Any] = [asyncio.SelectorEventLoop(), tress.asyncio.EventLoop()]
    theirs, ours = (outcome(ATTEMPTS[name], loop) for loop in loops)
    assert isinstance(theirs, type)
    assert ours == theirs
    for loop in loops:
        loop.close()


def test_a_descriptor_of_the_programs_own_stays() -> None:
    """The one that `signal.set_wakeup_fd` sets."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    loop: Any = tress.asyncio.EventLoop()
    signal.signal(USR1, lambda *_: None)
    signal.set_wakeup_fd(write_end)
    loop.call_soon(signal.raise_signal, USR1)
    turn(loop, 2)
    assert signal.set_wakeup_fd(-1) == write_end
    assert os.read(read_end, 10) == bytes([USR1])
    loop.close()
    os.close(read_end)
    os.close(write_end)
