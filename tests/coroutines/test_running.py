"""Running loops: nesting, threads, signals, fork, debug mode, and who makes a loop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

import tress
import tress.asyncio
from tests.coroutines.conftest import turn
from tress.concurrent.futures import ThreadPoolExecutor

LIMIT_S = 50.0


def test_a_running_loop_cannot_be_run_or_closed(loop: Any) -> None:
    async def main() -> None:
        assert loop.is_running()
        assert asyncio.get_running_loop() is loop
        with pytest.raises(RuntimeError, match="already running"):
            loop.run_forever()
        with pytest.raises(RuntimeError, match="Cannot close a running event loop"):
            loop.close()

    loop.run_until_complete(main())
    assert not loop.is_running()
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


def test_two_loops_in_two_threads(make_loop: Callable[[], Any]) -> None:
    loops = [make_loop(), make_loop()]

    async def ping(number: int) -> int:
        for _ in range(200):
            other = loops[1 - number]
            future = asyncio.run_coroutine_threadsafe(asyncio.sleep(0, number), other)
            assert await asyncio.wrap_future(future) == number
        return number

    ended = threading.Barrier(2)
    results: list[int] = []

    def run(number: int) -> None:
        results.append(loops[number].run_until_complete(both(number)))

    async def both(number: int) -> int:
        result = await ping(number)
        # The other loop is asked until it has ended as well.
        await asyncio.get_running_loop().run_in_executor(None, ended.wait)
        await asyncio.get_running_loop().shutdown_default_executor()
        return result

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [0, 1]


def test_signal_handlers(loop: Any) -> None:
    told: list[str] = []

    def tell() -> None:
        told.append("told")
        loop.stop()

    loop.add_signal_handler(signal.SIGUSR1, tell)
    loop.call_soon(os.kill, os.getpid(), signal.SIGUSR1)
    loop.run_forever()
    assert told == ["told"]
    assert loop.remove_signal_handler(signal.SIGUSR1)
    assert not loop.remove_signal_handler(signal.SIGUSR1)
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def test_the_wake_up_descriptor_of_the_program_s_stays(loop: Any) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        assert signal.set_wakeup_fd(writing) == -1
        turn(loop)
        assert signal.set_wakeup_fd(-1) == writing
        turn(loop)
        assert signal.set_wakeup_fd(-1) == -1
    finally:
        signal.set_wakeup_fd(-1)
        os.close(reading)
        os.close(writing)


def test_a_handler_that_removes_itself_leaves_nothing_behind(loop: Any) -> None:
    def handle() -> None:
        assert loop.remove_signal_handler(signal.SIGUSR1)
        loop.stop()

    loop.add_signal_handler(signal.SIGUSR1, handle)
    signal.raise_signal(signal.SIGUSR1)
    loop.run_forever()
    assert signal.set_wakeup_fd(-1) == -1


SLEEPS = """
import sys
import tress.asyncio as asyncio

async def main():
    print("asleep", flush=True)
    try:
        await asyncio.sleep(3600)
    finally:
        print("cleaned up", flush=True)

asyncio.run(main())
"""


def test_ctrl_c_wakes_a_loop_that_sleeps() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "asleep\n"
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=LIMIT_S)
    assert out == "cleaned up\n"
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert program.returncode in (-signal.SIGINT, 130)


FORKS = """
import asyncio, os, sys
import tress
tress.install("coroutines")

async def child():
    await asyncio.sleep(0.01)
    return 7

async def main():
    pid = os.fork()
    if not pid:
        # No loop runs in the child, which may make one of its own.
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            os._exit(asyncio.new_event_loop().run_until_complete(child()))
        os._exit(1)
    _, status = os.waitpid(pid, 0)
    await asyncio.sleep(0.01)
    return os.waitstatus_to_exitcode(status)

