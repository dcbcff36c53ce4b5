"""Puts tress's objects in the places where the suites look for the object they test."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from conformance.harness import start

# Class attributes by which a test class says what it tests.
SUBJECT_ATTRIBUTES = (
    "locktype",
    "eventtype",
    "condtype",
    "semtype",
    "barriertype",
    "executor_type",
    "queue",
    "_local",
)


def _modules_of_tress(name: str) -> Iterator[ModuleType]:
    package = importlib.import_module(name)
    yield package
    for info in pkgutil.walk_packages(package.__path__, f"{name}."):
        # Running the runner's own entry point is no way to look at it.
        if not info.name.endswith("__main__"):
            yield importlib.import_module(info.name)


def replaced(package: str) -> dict[tuple[str, str], object]:
    """What tress has replaced, all of it or that of one standard package, by where it is."""
    return {
        (module, name): value
        for (module, name), value in start.originals.items()
        if not package or module.split(".")[0] == package
    }


def objects_of_tress(package: str = "") -> list[object]:
    """Every object of tress's that a test may meet, or those in place of one standard package's."""
    found: list[object] = [getattr(sys.modules[module], name) for module, name in replaced(package)]
    root = f"tress.{package}" if package else "tress"
    for module in _modules_of_tress(root):
        for value in vars(module).values():
            home = str(getattr(value, "__module__", ""))
            if home == "tress._native" or f"{home}.".startswith(f"{root}."):
                found.append(value)
    if package:
        return found
    threading = importlib.import_module("tress.threading")
    # Where these are functions, the classes are known by what they return.
    found += [type(threading.Lock()), type(threading.RLock())]
    return found


class LowLevelThreads(ModuleType):
    """`_thread`, but for its locks, which are tress's."""

    def __init__(self, real: ModuleType) -> None:
        super().__init__(real.__name__, real.__doc__)
        threading = importlib.import_module("tress.threading")
        # A function among a class's attributes would turn into a method: some suites put these
        # there.
        self.allocate_lock: Any = staticmethod(threading.Lock)
        self.allocate: Any = self.allocate_lock
        self.RLock: Any = type(threading.RLock())
        self.LockType: Any = type(threading.Lock())
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def _new_loop(_: object) -> Any:
    return importlib.import_module("asyncio").new_event_loop()


def put_in_place(module: ModuleType) -> None:
    """Give the classes of a loaded test module tress's objects where installing did not.

    The queue suite imports its module afresh, and so holds the standard one again; the lock suite
    names the native recursive lock by a private name of the standard module.
    """
    tress_queue = importlib.import_module("tress.queue")
    fresh = getattr(module, "c_queue", None)
    native_rlock = type(importlib.import_module("tress.threading").RLock())
    for cls in list(vars(module).values()):
        if not isinstance(cls, type):
            continue
        if fresh is not None and vars(cls).get("queue") is fresh:
            cls.queue = tress_queue  # type: ignore[attr-defined]
        if cls.__name__.startswith("EPoll") and "create_event_loop" in vars(cls):
            # Of the loops on selectors of the caller's own, the one on the same as tress's.
            cls.create_event_loop = _new_loop  # type: ignore[attr-defined]
        if cls.__name__ == "CRLockTests":
            cls.locktype = staticmethod(native_rlock)  # type: ignore[attr-defined]


def subjects(cls: type) -> dict[str, Any]:
    """What a test class says it tests, by attribute."""
    return {name: getattr(cls, name) for name in SUBJECT_ATTRIBUTES if hasattr(cls, name)}
