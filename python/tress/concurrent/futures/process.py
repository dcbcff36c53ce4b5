"""ProcessPoolExecutor: a pool of processes that make calls.

Calls and results travel through shared memory; large buffers (pickle protocol 5) are read where
they lie. A thread that waits for a result reads it itself.
"""

from __future__ import annotations

import concurrent.futures.process as _std_module
import contextlib
import itertools
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures._base import Executor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from types import TracebackType

from tress._progress import Counted, meter_of, one
from tress._task_errors import TaskTimeoutError as TaskTimeoutError, WorkerLostError
from tress.concurrent.futures._base import Future, cpu_count, name_of
from tress.concurrent.futures._process_collector import ExecutorCollector
from tress.concurrent.futures._process_future import ProcessFuture
from tress.concurrent.futures._process_options import (
    Options,
    check_policy,
    listener_of,
    options,
)
from tress.concurrent.futures._process_pool import Engine
from tress.concurrent.futures._process_terms import Terms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ParamSpec, TypeVar

    from tress._progress import Wish

    _T = TypeVar("_T")
    _P = ParamSpec("_P")

__all__ = ["BrokenProcessPool", "ProcessPoolExecutor", "WorkerLostError"]

# Its private names are used, which differ from version to version.
_std: Any = _std_module

_StandardExecutor = _std_module.ProcessPoolExecutor

# As the standard module's, from 3.14 on.
_TERMINATE = "terminate"
_KILL = "kill"


class _CallQueue:
    """Stands for the standard class's queue of calls: there is no thread to join."""

    def close(self) -> None:
        pass

    def join_thread(self) -> None:
        pass


def _chunks(iterables: tuple[Iterable[Any], ...], size: int) -> Iterator[tuple[Any, ...]]:
    """The argument tuples of a map, `size` of them at a time."""
    calls = zip(*iterables)  # noqa: B905 - the shortest ends it, as in the standard class
    while chunk := tuple(itertools.islice(calls, size)):
        yield chunk


def _process_chunk(fn: Callable[..., _T], chunk: Iterable[tuple[Any, ...]]) -> list[_T]:
    return [fn(*args) for args in chunk]


def _chained(lists: Iterator[list[_T]]) -> Iterator[_T]:
    """The items of each list, none kept alive longer than it must be."""
    for items in lists:
        items.reverse()
        while items:
            yield items.pop()


