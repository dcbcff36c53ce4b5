"""What the tests have made in worker processes: importable there, however they were started."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn


def square(number: int) -> int:
    return number * number


def fail(message: str) -> NoReturn:
    raise ValueError(message)


def pid(_: object = None) -> int:
    return os.getpid()


def identity(value: Any) -> Any:
    return value


def kill_self() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("killed")


def exit_at_once(code: int) -> NoReturn:
    os._exit(code)


def die_first(marker: str) -> str:
    """Dies where `marker` does not exist yet, and makes it."""
    path = Path(marker)
    if not path.exists():
        path.touch()
        kill_self()
    return "done"


def tell_and_wait(directory: str, name: str) -> str:
    """Makes a file of that name, then waits until `go` is there."""
    base = Path(directory)
    (base / name).write_text(str(os.getpid()))
    go = base / "go"
    while not go.exists():
        threading.Event().wait(0.005)
    return name


def wait_first(marker: str) -> str:
    """Waits for ever where `marker` does not exist yet, and makes it."""
    path = Path(marker)
    if not path.exists():
        path.touch()
        signal.pause()
    return "done"


def count_and_wait(path: str) -> NoReturn:
    """Adds a letter to a file, and waits for ever."""
    with open(path, "a") as file:
        file.write("x")
    while True:
        signal.pause()


def tell_and_wait_for_both(arguments: tuple[str, str]) -> str:
    """As `tell_and_wait`, for maps."""
    return tell_and_wait(*arguments)


def ignore_sigterm_and_wait(directory: str, name: str) -> str:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return tell_and_wait(directory, name)


def kill_at(arguments: tuple[int, int]) -> int:
    """Is killed if the two numbers are the same."""
    number, fatal = arguments
    if number == fatal:
        kill_self()
    return number


def make_file(path: str) -> None:
    """FileExistsError if it is there."""
    Path(path).touch(exist_ok=False)


def exit_in_order(code: int) -> NoReturn:
    sys.exit(code)


def total(data: Any) -> int:
    return sum(memoryview(data).cast("B")[::4096])


def make(size: int) -> bytes:
    return bytes(size)


class Buffer:
    """Large data, as protocol 5 of pickle hands it out."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Buffer, (pickle.PickleBuffer(self.data),)


hoarded: list[bytes] = []


def hoard(size: int) -> int:
    """Keeps so many bytes for ever; the process that does."""
    hoarded.append(b"x" * size)
    return os.getpid()


class Thing:
    """Can be referred to weakly."""


class FailsToPickle:
    def __reduce__(self) -> NoReturn:
        raise RuntimeError("not to be pickled")


def _refuse() -> NoReturn:
    raise RuntimeError("not to be unpickled")


class FailsToUnpickle:
    def __reduce__(self) -> Any:
        return _refuse, ()


class OddError(Exception):
    """An exception that cannot be made again from its arguments."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(one + two)


def raise_odd() -> NoReturn:
    raise OddError(1, 2)


def make_unpicklable() -> FailsToPickle:
    return FailsToPickle()


def make_unreadable() -> FailsToUnpickle:
    return FailsToUnpickle()


def refuse_to_begin() -> NoReturn:
    raise ValueError("no")


greeting = ""


def remember(text: str) -> None:
    global greeting
    greeting = text


def recall() -> str:
    return greeting
