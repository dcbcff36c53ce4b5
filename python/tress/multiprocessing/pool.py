"""Pools of worker processes and of threads: the names of the standard `multiprocessing.pool`.

A Pool's calls and results travel through shared memory, as an executor's do, and are read by the
thread that waits for them. A worker that dies costs the task that it was at, and nothing else.
"""

from __future__ import annotations

import multiprocessing.pool as _std_module
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from multiprocessing import util
from multiprocessing.context import TimeoutError as TimeoutError  # noqa: A004 - the standard name
from types import TracebackType
from typing import Any, NoReturn, Self
from weakref import WeakValueDictionary

from tress.concurrent.futures._base import cpu_count
from tress.concurrent.futures._process_future import (
    ProcessFuture,
    WorkerLostError as WorkerLostError,
    name_of,
)
from tress.concurrent.futures.process import check_policy
from tress.multiprocessing._pool_engine import ProcessEngine
from tress.multiprocessing._pool_results import (
    AT_ONCE,
    ApplyResult as ApplyResult,
    AsyncResult as AsyncResult,
    IMapIterator as IMapIterator,
    IMapUnorderedIterator as IMapUnorderedIterator,
    MapResult as MapResult,
    chunks,
)
from tress.multiprocessing._pool_threads import ThreadEngine

__all__ = ["Pool", "ThreadPool"]

# Its private names are used.
_std: Any = _std_module

_StandardPool = _std_module.Pool
_StandardThreadPool = _std_module.ThreadPool

INIT: str = _std.INIT
RUN: str = _std.RUN
CLOSE: str = _std.CLOSE
TERMINATE: str = _std.TERMINATE

ExceptionWithTraceback = _std.ExceptionWithTraceback
MaybeEncodingError = _std.MaybeEncodingError
RemoteTraceback = _std.RemoteTraceback
mapstar = _std.mapstar
rebuild_exc = _std.rebuild_exc
starmapstar = _std.starmapstar

for _result in (ApplyResult, MapResult, IMapIterator, IMapUnorderedIterator):
    _result.__module__ = __name__
del _result


def _end(engine: Any) -> None:
    engine.terminate()


