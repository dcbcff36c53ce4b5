"""`run`, `Runner`, and what makes loops."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

import tress.asyncio
from tests.coroutines.turns import FAR, turn
from tests.threads.ordering import Runner

# Up to 3.13 there is a policy always; later it is to go, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:.*[pP]olicy:DeprecationWarning")

IS_OLD = sys.version_info < (3, 14)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Every test begins and ends without a loop or a policy."""
    asyncio.set_event_loop(None)
    asyncio.set_event_loop_policy(None)
    yield
    asyncio.set_event_loop_policy(None)


def expected(library: ModuleType) -> Any:
    """The class of the loops that the library makes."""
    return library.SelectorEventLoop


async def running() -> Any:
    await asyncio.sleep(0)
    return asyncio.get_running_loop()


def test_run(library: ModuleType) -> None:
    loop = library.run(running())
    assert type(loop) is expected(library)
    assert loop.is_closed()
    assert library.run(running()) is not loop


def test_run_raises_what_the_coroutine_raises(library: ModuleType) -> None:
    async def fail(error: BaseException) -> None:
        await asyncio.sleep(0)
        raise error

    for error in (
        ValueError("wrong"),
        SystemExit(3),
        KeyboardInterrupt(),
        asyncio.CancelledError(),
    ):
        with pytest.raises(type(error)):
            library.run(fail(error))


def test_run_ends_what_is_left(library: ModuleType) -> None:
    ended: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.sleep(FAR)
        finally:
            ended.append("task")

    async def generate() -> Any:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            ended.append("generator")

    async def main() -> Any:
        task = asyncio.create_task(wait())
        items = generate()
        await items.asend(None)
        thread = await asyncio.to_thread(threading.current_thread)
        return task, items, thread

    task, _, thread = library.run(main())
    assert sorted(ended) == ["generator", "task"]
    assert task.cancelled()
    assert not thread.is_alive()


def test_run_in_a_running_loop(library: ModuleType) -> None:
    async def main() -> None:
        coroutine = running()
        with pytest.raises(RuntimeError, match="cannot be called from a running event loop"):
            library.run(coroutine)
        coroutine.close()

    library.run(main())


@pytest.mark.parametrize("thing", [None, 17, running, print])
def test_run_of_what_is_no_coroutine(thing: Any, library: ModuleType) -> None:
    with pytest.raises((TypeError, ValueError)):
        library.run(thing)


@pytest.mark.parametrize("debug", [False, True])
def test_run_in_debug_mode(debug: bool, library: ModuleType) -> None:
    async def main() -> bool:
        return asyncio.get_running_loop().get_debug()

    assert library.run(main(), debug=debug) is debug


def test_run_leaves_no_loop(library: ModuleType) -> None:
    library.run(running())
    with pytest.raises(RuntimeError, match="There is no current event loop"):
        library.get_event_loop()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="since 3.12")
def test_run_with_a_loop_factory(library: ModuleType) -> None:
    for factory in (tress.asyncio.EventLoop, asyncio.SelectorEventLoop):
        assert type(library.run(running(), loop_factory=factory)) is factory


def test_a_runner(library: ModuleType) -> None:
    variable = contextvars.ContextVar("variable", default=0)

    async def count() -> int:
        variable.set(variable.get() + 1)
        return variable.get()

    with library.Runner() as runner:
        loop = runner.get_loop()
        assert type(loop) is expected(library)
        assert runner.run(running()) is loop
        assert runner.run(running()) is loop
        assert [runner.run(count()) for _ in range(3)] == [1, 2, 3]
        context = contextvars.copy_context()
        assert runner.run(count(), context=context) == 1
        assert context[variable] == 1
    assert variable.get() == 0
    assert loop.is_closed()
    coroutine = running()
    with pytest.raises(RuntimeError, match="Runner is closed"):
        runner.run(coroutine)
    coroutine.close()


