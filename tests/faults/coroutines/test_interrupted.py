"""Ctrl-C, other signals and forks while a loop is at work, as the standard library documents."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest

from tests.faults.coroutines.conftest import Run
from tests.faults.coroutines.ends import pair
from tests.faults.coroutines.pattern import is_pattern, pattern

LIMIT_S = 60.0
PIECE = 50_000
TOTAL = 400 * PIECE
MODULES = ["asyncio", "tress.asyncio"]


async def echo_all() -> int:
    """Send the pattern through a stream that echoes it; how much came back as it was."""
    ours, theirs = pair()
    reader, writer = await asyncio.open_connection(sock=ours)
    far_reader, far_writer = await asyncio.open_connection(sock=theirs)

    async def echo() -> None:
        while data := await far_reader.read(1 << 16):
            far_writer.write(data)
            await far_writer.drain()
        far_writer.close()
        await far_writer.wait_closed()

    async def write() -> None:
        for at in range(0, TOTAL, PIECE):
            writer.write(pattern(at, PIECE))
            await writer.drain()
        writer.write_eof()

    tasks = [asyncio.ensure_future(echo()), asyncio.ensure_future(write())]
    received = 0
    while data := await reader.read(1 << 16):
        assert is_pattern(received, data)
        received += len(data)
    await asyncio.gather(*tasks)
    writer.close()
    await writer.wait_closed()
    return received


@contextmanager
def storm(interval_s: float) -> Iterator[None]:
    """SIGALRM again and again."""
    signal.setitimer(signal.ITIMER_REAL, interval_s, interval_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.mark.parametrize("how", ["signal", "add_signal_handler"])
def test_a_storm_of_signals(run: Run, how: str) -> None:
    """Each byte arrives all the same, and the handlers are called meanwhile."""
    called = 0

    def handle(*_: object) -> None:
        nonlocal called
        called += 1

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        if how == "signal":
            before = signal.signal(signal.SIGALRM, handle)
        else:
            before = signal.getsignal(signal.SIGALRM)
            loop.add_signal_handler(signal.SIGALRM, handle)
        try:
            with storm(0.0005):
                assert await echo_all() == TOTAL
                while called < 5:
                    await asyncio.sleep(0)
        finally:
            if how == "add_signal_handler":
                assert loop.remove_signal_handler(signal.SIGALRM)
            signal.signal(signal.SIGALRM, before)

    run(scene())


PROGRAM = """
import {module} as asyncio, os, signal, sys, threading, time
states = []
async def wait(event):
    try:
        await event.wait()
    finally:
        states.append("cleaned")
async def produce(queue):
    try:
        number = 0
        while True:
            await queue.put(number)
            number += 1
            if number % 100 == 0:
                await asyncio.sleep(0)
    finally:
        states.append("cleaned")
async def consume(queue):
    expected = 0
    try:
        while True:
            assert await queue.get() == expected
            expected += 1
    finally:
        states.append("cleaned")
async def main():
    event, queue = asyncio.Event(), asyncio.Queue(10)
    tasks = [asyncio.create_task(wait(event)) for _ in range(5)]
    tasks += [asyncio.create_task(produce(queue)), asyncio.create_task(consume(queue))]
    await asyncio.sleep(0)  # they have begun
    threading.Timer({delay}, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        await asyncio.wait(tasks, return_when="FIRST_EXCEPTION")
    finally:
        states.append("main cleaned")
try:
    asyncio.run(main())
except KeyboardInterrupt:
    states.append("interrupted")
print(states.count("cleaned"), states.count("main cleaned"), states[-1])
"""


def run_program(text: str) -> tuple[str, int, str]:
    done = subprocess.run(
        [sys.executable, "-c", text],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    return done.stdout, done.returncode, done.stderr


@pytest.mark.parametrize("module", MODULES)
def test_ctrl_c_at_any_moment(module: str) -> None:
    """The main task is cancelled, and then the others: all clean up, and `run` raises."""
    chance = random.Random(7)
    for _ in range(4):
        program = PROGRAM.format(module=module, delay=chance.random() * 0.02)
        assert run_program(program) == ("7 1 interrupted\n", 0, "")


@pytest.mark.parametrize("module", MODULES)
def test_a_second_ctrl_c(module: str) -> None:
    """It is for who does not heed the first: KeyboardInterrupt at once."""
    program = f"""
import {module} as asyncio, os, signal
async def main():
    while True:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            print("again", flush=True)
try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    assert run_program(program) == ("again\ninterrupted\n", 0, "")


@pytest.mark.parametrize("module", MODULES)
def test_ctrl_c_during_a_call_in_a_thread(module: str) -> None:
    """The call goes on to its end; the program ends after it."""
    program = f"""
import {module} as asyncio, os, signal, threading, time
began = threading.Event()
def work():
    began.set()
    time.sleep(0.2)
    print("worked", flush=True)
async def main():
    threading.Thread(target=lambda: (began.wait(), os.kill(os.getpid(), signal.SIGINT))).start()
    await asyncio.to_thread(work)
try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    assert run_program(program) == ("worked\ninterrupted\n", 0, "")


@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
def test_forks_during_an_echo(library: ModuleType, run: Run) -> None:
    """Children with loops of their own, while the parent's is at work: both get every byte."""
    children = 5

    async def scene() -> None:
        pids: list[int] = []

        def fork() -> None:
            pid = os.fork()
            if pid:
                pids.append(pid)
                return
            code = 1
            try:
                signal.alarm(60)
                code = 0 if library.run(echo_all()) == TOTAL else 2
            finally:
                os._exit(code)

        loop = asyncio.get_running_loop()
        for at in range(children):
            loop.call_later(at * 0.002, fork)
        assert await echo_all() == TOTAL
        while len(pids) < children:
            await asyncio.sleep(0.001)
        for pid in pids:
            _, status = await asyncio.to_thread(os.waitpid, pid, 0)
            assert os.waitstatus_to_exitcode(status) == 0
        assert await echo_all() == TOTAL

    run(scene())


@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
def test_a_fork_with_a_descriptor_that_is_watched(run: Run) -> None:
    """The child closes what it has inherited; the parent is still told of its own."""

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        seen: Any = loop.create_future()
        loop.add_reader(ours, seen.set_result, True)
        pid = os.fork()
        if pid == 0:
            ours.close()
            theirs.close()
            os._exit(0)
        await asyncio.to_thread(os.waitpid, pid, 0)
        theirs.send(b"x")
        assert await seen
        loop.remove_reader(ours)
        ours.close()
        theirs.close()

    run(scene())
