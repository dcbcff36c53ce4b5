"""Loops that are closed, and what is left of them: nothing."""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import socket
import warnings
import weakref
from types import ModuleType
from typing import Any

import pytest

from tests.coroutines.turns import FAR, Called, Thing, turn

OPERATIONS = {
    "run_forever": lambda loop: loop.run_forever(),
    "call_soon": lambda loop: loop.call_soon(print),
    "call_soon_threadsafe": lambda loop: loop.call_soon_threadsafe(print),
    "call_later": lambda loop: loop.call_later(0, print),
    "call_at": lambda loop: loop.call_at(0, print),
    "add_reader": lambda loop: loop.add_reader(0, print),
    "add_writer": lambda loop: loop.add_writer(0, print),
    "run_in_executor": lambda loop: loop.run_in_executor(None, print),
    "run_until_complete": lambda loop: loop.run_until_complete(loop.create_future()),
    "create_task": lambda loop: loop.create_task(None),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("debug", [False, True])
def test_a_closed_loop_says_so(debug: bool, name: str, loop: Any) -> None:
    loop.set_debug(debug)
    loop.close()
    with pytest.raises(RuntimeError, match=r"^Event loop is closed$"):
        OPERATIONS[name](loop)


def test_closing(loop: Any) -> None:
    assert not loop.is_closed()
    loop.close()
    assert loop.is_closed()
    assert "closed=True" in repr(loop)
    loop.close()
    # What removes is as before.
    assert loop.remove_reader(0) is False
    assert loop.remove_writer(0) is False
    assert loop.time() > 0
    loop.stop()


def test_a_running_loop_is_not_closed(loop: Any) -> None:
    errors: list[str] = []

    def close() -> None:
        try:
            loop.close()
        except RuntimeError as error:
            errors.append(str(error))

    loop.call_soon(close)
    turn(loop)
    assert errors == ["Cannot close a running event loop"]
    assert not loop.is_closed()


def test_handles_of_a_closed_loop(loop: Any) -> None:
    handles = [loop.call_soon(print), loop.call_later(FAR, print)]
    loop.close()
    for handle in handles:
        handle.cancel()
        assert handle.cancelled()


def test_closing_drops_what_was_to_be_called(loop: Any) -> None:
    references: list[Any] = []
    for add in (loop.call_soon, functools.partial(loop.call_later, FAR)):
        called, thing = Called(), Thing()
        references += [weakref.ref(called), weakref.ref(thing), weakref.ref(add(called, thing))]
        del called, thing
    loop.close()
    gc.collect()
    assert [reference() for reference in references] == [None] * 6


def test_closing_gives_back_the_descriptors(library: ModuleType) -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    library.SelectorEventLoop().close()
    before = count()
    for _ in range(20):
        loop: Any = library.SelectorEventLoop()
        turn(loop)
        loop.close()
    assert count() == before


def test_a_closed_loop_is_collected(library: ModuleType) -> None:
    loop: Any = library.SelectorEventLoop()
    reference = weakref.ref(loop)
    turn(loop)
    loop.close()
    del loop
    gc.collect()
    assert reference() is None


def test_no_loop_is_left_of_many(library: ModuleType) -> None:
    async def main() -> None:
        await asyncio.gather(*(asyncio.sleep(0.001) for _ in range(10)))
        asyncio.get_running_loop().call_later(FAR, print)
        asyncio.get_running_loop().call_soon(print, asyncio.get_running_loop()).cancel()

    references = []
    for _ in range(10):
        loop: Any = library.SelectorEventLoop()
        references.append(weakref.ref(loop))
        loop.run_until_complete(main())
        loop.close()
    del loop
    gc.collect()
    assert [reference() for reference in references] == [None] * 10


@pytest.mark.parametrize("how", ["soon", "later", "reader", "attribute", "handler", "factory"])
def test_a_loop_that_holds_itself(how: str, library: ModuleType) -> None:
    left, right = socket.socketpair()
    references = _hold_itself(library.SelectorEventLoop(), how, left)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
        gc.collect()
    left.close()
    right.close()
    assert [reference() for reference in references] == [None, None]


def _hold_itself(loop: Any, how: str, descriptor: socket.socket) -> list[weakref.ref[Any]]:
    thing: Any = Thing()
    thing.loop = loop
    if how == "soon":
        thing.handle = loop.call_soon(print, thing)
    elif how == "later":
        thing.handle = loop.call_later(FAR, print, loop, thing)
    elif how == "reader":
        loop.add_reader(descriptor, print, thing)
    elif how == "attribute":
        loop.thing = thing
    elif how == "handler":
        loop.set_exception_handler(lambda *_: thing)
    else:
        loop.set_task_factory(lambda *_, **__: thing)
    return [weakref.ref(loop), weakref.ref(thing)]


def test_a_handle_that_holds_itself(loop: Any) -> None:
    references: list[Any] = []
    for add in (loop.call_soon, functools.partial(loop.call_later, 0)):
        thing: Any = Thing()
        thing.handle = add(print, thing)
        references += [weakref.ref(thing), weakref.ref(thing.handle)]
        thing.handle.cancel()
    del thing
    turn(loop, 2)
    gc.collect()
    assert [reference() for reference in references] == [None] * 4


def test_a_loop_that_is_never_closed_warns(library: ModuleType) -> None:
    references: list[Any] = []

    def make_and_forget() -> None:
        references.append(weakref.ref(library.SelectorEventLoop()))
        gc.collect()

    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        make_and_forget()
    assert references[0]() is None


def test_tasks_and_futures_do_not_keep_their_loop(library: ModuleType) -> None:
    async def wait(loop: Any) -> None:
        await loop.create_future()

    loop: Any = library.SelectorEventLoop()
    task = loop.create_task(wait(loop))
    turn(loop)
    task.cancel()
    turn(loop)
    assert task.cancelled()
    reference = weakref.ref(loop)
    loop.close()
    del loop, task
    gc.collect()
    assert reference() is None