def test_a_runner_with_a_loop_factory(library: ModuleType) -> None:
    for factory in (tress.asyncio.EventLoop, asyncio.SelectorEventLoop):
        with library.Runner(loop_factory=factory, debug=True) as runner:
            assert type(runner.run(running())) is factory
            assert runner.get_loop().get_debug()


def test_the_loop_of_a_runner_is_the_threads(library: ModuleType) -> None:
    with library.Runner() as runner:
        runner.run(running())
        assert asyncio.get_event_loop() is library.get_event_loop() is runner.get_loop()


def test_new_event_loop(library: ModuleType) -> None:
    loop: Any = library.new_event_loop()
    assert type(loop) is expected(library)
    turn(loop)
    loop.close()


def test_get_event_loop(library: ModuleType) -> None:
    async def main() -> None:
        assert library.get_event_loop() is asyncio.get_running_loop()
        assert library.get_running_loop() is asyncio.get_running_loop()

    library.run(main())
    loop: Any = library.new_event_loop()
    library.set_event_loop(loop)
    assert library.get_event_loop() is loop
    library.set_event_loop(None)
    with pytest.raises(RuntimeError, match="There is no current event loop"):
        library.get_event_loop()
    loop.close()


def test_get_event_loop_makes_one_for_the_main_thread(library: ModuleType) -> None:
    asyncio.set_event_loop_policy(None)  # then nobody has set a loop
    if not IS_OLD:
        with pytest.raises(RuntimeError, match="There is no current event loop"):
            library.get_event_loop()
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        loop: Any = library.get_event_loop()
    assert type(loop) is expected(library)
    assert library.get_event_loop() is loop
    loop.close()


def test_get_event_loop_makes_none_for_another_thread(library: ModuleType) -> None:
    with pytest.raises(RuntimeError, match="There is no current event loop in thread"):
        Runner(library.get_event_loop).result()


with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    DefaultPolicy: Any = asyncio.DefaultEventLoopPolicy


class Policy(DefaultPolicy):  # type: ignore[misc]
    """A policy that a program has set: whatever it makes is what it wants."""

    def new_event_loop(self) -> Any:
        loop: Any = asyncio.SelectorEventLoop()
        loop.made_by = self
        return loop


def test_a_policy_of_the_programs_own(library: ModuleType) -> None:
    policy = Policy()
    asyncio.set_event_loop_policy(policy)
    assert library.run(running()).made_by is policy
    with library.Runner() as runner:
        assert runner.get_loop().made_by is policy
    loop: Any = library.new_event_loop()
    assert loop.made_by is policy
    library.set_event_loop(loop)
    assert library.get_event_loop() is loop
    assert policy.get_event_loop() is loop
    loop.close()


def test_tress_changes_nothing_of_the_standard_librarys() -> None:
    for _ in range(2):
        assert type(asyncio.run(running())) is not tress.asyncio.EventLoop
        assert type(tress.asyncio.run(running())) is tress.asyncio.EventLoop
        loop = asyncio.new_event_loop()
        assert type(loop) is not tress.asyncio.EventLoop
        loop.close()


def test_a_running_loop_cannot_be_run_or_closed(own_loop: Any) -> None:
    async def main() -> None:
        assert own_loop.is_running()
        assert asyncio.get_running_loop() is own_loop
        with pytest.raises(RuntimeError, match="already running"):
            own_loop.run_forever()
        with pytest.raises(RuntimeError, match="Cannot close a running event loop"):
            own_loop.close()

    own_loop.run_until_complete(main())
    assert not own_loop.is_running()
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


def test_two_loops_in_two_threads(new_loop: Callable[[], Any]) -> None:
    loops = [new_loop(), new_loop()]

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


def test_another_run_once_is_respected(new_loop: Callable[[], Any]) -> None:
    loop = new_loop()
    turns: list[int] = []
    run_once = loop._run_once

    def counted() -> None:
        turns.append(1)
        run_once()

    loop._run_once = counted
    assert loop.run_until_complete(asyncio.sleep(0, 1)) == 1
    assert turns
    del loop._run_once