class ProcessPoolExecutor(_StandardExecutor):
    """A pool of processes that make calls, as `concurrent.futures.ProcessPoolExecutor`.

    `max_workers` is how many processes there are at most, by default as many as this process may
    use CPUs. `mp_context` is what starts them, by default `multiprocessing.get_context()`.
    `initializer(*initargs)` is called in each process when it begins; if it raises, the pool is
    broken. A worker ends after `max_tasks_per_child` calls, and another takes its place.

    Ours: `on_worker_lost` says what becomes of the call that a worker was making when it died.
    "break", the standard way: it ends with WorkerLostError, which is a BrokenProcessPool, all other
    calls with BrokenProcessPool, and the pool takes no more. "fail_task": it alone ends with
    WorkerLostError, another worker takes the place of the dead one, and the pool goes on. "retry":
    it is made again, at most `max_retries` times, before it fails so. A worker that has more than
    `max_worker_memory` bytes of its own after a call ends, and another takes its place. With
    `log_to_parent` what the workers log goes to the loggers of this process, and nowhere else; all
    of it has been handled when `shutdown(wait=True)` returns.
    """

    _initializer: Any
    _executor_manager_thread: Any
    _processes: Any
    _broken: Any

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: Any = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_tasks_per_child: int | None = None,
        on_worker_lost: str = "break",
        max_retries: int = 3,
        max_worker_memory: int | None = None,
        log_to_parent: bool = False,
    ) -> None:
        if max_workers is None:
            max_workers = cpu_count() or 1
        elif max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if mp_context is None:
            if max_tasks_per_child is not None:
                mp_context = multiprocessing.get_context("spawn")
            else:
                mp_context = multiprocessing.get_context()
        forks = mp_context.get_start_method(allow_none=False) == "fork"
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if max_tasks_per_child is not None:
            if not isinstance(max_tasks_per_child, int):
                raise TypeError("max_tasks_per_child must be an integer")
            if max_tasks_per_child <= 0:
                raise ValueError("max_tasks_per_child must be >= 1")
            if forks:
                raise ValueError(
                    "max_tasks_per_child is incompatible with the 'fork' multiprocessing start"
                    " method; supply a different mp_context."
                )
        check_policy(on_worker_lost, max_retries, max_worker_memory)
        self._max_workers = max_workers
        self._mp_context = mp_context
        self._safe_to_dynamically_spawn_children = not forks
        self._initializer = initializer
        self._initargs = initargs
        self._max_tasks_per_child = max_tasks_per_child
        self._engine = Engine(
            mp_context,
            max_workers,
            Terms(initializer, initargs, max_tasks_per_child, max_worker_memory),
            on_worker_lost,
            max_retries,
            listener_of(type(self).__name__, log_to_parent),
        )
        self._executor_manager_thread = None
        self._processes = self._engine.processes
        self._shutdown_thread = False
        self._shutdown_lock = self._engine.lock
        self._cancel_pending_futures = False
        self._force_shutting_down = False
        self._broken = False
        self._call_queue = _CallQueue()

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Has `fn(*args, **kwargs)` called in a worker process; returns its Future.

        Raises RuntimeError after `shutdown`, and BrokenProcessPool when the pool is broken. What
        cannot be pickled ends the future, and nothing else.
        """
        return self._submit((fn, args, kwargs), None)

    def _submit(self, call: tuple[Any, ...], options: Options | None) -> Future[Any]:
        engine = self._engine
        engine.pool.check_here()
        future = ProcessFuture(engine, call, options)
        with engine.lock:
            self._check_open()
            if self._executor_manager_thread is None:
                self._begin()
            engine.submitted += 1
            if self._safe_to_dynamically_spawn_children:
                self._adjust_process_count()
            engine.submitting += 1
        engine.submit(future)
        if not engine.processes:
            # They have died, and the collector did not know of more work.
            engine.pool.wake_collector()
        return future

    def with_options(
        self, *, timeout: float | None = None, retries: int | None = None
    ) -> ExecutorWithOptions:
        """Returns this executor as it is for calls with options; ours.

        `timeout` is how many seconds a worker may take for a call, from when it begins it. One that
        takes longer is killed, and another takes its place; the call ends with TaskTimeoutError,
        which is a TimeoutError. `retries` is how often a call is made again that took too long
        or whose worker died; None is for what `on_worker_lost` says. With `map` and a `chunksize`
        a call is a chunk.
        """
        return ExecutorWithOptions(self, options(timeout, retries))

    def _adjust_process_count(self) -> None:
        """Starts one more worker, if all are busy and there may be more."""
        engine = self._engine
        workers = len(engine.processes)
        if workers < min(self._max_workers, engine.submitted - engine.pool.answered):
            try:
                engine.start_workers(workers + 1)
            except OSError:
                # Those that are there will make the call.
                if not workers:
                    raise

    def _check_open(self) -> None:
        if self._broken:
            raise BrokenProcessPool(self._broken)
        if self._shutdown_thread:
            raise RuntimeError("cannot schedule new futures after shutdown")
        if _std._global_shutdown:
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    def _begin(self) -> None:
        """Starts the collector; before it the workers, where they are forks of this process."""
        engine = self._engine
        if not self._safe_to_dynamically_spawn_children:
            engine.start_first_workers(self._max_workers)
        collector = ExecutorCollector(self, engine)
        collector.start()
        self._executor_manager_thread = collector

    def map(
        self,
        fn: Callable[..., _T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        progress: Wish = False,
        **kwargs: Any,
    ) -> Iterator[_T]:
        """As `map(fn, *iterables)`, the calls made in worker processes, `chunksize` at a time.

        TimeoutError is raised when the next result is not there `timeout` seconds after the call
        of `map`. `buffersize`, from Python 3.14 on, is how many tasks are submitted ahead.
        `progress`, which is ours, shows or tells how many calls have ended: see docs/progress.md.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        meter = meter_of(progress, iterables, name_of(fn))
        executor = self if meter is None else Counted(self, meter, one if chunksize == 1 else len)
        try:
            if chunksize == 1:
                results = Executor.map(executor, fn, *iterables, timeout=timeout, **kwargs)
            else:
                results = _chained(
                    Executor.map(
                        executor,
                        partial(_process_chunk, fn),
                        _chunks(iterables, chunksize),
                        timeout=timeout,
                        **kwargs,
                    )
                )
        except BaseException:
            if meter is not None:
                meter.close()
            raise
        return results if meter is None else meter.around(results, executor)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more calls, and ends the workers once all are made.

        With `wait` it returns when they have ended. With `cancel_futures` calls that no worker
        has begun are cancelled.
        """
        with self._engine.lock:
            self._cancel_pending_futures = cancel_futures
            self._shutdown_thread = True
            collector = self._executor_manager_thread
        self._engine.close_soon()
        if collector is not None and wait:
            collector.join()
        self._executor_manager_thread = None
        self._processes = None

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        # After Ctrl-C nobody waits for calls that have not begun, and those that go on, perhaps
        # begun by a worker whose last call was interrupted, are interrupted too.
        interrupted = exc_type is not None and issubclass(exc_type, KeyboardInterrupt)
        self._engine.interrupting = interrupted
        self.shutdown(wait=True, cancel_futures=interrupted)

    def terminate_workers(self) -> None:
        """Sends SIGTERM to every worker. Calls that are not finished end with BrokenProcessPool,
        and no more are taken."""
        self._force_shutdown(operation=_TERMINATE)

    def kill_workers(self) -> None:
        """As `terminate_workers`, with SIGKILL."""
        self._force_shutdown(operation=_KILL)

    def _force_shutdown(self, operation: str) -> None:
        if operation not in (_TERMINATE, _KILL):
            raise ValueError(f"Unsupported operation: {operation!r}")
        engine = self._engine
        with engine.lock:
            self._force_shutting_down = True
            engine.on_worker_lost = "break"
            processes = list(engine.processes.values())
        self.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            # It may have ended, and even been closed, meanwhile.
            with contextlib.suppress(ValueError, ProcessLookupError):
                if process.is_alive():
                    getattr(process, operation)()

    def statistics(self) -> dict[str, int]:
        """Numbers: `workers`, `idle` ones of them; `unfinished` calls, `queued` ones of them, which
        wait for room; `lent_bytes` of large arguments that are with workers."""
        engine = self._engine
        return {
            "workers": len(engine.processes),
            "idle": engine.pool.idle,
            "unfinished": engine.unfinished,
            "queued": len(engine.backlog),
            "lent_bytes": engine.pool.lent_bytes,
        }

    def __repr__(self) -> str:
        numbers = ", ".join(f"{name}={value}" for name, value in self.statistics().items())
        state = " broken" if self._broken else " shut down" if self._shutdown_thread else ""
        return f"<{type(self).__name__}{state} max_workers={self._max_workers} {numbers}>"


class ExecutorWithOptions(Executor):
    """An executor, for calls with options: what `ProcessPoolExecutor.with_options` returns."""

    def __init__(self, executor: ProcessPoolExecutor, options: Options) -> None:
        self._executor = executor
        self._options = options

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """As the executor's own."""
        return self._executor._submit((fn, args, kwargs), self._options)

    def map(
        self,
        fn: Callable[..., _T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        **kwargs: Any,
    ) -> Iterator[_T]:
        """As the executor's own; this `timeout` is how long the caller waits."""
        own: Any = ProcessPoolExecutor.map
        results: Iterator[_T] = own(
            self, fn, *iterables, timeout=timeout, chunksize=chunksize, **kwargs
        )
        return results

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shuts the executor down."""
        self._executor.shutdown(wait, cancel_futures=cancel_futures)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._executor!r}: {self._options}>"
