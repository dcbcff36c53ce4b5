"""ThreadPoolExecutor: a pool of threads that make calls.

Threads are the interpreter's own, and are registered where the standard library registers its:
the interpreter waits for them at its exit in the standard library's own way. What is native is
the queue, and what a thread does between two calls.

Where a program takes the pool's parts into its own hands (a subclass with `_adjust_thread_count`
or `prepare_context` of its own, an assignment to `_work_queue`), everything goes the standard
library's way, on the standard library's code: it is as fast as that then, and returns futures of
tress.
"""

from __future__ import annotations

import concurrent.futures.thread as _std_module
import math
import os
import queue
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures._base import LOGGER, Executor, Future as _AnyFuture
from concurrent.futures.thread import BrokenThreadPool
from itertools import islice
from time import monotonic

from tress import _native
from tress._progress import Counted, meter_of, one
from tress._thread import Thread
from tress.concurrent.futures._base import Future, cpu_count, name_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar, overload

    from tress._progress import Wish

    _A = TypeVar("_A")
    _B = TypeVar("_B")
    _T = TypeVar("_T")

__all__ = ["BrokenThreadPool", "ThreadPoolExecutor"]

# Its private names are used, which differ from version to version.
_std: Any = _std_module

# After install() the name of the standard module means the class below.
_StandardExecutor = _std_module.ThreadPoolExecutor

# From 3.14 on initializer and way of calling are in a context that each worker has.
_CONTEXTS = sys.version_info >= (3, 14)

# Unnamed pools of both kinds are numbered together.
_next_number: Callable[[], int] = _StandardExecutor._counter  # type: ignore[attr-defined]

# The reasons for `submit` not to go the short way, as the native class numbers them.
_SHUT_DOWN = 1
_BROKEN = 2
_STANDARD = 4


class _WorkerContext:
    """What a worker runs before its first call and after its last."""

    def __init__(
        self, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]
    ) -> None:
        self._initializer = initializer
        self._initargs = initargs

    def initialize(self) -> None:
        if self._initializer is not None:
            self._initializer(*self._initargs)

    def finalize(self) -> None:
        pass


class _IdleWorkers:
    """Stands for the semaphore in which the standard class counts its idle workers."""

    def __init__(self, work_queue: _native.WorkQueue) -> None:
        self._queue = work_queue

    @property
    def _value(self) -> int:
        return self._queue.idle

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Whether a worker is idle."""
        return self._value > 0

    def release(self, n: int = 1) -> None:
        """Nothing: workers say themselves when they are idle."""


def _work_item(
    future: _AnyFuture[Any], fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """A work item of the standard library's."""
    if _CONTEXTS:
        return _std._WorkItem(future, (fn, args, kwargs))
    return _std._WorkItem(future, fn, args, kwargs)


def _log_exception_in_worker(error: BaseException) -> None:
    LOGGER.critical("Exception in worker", exc_info=error)


def _worker(
    reference: weakref.ref[ThreadPoolExecutor], context: Any, work_queue: _native.WorkQueue
) -> None:
    """What a thread of a pool does."""
    try:
        context.initialize()
    except BaseException:
        LOGGER.critical("Exception in initializer:", exc_info=True)
        executor = reference()
        if executor is not None:
            executor._initializer_failed()
        return
    try:
        work_queue._work(context)
    finally:
        context.finalize()


