"""Clients of managers, and what servers have: in processes of tests, importable there."""

from __future__ import annotations

import os
import signal
from typing import Any, NoReturn

from tress.multiprocessing import managers


class Counter:
    """An object of a program's own."""

    def __init__(self, start: int = 0) -> None:
        self._number = start

    def add(self, number: int) -> int:
        self._number += number
        return self._number

    def child(self) -> Counter:
        return Counter(self._number)

    def fail(self) -> NoReturn:
        raise LookupError("on purpose")

    def lambda_(self) -> Any:
        return lambda: None

    def _hidden(self) -> None: ...


class CounterProxy(managers.BaseProxy):
    """A proxy of a program's own."""

    _exposed_ = ("add", "__repr__")

    def add_twice(self, number: int) -> Any:
        self._callmethod("add", (number,))
        return self._callmethod("add", (number,))


class Manager(managers.BaseManager):
    """A manager of a program's own."""


Manager.register("Counter", Counter, method_to_typeid={"child": "Made"})
Manager.register("Made", create_method=False)
Manager.register("Named", Counter, CounterProxy)


def fill(shared: Any, start: int, count: int) -> None:
    """Writes numbers into a dict."""
    for number in range(start, start + count):
        shared[number] = number * 2


def append(shared: Any, value: Any) -> None:
    """Appends to a list."""
    shared.append(value)


def take_and_stay(lock: Any, taken: Any) -> None:
    """Acquires a manager's lock, says so, and stays."""
    lock.acquire()
    taken.set()
    while True:
        signal.pause()


def get_for_ever(queue: Any, sender: Any) -> None:
    """Says so, and waits for an item that does not come."""
    sender.send(os.getpid())
    queue.get()


def call_for_ever(shared: Any, sender: Any) -> None:
    """Calls again and again."""
    shared["before"] = 1
    sender.send(os.getpid())
    while True:
        shared["key"] = bytes(100_000)


def own_a_manager(start_method: str, sender: Any) -> None:
    """Starts a manager, says which process and where, and stays."""
    import tress.multiprocessing as mp

    manager = mp.get_context(start_method).Manager()
    keep = manager.dict()
    keep["key"] = 1
    sender.send((manager._process.pid, manager.address))
    while True:
        signal.pause()
