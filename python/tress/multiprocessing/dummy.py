"""The names of the standard `multiprocessing.dummy`: the interface of processes, on threads."""

from __future__ import annotations

import multiprocessing.dummy as _std
import sys
from collections.abc import Callable, Iterable, Mapping
from multiprocessing.dummy import (
    Pipe as Pipe,
    __all__ as __all__,
    active_children as active_children,
    current_process as current_process,
    freeze_support as freeze_support,
)
from types import ModuleType
from weakref import WeakKeyDictionary

from tress._thread import Thread
from tress.queue import Queue as Queue
from tress.threading import (
    Barrier as Barrier,
    BoundedSemaphore as BoundedSemaphore,
    Condition as Condition,
    Event as Event,
    Lock as Lock,
    RLock as RLock,
    Semaphore as Semaphore,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tress.multiprocessing.pool import ThreadPool

_StandardDummyProcess: Any = _std.DummyProcess


# In this order also where the standard class was made on tress's Thread, after install().
class DummyProcess(_StandardDummyProcess, Thread):  # type: ignore[misc]
    """A thread with the interface of a process, as `multiprocessing.dummy.DummyProcess`."""

    def __init__(
        self,
        group: None = None,
        target: Callable[..., object] | None = None,
        name: str | None = None,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        Thread.__init__(self, group, target, name, args, kwargs)
        # As the standard class, whose own way to make a thread is another.
        self._pid = None
        self._children: WeakKeyDictionary[Any, None] = WeakKeyDictionary()
        self._start_called = False
        self._parent = _std.current_process()

    def start(self) -> None:
        """Starts the thread. RuntimeError in another thread than the one that made the object."""
        parent = _std.current_process()
        if self._parent is not parent:
            raise RuntimeError(f"Parent is {self._parent!r} but current_process is {parent!r}")
        self._start_called = True
        if hasattr(parent, "_children"):
            parent._children[self] = None
        Thread.start(self)


Process = DummyProcess
JoinableQueue = Queue


def Manager() -> ModuleType:
    """Returns this module: what threads share needs no manager."""
    return sys.modules[__name__]


def Pool(
    processes: int | None = None,
    initializer: Callable[..., object] | None = None,
    initargs: Iterable[Any] = (),
) -> ThreadPool:
    """Returns a pool of threads."""
    from tress.multiprocessing.pool import ThreadPool

    return ThreadPool(processes, initializer, initargs)


def __getattr__(name: str) -> object:
    value: object = getattr(_std, name)
    return value