class ThreadPoolExecutor(_native.ThreadPoolExecutor, _StandardExecutor):
    """A pool of threads that make calls, as `concurrent.futures.ThreadPoolExecutor`.

    `max_workers` is how many threads there are at most, by default four more than CPUs, but not
    more than 32. Threads are named after `thread_name_prefix`. `initializer(*initargs)` is called
    in each thread when it begins; if it raises, the pool is broken: its calls, and later ones,
    end with BrokenThreadPool.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        **ctxkwargs: Any,
    ) -> None:
        if max_workers is None:
            max_workers = min(32, (cpu_count() or 1) + 4)
        if max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        self._failure: str | bool = False
        self._prepare(initializer, initargs, ctxkwargs)
        self._threads: set[threading.Thread] = set()
        self._shutdown_lock = threading.Lock()
        self._thread_name_prefix = thread_name_prefix or f"ThreadPoolExecutor-{_next_number()}"
        self._idle_semaphore: Any = _IdleWorkers(self._own_queue)
        self._max_workers = max_workers
        if self._has_own_ways():
            self._work_queue = queue.SimpleQueue()

    _create_worker_context: Any
    _resolve_work_item_task: Any

    def _prepare(
        self,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
        options: dict[str, Any],
    ) -> None:
        """Settles how workers begin."""
        if _CONTEXTS:
            cls: Any = type(self)
            parts = cls.prepare_context(initializer, initargs, **options)
            self._create_worker_context, self._resolve_work_item_task = parts
            return
        if options:
            name = next(iter(options))
            raise TypeError(
                f"ThreadPoolExecutor.__init__() got an unexpected keyword argument {name!r}"
            )
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        self._initializer: Any = initializer
        self._initargs = initargs
        self._create_worker_context = lambda: _WorkerContext(initializer, initargs)

    def _has_own_ways(self) -> bool:
        """Whether a subclass has replaced a part that the short way does without."""
        cls = type(self)
        if cls is ThreadPoolExecutor:
            return False
        if cls._adjust_thread_count is not ThreadPoolExecutor._adjust_thread_count:
            return True
        return _CONTEXTS and (
            cls.prepare_context.__func__ is not _StandardExecutor.prepare_context.__func__  # type: ignore[attr-defined]
        )

    @property
    def _max_workers(self) -> int:
        return self._most_workers

    @_max_workers.setter
    def _max_workers(self, value: int) -> None:
        self._most_workers = value
        self._set_limit(min(max(math.ceil(value), 0), sys.maxsize))

    @property
    def _work_queue(self) -> Any:
        return self.__dict__.get("_replaced_queue", self._own_queue)

    @_work_queue.setter
    def _work_queue(self, value: Any) -> None:
        self._replaced_queue = value
        if not self._has_flag(_STANDARD):
            self._idle_semaphore = threading.Semaphore(0)
            self._set_flag(_STANDARD, True)

    @property
    def _shutdown(self) -> bool:
        return self._has_flag(_SHUT_DOWN)

    @_shutdown.setter
    def _shutdown(self, value: bool) -> None:
        self._set_flag(_SHUT_DOWN, bool(value))

    @property  # type: ignore[override]
    def _broken(self) -> str | bool:
        return self._failure

    @_broken.setter
    def _broken(self, value: str | bool) -> None:
        self._failure = value
        self._set_flag(_BROKEN, bool(value))

    def _broken_error(self) -> BaseException:
        error: BaseException = getattr(self, "BROKEN", BrokenThreadPool)(self._failure)
        return error

    def _submit_the_long_way(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None
    ) -> _AnyFuture[Any]:
        """`submit` where something is in the way of the short one."""
        if self._is_of_ancestor():
            self._begin_anew()
        with self._shutdown_lock, _std._global_shutdown_lock:
            if self._failure:
                raise self._broken_error()
            if self._has_flag(_SHUT_DOWN):
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._check_interpreter()
            if self._has_flag(_STANDARD):
                future: _AnyFuture[Any] = Future()
                self._work_queue.put(self._standard_item(future, fn, args, kwargs or {}))
                self._adjust_thread_count()
                return future
        again: _AnyFuture[Any] = _native.ThreadPoolExecutor.submit(
            self, fn, *args, **(kwargs or {})
        )
        return again

    def _standard_item(
        self,
        future: _AnyFuture[Any],
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        if _CONTEXTS:
            task = self._resolve_work_item_task(fn, args, kwargs)
            return _std._WorkItem(future, task)
        return _work_item(future, fn, args, kwargs)

    @staticmethod
    def _check_interpreter() -> None:
        if _std._shutdown:
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    def _begin_anew(self) -> None:
        """Makes a parent's executor usable in the child of a fork, where it has no threads.

        What is queued is the parent's to run: here those futures are cancelled, so that nobody
        waits for them for ever.
        """
        with _std._global_shutdown_lock:
            if not self._is_of_ancestor():
                return
            futures = self._reset_after_fork()
            self._threads = set()
            self._shutdown_lock = threading.Lock()
        _cancel(futures)

    def _start_worker(self) -> None:
        """Starts a thread if there is work that no thread will come for."""
        with self._shutdown_lock, _std._global_shutdown_lock:
            self._check_interpreter()
            self._adjust_thread_count()

    def _adjust_thread_count(self) -> None:
        if self._has_flag(_STANDARD):
            _StandardExecutor._adjust_thread_count(self)
            return
        number = len(self._threads)
        if number >= self._max_workers or not self._is_short():
            return
        thread = Thread(
            name=f"{self._thread_name_prefix or self}_{number}",
            target=_worker,
            args=(weakref.ref(self), self._create_worker_context(), self._own_queue),
        )
        self._expect_worker(True)
        try:
            thread.start()
        except BaseException:
            self._expect_worker(False)
            raise
        self._threads.add(thread)
        self._set_workers(len(self._threads))
        _std._threads_queues[thread] = self._own_queue

    def _initializer_failed(self) -> None:
        with self._shutdown_lock:
            self._broken = "A thread initializer failed, the thread pool is not usable anymore"
            futures = self._take_queued(unclaimed_only=False)
        for future in futures:
            if future.set_running_or_notify_cancel():
                future.set_exception(self._broken_error())

    def _take_queued(self, *, unclaimed_only: bool) -> list[_AnyFuture[Any]]:
        """The futures of calls that no thread has taken; they will not be made."""
        futures, items = self._drain(unclaimed_only)
        if self._has_flag(_STANDARD):
            while True:
                try:
                    items.append(self._work_queue.get_nowait())
                except queue.Empty:
                    break
        return futures + [item.future for item in items if item is not None]

    if TYPE_CHECKING:

        @overload  # type: ignore[override]
        def map(
            self,
            fn: Callable[[_A], _T],
            iterable: Iterable[_A],
            /,
            *,
            timeout: float | None = None,
            chunksize: int = 1,
            buffersize: int | None = None,
            progress: Wish = False,
        ) -> Iterator[_T]: ...
        @overload
        def map(
            self,
            fn: Callable[[_A, _B], _T],
            iterable: Iterable[_A],
            iterable2: Iterable[_B],
            /,
            *,
            timeout: float | None = None,
            chunksize: int = 1,
            buffersize: int | None = None,
            progress: Wish = False,
        ) -> Iterator[_T]: ...
        @overload
        def map(
            self,
            fn: Callable[..., _T],
            iterable: Iterable[Any],
            iterable2: Iterable[Any],
            iterable3: Iterable[Any],
            /,
            *iterables: Iterable[Any],
            timeout: float | None = None,
            chunksize: int = 1,
            buffersize: int | None = None,
            progress: Wish = False,
        ) -> Iterator[_T]: ...

    def map(
        self,
        fn: Callable[..., _T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
        progress: Wish = False,
    ) -> Iterator[_T]:
        """Calls `fn` with the items of the iterables, as `map` does; yields the results in order.

        All calls are submitted at once; with `buffersize` at most that many whose results have
        not been yielded. `chunksize` is for pools of processes and means nothing here.
        TimeoutError is raised when a result is asked for that has not come `timeout` seconds
        after the call of `map`; what a call raises is raised in its turn. Then, and when the
        iterator is closed, calls that have not begun are cancelled. `progress`, which is ours,
        shows or tells how many calls have ended: see docs/progress.md.
        """
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        meter = meter_of(progress, iterables, name_of(fn))
        executor = self if meter is None else Counted(self, meter, one)
        end = None if timeout is None else timeout + monotonic()
        arguments = zip(*iterables, strict=False)
        at_once = arguments if buffersize is None else islice(arguments, buffersize)
        futures: list[Any]
        if meter is None and type(self).submit is ThreadPoolExecutor.submit:
            futures = self._submit_each(fn, at_once)
        else:
            try:
                futures = [executor.submit(fn, *each) for each in at_once]
            except BaseException:
                if meter is not None:
                    meter.close()
                raise
        results: Iterator[_T]
        if buffersize is None:
            results = _results(futures, end)
        else:
            results = _buffered_results(weakref.ref(executor), fn, arguments, deque(futures), end)
        return results if meter is None else meter.around(results, executor)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the pool: it takes no more calls, and its threads end when none is left to make.

        With `wait` it returns when they have. With `cancel_futures` calls that have not begun are
        cancelled; a call for which a thread has just been started counts as begun. An exception
        from a signal handler interrupts the waiting and nothing else: it may be called again.
        """
        if self._is_of_ancestor():
            self._begin_anew()
        futures: list[_AnyFuture[Any]] = []
        with self._shutdown_lock:
            self._shutdown = True
            if cancel_futures:
                futures = self._take_queued(unclaimed_only=True)
            if self._has_flag(_STANDARD):
                self._work_queue.put(None)
            elif not self._threads:
                # One that submits at this very moment, and has not come to start a thread.
                self._adjust_thread_count()
            self._close()
        _cancel(futures)
        if wait:
            for thread in list(self._threads):
                thread.join()

    def __repr__(self) -> str:
        numbers = self.statistics()
        state = "shutdown" if self._shutdown else "broken" if self._failure else "open"
        return (
            f"<{type(self).__name__} at {id(self):#x} state={state} threads={numbers['threads']}"
            f"/{self._max_workers} idle={numbers['idle']} queued={numbers['queued']}>"
        )


