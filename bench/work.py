"""What the cases have done elsewhere: importable there by its own name."""

from __future__ import annotations

import importlib
import os
from typing import Any


def task(value: int) -> int:
    """As small as a Python function can be."""
    return value


def length(data: Any) -> int:
    """A look at data, without reading it."""
    return len(data)


def zeros(size: int) -> Any:
    """An array of that many bytes."""
    numpy: Any = importlib.import_module("numpy")
    return numpy.zeros(size, numpy.uint8)


def pid(_: int) -> int:
    """The process that makes the call."""
    return os.getpid()


def ask(connection: Any) -> None:
    """One message there and back."""
    connection.send(None)
    connection.recv()


def echo_bytes(connection: Any) -> None:
    """Sends back what comes."""
    while True:
        connection.send_bytes(connection.recv_bytes())


def echo_objects(connection: Any) -> None:
    """Sends back what comes, as an object."""
    while True:
        connection.send(connection.recv())


def put_each(queue: Any, item: Any, count: int) -> None:
    """Puts an item as often as that."""
    put = queue.put
    for _ in range(count):
        put(item)


def count_up(lock: Any, value: Any, ended: Any, count: int) -> None:
    """Adds one as often as that, each time under the lock, and says when."""
    for _ in range(count):
        with lock:
            value.value += 1
    ended.release()
