"""What a case is run on: the standard library, tress, and the peers, behind the same names.

A side is a table from the standard library's name (`Queue`, `Event`, ...) to the thing that plays
it. Classes are taken from their own modules, so nothing is replaced in the measured process. A peer
that spells a method differently gets it under the standard name through a class attribute: the very
same function object, so the other name costs nothing.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any, Self

from bench import loops
from bench.loops import (
    EPOLL as EPOLL,
    RLOOP as RLOOP,
    STD as STD,
    TRESS as TRESS,
    UVLOOP as UVLOOP,
)

CULSANS = "culsans"
AIOLOGIC = "aiologic"
LOKY = "loky"
PEBBLE = "pebble"
MPIRE = "mpire"
BILLIARD = "billiard"
FASTER_FIFO = "faster-fifo"
PEERS = (
    *(CULSANS, AIOLOGIC),
    *(LOKY, PEBBLE, MPIRE, BILLIARD, FASTER_FIFO),
    *(UVLOOP, RLOOP, EPOLL),
)

# Not a name of a module: a side offers it when its Queue has task_done and join.
TASK_DONE = "task_done"

# What serves HTTP, and what it parses with: their versions are in a run's file.
FRAMEWORKS = tuple(name for names in loops.FRAMEWORKS.values() for name in names)

# The module, for cases that take contexts from it.
MULTIPROCESSING = "multiprocessing"

# What has contexts with a Queue, for a side that may have nothing else of that module.
PROCESS_QUEUES = "process_queues"

# Offered where it is installed: what arrays are made of.
NUMPY = "numpy"

_THREADING_NAMES = (
    "Lock",
    "RLock",
    "Semaphore",
    "Event",
    "Condition",
    "Barrier",
    "Thread",
    "Timer",
)
_QUEUE_NAMES = ("Queue", "PriorityQueue", "SimpleQueue")
_FUTURES_NAMES = ("Future", "ThreadPoolExecutor", "ProcessPoolExecutor", "as_completed", "wait")
_POOL_NAMES = ("Pool",)


class Side:
    """One implementation: its name, and what it offers under the standard library's names."""

    def __init__(self, name: str, offers: Mapping[str, Any]) -> None:
        self.name = name
        self._offers = dict(offers)

    def __getattr__(self, name: str) -> Any:
        try:
            offered = self._offers[name]
        except KeyError:
            raise AttributeError(f"{self.name} offers no {name}") from None
        return offered.load() if isinstance(offered, loops.OnDemand) else offered

    def offers(self, names: tuple[str, ...]) -> bool:
        """Whether everything a case needs is there."""
        return all(name in self._offers for name in names)


def _from_modules(threading: str, queue: str, futures: str, pool: str) -> dict[str, Any]:
    offers: dict[str, Any] = {}
    for module_name, names in (
        (threading, _THREADING_NAMES),
        (queue, _QUEUE_NAMES),
        (futures, _FUTURES_NAMES),
        (pool, _POOL_NAMES),
    ):
        module = importlib.import_module(module_name)
        offers.update((name, getattr(module, name)) for name in names)
    offers[TASK_DONE] = offers["Queue"].task_done
    return offers | _arrays()


def _arrays() -> dict[str, Any]:
    return {} if importlib.util.find_spec(NUMPY) is None else {NUMPY: True}


def _std() -> Side:
    return Side(STD, _library("") | loops.offers(STD))


def _tress() -> Side:
    return Side(TRESS, _library("tress.") | loops.offers(TRESS))


def _library(prefix: str) -> dict[str, Any]:
    modules = ("threading", "queue", "concurrent.futures", "multiprocessing.pool")
    offers = _from_modules(*(prefix + module for module in modules))
    offers[MULTIPROCESSING] = importlib.import_module(prefix + MULTIPROCESSING)
    offers[PROCESS_QUEUES] = offers[MULTIPROCESSING]
    return offers


def _renamed(cls: type, **methods: str) -> type:
    """A subclass of `cls` that has `cls`'s own methods under other names as well."""
    return type(cls.__name__, (cls,), {new: getattr(cls, old) for new, old in methods.items()})


def _culsans() -> Side:
    culsans = importlib.import_module("culsans")
    names = {"put": "sync_put", "get": "sync_get", "join": "sync_join"}
    return Side(
        CULSANS,
        {
            "Queue": _renamed(culsans.Queue, **names),
            "PriorityQueue": _renamed(culsans.PriorityQueue, **names),
            TASK_DONE: culsans.Queue.task_done,
        },
    )