_native.own_methods(ThreadPoolExecutor, _native.ThreadPoolExecutor)


def _cancel(futures: list[_AnyFuture[Any]]) -> None:
    """Cancels futures that no thread will come to, and tells those who wait for them."""
    for future in futures:
        if future.cancel() and future._state == "CANCELLED":
            future.set_running_or_notify_cancel()


def _results(futures: list[Any], end: float | None) -> Iterator[Any]:
    take = _native.result_or_cancel
    try:
        futures.reverse()
        while futures:
            # No name for the future: it is not to be kept alive while its result is looked at.
            yield take(futures.pop(), end)
    finally:
        for future in futures:
            future.cancel()


def _buffered_results(
    reference: weakref.ref[Executor],
    fn: Callable[..., Any],
    arguments: Iterator[tuple[Any, ...]],
    futures: deque[Any],
    end: float | None,
) -> Iterator[Any]:
    take = _native.result_or_cancel
    try:
        while futures:
            executor = reference()
            if executor is not None and (each := next(arguments, None)):
                futures.append(executor.submit(fn, *each))
            del executor
            yield take(futures.popleft(), end)
    finally:
        for future in futures:
            future.cancel()


# The standard module's own exit handler, which was registered before and so runs after this one,
# empties the queues.
threading._register_atexit(_native.note_interpreter_shutdown)  # type: ignore[attr-defined]