print(asyncio.run(main()))
"""


def test_fork_in_a_running_loop() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKS],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("7\n", 0), done.stderr


def test_debug_mode_tells_of_slow_calls(loop: Any, caplog: pytest.LogCaptureFixture) -> None:
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0
    assert loop.get_debug()

    def slow() -> None:
        pass

    handle = loop.call_soon(slow)
    assert handle._source_traceback[-1].name == "test_debug_mode_tells_of_slow_calls"
    timer = loop.call_later(0, slow)
    assert timer._source_traceback[-1].name == "test_debug_mode_tells_of_slow_calls"
    with caplog.at_level(logging.WARNING, logger="asyncio"):
        turn(loop)
    assert sum("Executing <Handle" in record.getMessage() for record in caplog.records) >= 1


def test_debug_mode_checks_thread_and_callback(loop: Any) -> None:
    loop.set_debug(True)
    errors: list[BaseException] = []

    async def call() -> None: ...

    with pytest.raises(TypeError, match=r"coroutines cannot be used with call_soon\(\)"):
        loop.call_soon(call)
    with pytest.raises(TypeError, match=r"a callable object was expected by call_at\(\)"):
        loop.call_later(1, 1)

    def elsewhere() -> None:
        try:
            loop.call_soon(print)
        except RuntimeError as error:
            errors.append(error)
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=elsewhere)
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join()
    assert "Non-thread-safe operation" in str(errors[0])


def test_debug_mode_may_begin_and_end_at_any_time(own_loop: Any) -> None:
    made: list[str] = []
    own_loop.call_soon(made.append, "before")
    own_loop.call_later(0, made.append, "timer before")
    own_loop.set_debug(True)
    own_loop.call_soon(made.append, "in")
    own_loop.call_later(0, made.append, "timer in")
    cancelled = own_loop.call_later(0, pytest.fail)
    cancelled.cancel()
    own_loop.set_debug(False)
    own_loop.call_soon(made.append, "after")
    turn(own_loop)
    turn(own_loop)
    assert sorted(made) == sorted(["before", "in", "after", "timer before", "timer in"])
    assert made.index("before") < made.index("in") < made.index("after")


def test_the_default_executor_is_tress_s(own_loop: Any) -> None:
    async def main() -> str:
        name = await own_loop.run_in_executor(None, lambda: threading.current_thread().name)
        assert type(own_loop._default_executor) is ThreadPoolExecutor
        await own_loop.shutdown_default_executor()
        with pytest.raises(RuntimeError, match="Executor shutdown has been called"):
            own_loop.run_in_executor(None, print)
        return name  # type: ignore[no-any-return]

    assert own_loop.run_until_complete(main()).startswith("asyncio_")


def test_asynchronous_generators_are_closed(loop: Any) -> None:
    ended: list[str] = []

    async def numbers() -> Any:
        try:
            yield 1
            yield 2
        finally:
            ended.append("ended")

    async def main() -> None:
        async for _ in numbers():
            break

    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_asyncgens())
    assert ended == ["ended"]


def test_a_subclass_may_override(own_loop: Any) -> None:
    class Counting(tress.asyncio.EventLoop):
        calls = 0

        def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
            self.calls += 1
            return super().call_soon(callback, *args, context=context)

    loop = Counting()
    try:
        assert loop.run_until_complete(asyncio.sleep(0, 3)) == 3
        assert loop.calls >= 2
    finally:
        loop.close()


def test_who_makes_the_loop() -> None:
    async def kind() -> type:
        return type(asyncio.get_running_loop())

    assert tress.asyncio.run(kind()) is tress.asyncio.EventLoop
    with tress.asyncio.Runner() as runner:
        assert runner.run(kind()) is tress.asyncio.EventLoop
        assert type(runner.get_loop()) is tress.asyncio.EventLoop
    with asyncio.Runner(loop_factory=tress.asyncio.EventLoop) as runner:
        assert runner.run(kind()) is tress.asyncio.EventLoop
    assert asyncio.run(kind()) is not tress.asyncio.EventLoop
    tress.install("coroutines")
    assert asyncio.run(kind()) is tress.asyncio.EventLoop
    assert asyncio.SelectorEventLoop is tress.asyncio.EventLoop
    tress.uninstall("coroutines")
    assert asyncio.run(kind()) is not tress.asyncio.EventLoop


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_policy_of_the_program_s_is_respected() -> None:
    made: list[asyncio.AbstractEventLoop] = []

    class Policy(asyncio.DefaultEventLoopPolicy):  # type: ignore[name-defined, misc, unused-ignore]
        def new_event_loop(self) -> asyncio.AbstractEventLoop:
            made.append(asyncio.SelectorEventLoop())
            return made[-1]

    async def running() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    asyncio.set_event_loop_policy(Policy())
    try:
        assert tress.asyncio.run(running()) is made[0]
        tress.install("coroutines")
        assert asyncio.run(running()) is made[1]
    finally:
        tress.uninstall("coroutines")
        asyncio.set_event_loop_policy(None)


def test_a_selector_of_the_caller_s_gets_a_standard_loop() -> None:
    import selectors

    make: Any = tress.asyncio.EventLoop
    loop = make(selectors.SelectSelector())
    try:
        assert not isinstance(loop, tress.asyncio.EventLoop)
        assert loop.run_until_complete(asyncio.sleep(0, 1)) == 1
    finally:
        loop.close()


def test_another_run_once_is_respected(make_loop: Callable[[], Any]) -> None:
    loop = make_loop()
    turns: list[int] = []
    run_once = loop._run_once

    def counted() -> None:
        turns.append(1)
        run_once()

    loop._run_once = counted
    assert loop.run_until_complete(asyncio.sleep(0, 1)) == 1
    assert turns
    del loop._run_once


DAEMON = """
import threading, time
import tress.asyncio as asyncio

class Busy(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        transport.write(b"x")
    def data_received(self, data):
        for _ in range(2000):
            pass
        self.transport.write(data)

async def main():
    import socket
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
        await loop.create_connection(Busy, sock=end)
    def again():
        loop.call_soon(again)
    again()
    started.set()
    while True:
        await asyncio.sleep(0)

started = threading.Event()
threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
started.wait()
"""


@pytest.mark.parametrize("_", range(5))
def test_a_loop_in_a_daemon_thread_when_the_program_ends(_: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DAEMON], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