def _aiologic() -> Side:
    aiologic = importlib.import_module("aiologic")
    names = {"put": "green_put", "get": "green_get"}
    return Side(
        AIOLOGIC,
        {
            "Lock": aiologic.Lock,
            "RLock": aiologic.RLock,
            "Semaphore": aiologic.Semaphore,
            "Event": aiologic.REvent,  # the one of its events that has clear()
            "Condition": aiologic.Condition,
            "Barrier": aiologic.Barrier,
            "SimpleQueue": _renamed(aiologic.SimpleQueue, get="green_get"),
            "Queue": _renamed(aiologic.Queue, **names),
            "PriorityQueue": _renamed(aiologic.PriorityQueue, **names),
        },
    )


def _loky() -> Side:
    loky: Any = importlib.import_module("loky")

    class Executor(loky.ProcessPoolExecutor):  # type: ignore[misc]
        """With its own start method: it has no other that it recommends."""

        def __init__(self, max_workers: int, mp_context: object = None) -> None:
            super().__init__(max_workers)

    return Side(LOKY, {"ProcessPoolExecutor": Executor, **_arrays()})


def _pebble() -> Side:
    pebble: Any = importlib.import_module("pebble")

    class Executor(pebble.ProcessPool):  # type: ignore[misc]
        """Under the standard names, for the price of a call."""

        def __init__(self, max_workers: int, mp_context: object = None) -> None:
            super().__init__(max_workers=max_workers, context=mp_context)

        def submit(self, function: Callable[..., object], *args: object) -> Any:
            return self.schedule(function, args=args)

        def map(self, function: Callable[..., object], *args: object, chunksize: int = 1) -> Any:
            return super().map(function, *args, chunksize=chunksize).result()

    return Side(PEBBLE, {"ProcessPoolExecutor": Executor, **_arrays()})


def _mpire() -> Side:
    mpire: Any = importlib.import_module("mpire")

    class Pool:
        """Under the standard names; its workers stay for the next call."""

        def __init__(self, processes: int, context: Any) -> None:
            method = context.get_start_method()
            self._pool = mpire.WorkerPool(n_jobs=processes, start_method=method, keep_alive=True)
            self.apply = self._pool.apply

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *exception: object) -> None:
            self._pool.terminate()

        def map(
            self, function: Callable[..., object], items: Any, chunksize: int | None = None
        ) -> Any:
            return self._pool.map(function, items, chunk_size=chunksize)

        def imap_unordered(self, function: Callable[..., object], items: Any) -> Any:
            return self._pool.imap_unordered(function, items, chunk_size=1)

    return Side(MPIRE, {"Pool": Pool})


def _billiard() -> Side:
    billiard: Any = importlib.import_module("billiard")
    pool: Any = importlib.import_module("billiard.pool")

    class Pool(pool.Pool):  # type: ignore[misc]
        """With its own context: it takes no other."""

        def __init__(self, processes: int, context: Any) -> None:
            method = context.get_start_method()
            super().__init__(processes, context=billiard.get_context(method))

    return Side(BILLIARD, {"Pool": Pool})


def _faster_fifo() -> Side:
    faster_fifo: Any = importlib.import_module("faster_fifo")
    standard: Any = importlib.import_module(MULTIPROCESSING)

    class Context:
        """The standard one, with that queue."""

        def __init__(self, method: str) -> None:
            self._of = standard.get_context(method)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._of, name)

        def Queue(self) -> Any:
            return faster_fifo.Queue(max_size_bytes=32 << 20)

    class Queues:
        get_context = Context

    return Side(FASTER_FIFO, {PROCESS_QUEUES: Queues})


def _uvloop() -> Side:
    return Side(UVLOOP, loops.offers(UVLOOP))


def _rloop() -> Side:
    return Side(RLOOP, loops.offers(RLOOP))


def _epoll() -> Side:
    return Side(EPOLL, loops.offers(EPOLL))


_MAKERS: dict[str, Callable[[], Side]] = {
    STD: _std,
    TRESS: _tress,
    CULSANS: _culsans,
    AIOLOGIC: _aiologic,
    LOKY: _loky,
    PEBBLE: _pebble,
    MPIRE: _mpire,
    BILLIARD: _billiard,
    FASTER_FIFO: _faster_fifo,
    UVLOOP: _uvloop,
    RLOOP: _rloop,
    EPOLL: _epoll,
}
NAMES = tuple(_MAKERS)


def load(name: str) -> Side:
    """Import one side; `ImportError` when it is not installed."""
    return _MAKERS[name]()


def version(name: str) -> str | None:
    """The installed version of a side that is a distribution, or None when it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
