"""Pools of worker processes and of threads: the names of the standard `multiprocessing.pool`.

A Pool's calls and results travel through shared memory, as an executor's do, and are read by the
thread that waits for them. A worker that dies costs the task that it was at, and nothing else.
"""

from __future__ import annotations

import multiprocessing.pool as _std_module
import warnings
from collections.abc import Callable, Iterable
from multiprocessing import util
from multiprocessing.context import TimeoutError as TimeoutError  # noqa: A004 - the standard name
from types import TracebackType
from weakref import WeakValueDictionary

from tress.concurrent.futures._base import cpu_count
from tress.concurrent.futures._process_options import (
    Options,
    check_policy,
    listener_of,
    options,
)
from tress.concurrent.futures._process_terms import Terms
from tress.multiprocessing._pool_calls import Calls
from tress.multiprocessing._pool_engine import ProcessEngine
from tress.multiprocessing._pool_results import (
    ApplyResult as ApplyResult,
    AsyncResult as AsyncResult,
    IMapIterator as IMapIterator,
    IMapUnorderedIterator as IMapUnorderedIterator,
    MapResult as MapResult,
)
from tress.multiprocessing._pool_threads import ThreadEngine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn, Self

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


class Pool(Calls, _StandardPool):  # type: ignore[misc]  # chunksize may not be None here
    """A pool of worker processes, as `multiprocessing.pool.Pool`.

    `processes` is how many there are, by default as many as this process may use CPUs.
    `initializer(*initargs)` is called in each when it begins; if it raises, the pool is broken, and
    its calls end with BrokenProcessPool. A worker ends after `maxtasksperchild` tasks, and another
    takes its place. `context` is what starts workers.

    Ours: `on_worker_lost` says what becomes of the task that a worker was at when it died.
    "fail_task": it ends with WorkerLostError, another worker takes the place of the dead one, and
    the pool goes on. "retry": it is done again, at most `max_retries` times, before it fails so.
    "break": all tasks end, and the pool takes no more. A worker that has more than
    `max_worker_memory` bytes of its own after a task ends, and another takes its place. With
    `log_to_parent` what the workers log goes to the loggers of this process, and nowhere else; all
    of it has been handled when `join` returns.
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
        max_worker_memory: int | None = None,
        log_to_parent: bool = False,
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
        check_policy(on_worker_lost, max_retries, max_worker_memory)
        self._processes = processes
        self._initializer = initializer
        self._initargs = tuple(initargs)
        self._maxtasksperchild = maxtasksperchild
        self._jobs = WeakValueDictionary()
        self._engine = self._make_engine(
            max_worker_memory, on_worker_lost, max_retries, log_to_parent
        )
        self._engine.start()
        self._terminate = util.Finalize(self, _end, args=(self._engine,), exitpriority=15)
        self._state = RUN

    def _make_engine(
        self, max_memory: int | None, on_worker_lost: str, max_retries: int, log_to_parent: bool
    ) -> Any:
        return ProcessEngine(
            self._ctx,
            self._processes,
            Terms(self._initializer, self._initargs, self._maxtasksperchild, max_memory),
            on_worker_lost,
            max_retries,
            listener_of(type(self).__name__, log_to_parent),
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

    def with_options(
        self, *, timeout: float | None = None, retries: int | None = None
    ) -> PoolWithOptions:
        """Returns this pool as it is for calls with options; ours.

        `timeout` is how many seconds a worker may take for a task, from when it begins it. One that
        takes longer is killed, and another takes its place; the task ends with TaskTimeoutError,
        which is a TimeoutError. `retries` is how often a task is done again that took too long
        or whose worker died; None is for what `on_worker_lost` says. A task is a call, or a chunk
        of `chunksize` calls.
        """
        return PoolWithOptions(self, options(timeout, retries))

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


def _is_over(result: Any) -> bool:
    if isinstance(result, MapResult):
        return result.done()
    return result._pool is None


class PoolWithOptions(Calls):
    """A pool, for calls with options: what `Pool.with_options` returns."""

    def __init__(self, pool: Pool, options: Options) -> None:
        self._of = pool
        self._engine = pool._engine
        self._jobs = pool._jobs
        self._options = options

    def _check_running(self) -> None:
        self._of._check_running()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._of!r}: {self._options}>"


class ThreadPool(Pool, _StandardThreadPool):  # type: ignore[misc]  # as for Pool
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

    def with_options(self, *, timeout: float | None = None, retries: int | None = None) -> NoReturn:
        """NotImplementedError: a thread cannot be killed."""
        raise NotImplementedError("a pool of threads cannot end a call: use a pool of processes")

    def _make_engine(
        self, max_memory: int | None, on_worker_lost: str, max_retries: int, log_to_parent: bool
    ) -> Any:
        return ThreadEngine(
            self._ctx, self._processes, self._initializer, self._initargs, self.Process
        )


def __getattr__(name: str) -> object:
    value: object = getattr(_std_module, name)
    return value