class Pool(_StandardPool):
    """A pool of worker processes, as `multiprocessing.pool.Pool`.

    `processes` is how many there are, by default as many as this process may use CPUs.
    `initializer(*initargs)` is called in each when it begins; if it raises, the pool is broken, and
    its calls end with BrokenProcessPool. A worker ends after `maxtasksperchild` tasks, and another
    takes its place. `context` is what starts workers.

    Ours: `on_worker_lost` says what becomes of the task that a worker was at when it died.
    "fail_task": it ends with WorkerLostError, another worker takes the place of the dead one, and
    the pool goes on. "retry": it is done again, at most `max_retries` times, before it fails so.
    "break": all tasks end, and the pool takes no more.
    """

    _wrap_exception = True

    @staticmethod
    def Process(ctx: Any, *args: Any, **kwds: Any) -> Any:
        """Makes a worker, for a subclass to do so in another way."""
        return ctx.Process(*args, **kwds)

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
        context: Any = None,
        *,
        on_worker_lost: str = "fail_task",
        max_retries: int = 3,
    ) -> None:
        # For __del__, if what follows raises.
        self._state = INIT
        if context is None:
            from tress.multiprocessing.context import _default_context

            context = _default_context.get_context()
        self._ctx = context
        if processes is None:
            processes = cpu_count() or 1
        if processes < 1:
            raise ValueError("Number of processes must be at least 1")
        if maxtasksperchild is not None and (
            not isinstance(maxtasksperchild, int) or maxtasksperchild <= 0
        ):
            raise ValueError("maxtasksperchild must be a positive int or None")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        check_policy(on_worker_lost, max_retries)
        self._processes = processes
        self._initializer = initializer
        self._initargs = tuple(initargs)
        self._maxtasksperchild = maxtasksperchild
        # The jobs of more than one task that are or were there.
        self._jobs: WeakValueDictionary[int, Any] = WeakValueDictionary()
        self._engine: Any = self._make_engine(on_worker_lost, max_retries)
        self._engine.start()
        self._terminate = util.Finalize(self, _end, args=(self._engine,), exitpriority=15)
        self._state = RUN

    def _make_engine(self, on_worker_lost: str, max_retries: int) -> Any:
        return ProcessEngine(
            self._ctx,
            self._processes,
            self._initializer,
            self._initargs,
            self._maxtasksperchild,
            on_worker_lost,
            max_retries,
            self.Process,
        )

    def __del__(self, _warn: Any = warnings.warn, RUN: str = RUN) -> None:
        if self._state == RUN:
            _warn(f"unclosed running multiprocessing pool {self!r}", ResourceWarning, source=self)

    def __repr__(self) -> str:
        cls = type(self)
        size = len(self._pool) if self._state != INIT else 0
        return f"<{cls.__module__}.{cls.__qualname__} state={self._state} pool_size={size}>"

    def __reduce__(self) -> NoReturn:
        raise NotImplementedError("pool objects cannot be passed between processes or pickled")

    @property
    def _pool(self) -> list[Any]:
        """The workers."""
        return self._engine.members()  # type: ignore[no-any-return]

    @property
    def _cache(self) -> dict[int, Any]:
        """What has not finished, by number."""
        found = {job: result for job, result in self._jobs.items() if not _is_over(result)}
        for future in self._engine.pending():
            if isinstance(future, ApplyResult):
                found[future._job] = future
        return found

    def _repopulate_pool(self) -> None:
        """Starts the workers that are missing, which the pool does by itself."""
        self._engine.populate()

    def _check_running(self) -> None:
        if self._state != RUN:
            raise ValueError("Pool not running")

    def apply(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] = (),
        kwds: Mapping[str, Any] = {},
    ) -> Any:
        """Returns what `func(*args, **kwds)` returns in a worker, or raises what it raises."""
        self._check_running()
        future = ProcessFuture(self._engine, (func, args, kwds))
        self._engine.enter(future)
        return future.result()

    def apply_async(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] = (),
        kwds: Mapping[str, Any] = {},
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> ApplyResult:
        """As `apply`, but returns at once what will have the result.

        When it is there, one of the callbacks is called with the result or the exception, in a
        thread of the pool; what it raises is reported by `threading.excepthook`.
        """
        self._check_running()
        result = ApplyResult(self, callback, error_callback, (func, args, kwds))
        self._engine.enter(result)
        return result

    def map(
        self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int | None = None
    ) -> list[Any]:
        """Returns the list of what `func` returns for each item, called in the workers.

        `chunksize` items make a task, by default so many that each worker has four. All calls are
        made, also when one raises; then the exception of the first that did is raised.
        """
        result: list[Any] = self._map(func, iterable, mapstar, chunksize).get()
        return result

    def map_async(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        callback: Callable[[list[Any]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> MapResult:
        """As `map`, but returns at once what will have the list. Callbacks: see `apply_async`."""
        return self._map(func, iterable, mapstar, chunksize, callback, error_callback)

    def starmap(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
    ) -> list[Any]:
        """As `map`, for a function that is called with each item's items as its arguments."""
        result: list[Any] = self._map(func, iterable, starmapstar, chunksize).get()
        return result

    def starmap_async(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        callback: Callable[[list[Any]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> MapResult:
        """As `starmap`, but returns at once what will have the list."""
        return self._map(func, iterable, starmapstar, chunksize, callback, error_callback)

    def _map(
        self,
        func: Callable[..., Any],
        iterable: Any,
        mapper: Callable[..., Any],
        chunksize: int | None,
        callback: Callable[[list[Any]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> MapResult:
        self._check_running()
        if not hasattr(iterable, "__len__"):
            iterable = list(iterable)
        length = len(iterable)
        if chunksize is None:
            chunksize = -(-length // (len(self._pool) * 4 or 4))
        if length == 0:
            chunksize = 0
        calls = chunks(mapper, func, iterable, chunksize)
        result = MapResult(self, chunksize, length, callback, error_callback, calls, name_of(func))
        if chunksize <= 0:
            return result
        self._jobs[result._job] = result
        if type(iterable) in (list, tuple, range) and length <= AT_ONCE * chunksize:
            self._engine.begin_feed()
            try:
                for part in result.tasks():
                    self._engine.feed(part)
                result.all_fed()
            finally:
                self._engine.end_feed()
        else:
            self._engine.feeder.put(result)
        return result

    def imap(  # type: ignore[override]
        self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int = 1
    ) -> IMapIterator:
        """Returns an iterator over what `func` returns for each item, in order.

        `iterable` is read by a thread of the pool, some hundreds of items ahead of the workers. The
        iterator's `next(timeout)` waits no longer than that many seconds.
        """
        return self._imap(IMapIterator, func, iterable, chunksize)

    def imap_unordered(  # type: ignore[override]
        self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int = 1
    ) -> IMapIterator:
        """As `imap`, the results in the order in which they come."""
        return self._imap(IMapUnorderedIterator, func, iterable, chunksize)

    def _imap(
        self,
        kind: type[IMapIterator],
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int,
    ) -> IMapIterator:
        self._check_running()
        if chunksize < 1:
            raise ValueError(f"Chunksize must be 1+, not {chunksize!r}")
        if chunksize == 1:
            calls = _singly(func, iterable)
        else:
            calls = chunks(mapstar, func, iterable, chunksize)
        result = kind(self, calls, name_of(func), chunked=chunksize > 1)
        self._jobs[result._job] = result
        self._engine.feeder.put(result)
        return result

    def close(self) -> None:
        """Takes no more calls; the workers end when all have been made."""
        util.debug("closing pool")
        if self._state == RUN:
            self._state = CLOSE
            self._engine.close()

    def terminate(self) -> None:
        """Ends the workers at once: by SIGTERM, and by SIGKILL if one lives five seconds longer.

        What has not finished ends with BrokenProcessPool. Returns when the workers have ended.
        """
        util.debug("terminating pool")
        self._state = TERMINATE
        self._terminate()

    def join(self) -> None:
        """Waits until the workers have ended, after `close` or `terminate`."""
        util.debug("joining pool")
        if self._state == RUN:
            raise ValueError("Pool is still running")
        if self._state not in (CLOSE, TERMINATE):
            raise ValueError("In unknown state")
        self._engine.join()

    def __enter__(self) -> Self:
        self._check_running()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.terminate()


def _singly(func: Callable[[Any], Any], iterable: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    for item in iterable:
        yield func, (item,), {}


def _is_over(result: Any) -> bool:
    if isinstance(result, MapResult):
        return result.done()
    return result._pool is None


class ThreadPool(Pool, _StandardThreadPool):
    """A pool of threads, as `multiprocessing.pool.ThreadPool`."""

    _wrap_exception = False

    @staticmethod
    def Process(ctx: Any, *args: Any, **kwds: Any) -> Any:
        """Makes a thread, for a subclass to do so in another way."""
        from tress.multiprocessing.dummy import Process

        return Process(*args, **kwds)

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
    ) -> None:
        Pool.__init__(self, processes, initializer, initargs)

    def _make_engine(self, on_worker_lost: str, max_retries: int) -> Any:
        return ThreadEngine(
            self._ctx, self._processes, self._initializer, self._initargs, self.Process
        )


def __getattr__(name: str) -> object:
    value: object = getattr(_std_module, name)
    return value
