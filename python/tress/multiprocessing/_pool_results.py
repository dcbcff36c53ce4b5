"""What the methods of a `Pool` return: results that may not be there yet.

`ApplyResult` is a future of the process strand, so the thread that waits in `get` reads the answer
itself. Where there are callbacks, it is ready only once they have been called, as in the standard
library; they are called by the pool's thread. The parts of a map are futures as well, whose
done-callbacks bring them to the `MapResult` or the iterator that they are of.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing.pool as _std_module
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import TimeoutError  # noqa: A004 - the one that `get` raises
from time import monotonic

from tress import _native
from tress._thread import report
from tress.concurrent.futures._base import Future
from tress.concurrent.futures._process_future import ProcessFuture
from tress.concurrent.futures._process_options import Options
from tress.concurrent.futures._process_pool import end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tress._progress import Meter
else:
    # What stands in the brackets of a base class is for type checkers alone.
    Any = object

# Its private names are used, which stay what they are when tress is installed.
_std: Any = _std_module
_StandardApplyResult = _std_module.ApplyResult
_StandardMapResult = _std_module.MapResult
_StandardIMapIterator = _std_module.IMapIterator
_StandardIMapUnorderedIterator = _std_module.IMapUnorderedIterator

_wait: Any = _native.Future.exception
_result: Any = _native.Future.result

# Comes after the last item of an iterator.
_END: Any = object()


class TerminatedError(BrokenProcessPool):
    """The pool was terminated before the call was finished."""

    def __init__(self) -> None:
        super().__init__("the pool was terminated before the call was finished")


class _NotYetError(TimeoutError):
    """An iterator has nothing to give within the time that it was given."""


def wait_here(future: Any, timeout: float | None) -> None:
    """Waits for a future, at most `timeout` seconds, without reading what workers answer."""
    try:
        _wait(future, timeout)
    except Exception:
        # It has been cancelled, or time is up: whoever asks looks.
        return


class ApplyResult(ProcessFuture, _StandardApplyResult[Any]):
    """The result of `Pool.apply_async`, as `multiprocessing.pool.ApplyResult`."""

    def __init__(
        self,
        pool: Any,
        callback: Callable[[Any], object] | None,
        error_callback: Callable[[BaseException], object] | None,
        call: Any = None,
    ) -> None:
        ProcessFuture.__init__(self, pool._engine, call, pool._options)
        self._pool = pool
        self._job: int = next(_std.job_counter)
        self._callback = callback
        self._error_callback = error_callback
        # Set when the callbacks have been called.
        self._told: threading.Event | None = None
        if callback is not None or error_callback is not None:
            self._told = threading.Event()
            self.add_done_callback(ApplyResult._tell)

    def _tell(self) -> None:
        callback, error_callback, told = self._callback, self._error_callback, self._told
        self._callback = self._error_callback = None
        assert told is not None
        try:
            if self.cancelled() or isinstance(self._exception, TerminatedError):
                return
            engine: Any = self._engine
            with engine.telling:
                if self._exception is None:
                    if callback:
                        callback(self._result)
                elif error_callback:
                    error_callback(self._exception)
        except BaseException:
            report()
        finally:
            told.set()
            self._pool = None

    def ready(self) -> bool:
        """Whether the call has finished, and the callbacks have been called."""
        return self.done() and (self._told is None or self._told.is_set())

    def successful(self) -> bool:
        """Whether the call has finished without an exception. ValueError if it has not finished."""
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        return not self.cancelled() and self._exception is None

    def wait(self, timeout: float | None = None) -> None:
        """Waits until the call has finished, or `timeout` seconds have passed."""
        if self._told is not None:
            self._told.wait(timeout)
        elif not self.done():
            self._engine.wait_for(self, timeout)
        if self.done():
            self._pool = None

    def get(self, timeout: float | None = None) -> Any:
        """Returns what the call returned, or raises what it raised, once it has finished.

        `multiprocessing.TimeoutError` is raised when `timeout` seconds have passed first. A timeout
        or a signal takes nothing. When the worker was lost, it is a WorkerLostError; when the pool
        was terminated, a BrokenProcessPool.
        """
        self.wait(timeout)
        if not self.ready():
            raise TimeoutError
        return _result(self, 0)

    @property
    def _success(self) -> bool:
        return self.ready() and self.successful()

    @property
    def _value(self) -> Any:
        return self._result if self._exception is None else self._exception


AsyncResult = ApplyResult


class Part(ProcessFuture):
    """The outcome of one task of many."""

    __slots__ = ("_index", "_ready")

    def __init__(
        self,
        engine: Any,
        call: Any,
        options: Options | None,
        name: str,
        index: int,
        ready: _native.Ready | None = None,
    ) -> None:
        super().__init__(engine, call, options)
        self._ready = ready
        self._name = name
        self._index = index

    def _ready_list(self) -> _native.Ready | None:
        return self._ready

    def _title(self) -> str:
        return f"{self._name}, task {self._index}"


def chunks(
    mapper: Callable[..., Any], function: Callable[..., Any], iterable: Iterable[Any], size: int
) -> Iterator[tuple[Any, ...]]:
    """The calls of a map, each of which is `size` of the function's."""
    items = iter(iterable)
    while chunk := tuple(itertools.islice(items, size)):
        yield mapper, ((function, chunk),), {}


class MapResult(ApplyResult, _StandardMapResult[Any]):
    """The result of `Pool.map_async`, as `multiprocessing.pool.MapResult`."""

    def __init__(
        self,
        pool: Any,
        chunksize: int,
        length: int,
        callback: Callable[[Any], object] | None,
        error_callback: Callable[[BaseException], object] | None,
        calls: Iterator[tuple[Any, ...]],
        name: str,
        meter: Meter | None = None,
    ) -> None:
        empty = chunksize <= 0
        if empty:
            callback = error_callback = None
        super().__init__(pool, callback, error_callback)
        self._name = name
        self._meter = meter
        self._chunksize = chunksize
        self._items: list[Any] = [None] * length
        self._error: BaseException | None = None
        self._calls: Iterator[tuple[Any, ...]] | None = calls
        self._lock = threading.Lock()
        # One more than parts are missing, until all have been submitted.
        self._missing = 1
        self._expected = 0 if empty else -(-length // chunksize)
        self._arrived = 0
        if empty:
            self.all_fed()

    @property
    def _number_left(self) -> int:
        return max(self._expected - self._arrived, 0)

    def tasks(self) -> Iterator[Part]:
        """The futures of the parts, which are to be submitted."""
        calls, self._calls = self._calls, None
        assert calls is not None
        name = self._name or ""
        try:
            for index, call in enumerate(calls):
                part = Part(self._engine, call, self._options, name, index)
                with self._lock:
                    self._missing += 1
                if self._meter is not None:
                    self._meter.watch(part, len(call[1][0][1]))
                part.add_done_callback(self._arrive)
                yield part
                del part, call
        except Exception as error:
            self._note(error)

    def _note(self, error: BaseException) -> None:
        with self._lock:
            if self._error is None:
                self._error = error

    def all_fed(self, error: BaseException | None = None) -> None:
        """No more parts will come."""
        if error is not None:
            self._note(error)
        self._subtract()

    def _arrive(self, part: Part) -> None:
        error = CancelledError() if part.cancelled() else part._exception
        if error is None:
            start = part._index * self._chunksize
            results: Any = part._result
            self._items[start : start + self._chunksize] = results
        else:
            self._note(error)
        self._arrived += 1
        self._subtract()

    def _subtract(self) -> None:
        with self._lock:
            self._missing -= 1
            if self._missing:
                return
            items, self._items = self._items, []
            error, self._error = self._error, None
        if self._meter is not None:
            self._meter.finish()
        if error is not None:
            end(self, error)
        else:
            self.set_result(items)

    def wait(self, timeout: float | None = None) -> None:
        """Waits until all calls have finished, or `timeout` seconds have passed."""
        if self._told is None and not self.done():
            # The parts are brought by the pool's thread.
            wait_here(self, timeout)
        super().wait(0 if self._told is None else timeout)


class IMapIterator(_StandardIMapIterator):  # type: ignore[type-arg]
    """What `Pool.imap` returns, as `multiprocessing.pool.IMapIterator`: the results in order."""

    # Where parts go that have ended; None if they are waited for one by one.
    _ready: _native.Ready | None = None

    def __init__(
        self,
        pool: Any,
        calls: Iterator[tuple[Any, ...]],
        name: str,
        meter: Meter | None = None,
        chunked: bool = False,
    ) -> None:
        self._pool = pool
        self._engine: Any = pool._engine
        self._options: Options | None = pool._options
        self._job: int = next(_std.job_counter)
        self._calls: Iterator[tuple[Any, ...]] | None = calls
        self._name = name
        self._meter = meter
        self._length: int | None = None
        self._index = 0
        self._lock = threading.Lock()
        # What is left of the last chunk; None if there are no chunks.
        self._chunk: deque[Any] | None = deque() if chunked else None
        self._failed = False
        self._prepare()

    def _prepare(self) -> None:
        # The futures in order, then the end; and those that were waited for in vain.
        self._futures = _native.Ready()
        self._returned: deque[Any] = deque()

    def tasks(self) -> Iterator[Part]:
        """The futures of the tasks, which are to be submitted."""
        calls, self._calls = self._calls, None
        assert calls is not None
        engine, options, name, ready = self._engine, self._options, self._name, self._ready
        index = -1
        try:
            for index, call in enumerate(calls):
                part = Part(engine, call, options, name, index, ready)
                if ready is None:
                    self._futures.put(part)
                if self._meter is not None:
                    self._meter.watch(part, 1 if self._chunk is None else len(call[1][0][1]))
                yield part
                del part, call
        except Exception as error:
            index += 1
            self._fail(index, error)
        self._length = index + 1
        if self._meter is not None:
            self._meter.finish()

    def _fail(self, index: int, error: BaseException) -> None:
        part = Part(self._engine, None, None, self._name, index)
        part.set_exception(error)
        self._futures.put(part)

    def all_fed(self, error: BaseException | None = None) -> None:
        """No more parts will come."""
        if error is not None:
            self._fail(0, error)
        self._futures.put(_END)
        if self._meter is not None:
            self._meter.finish()

    def __iter__(self) -> IMapIterator:
        return self

    def __aiter__(self) -> IMapIterator:
        return self

    async def __anext__(self) -> Any:
        while True:
            try:
                return self._item(0)
            except StopIteration:
                raise StopAsyncIteration from None
            except _NotYetError:
                await self._more()

    async def _more(self) -> None:
        """Waits in a coroutine until there may be another result."""
        import asyncio

        loop = asyncio.get_running_loop()
        there = loop.create_future()

        def note() -> None:
            if not there.done():
                there.set_result(None)

        def tell(_: object) -> None:
            # The loop may have been closed meanwhile.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(note)

        bell: Any = self._returned[0] if self._returned else Future()
        bell.add_done_callback(tell)
        if isinstance(bell, Part):
            await there
            return
        self._futures.arm(bell)
        try:
            if not len(self._futures):
                await there
        finally:
            self._futures.disarm(bell)

    def next(self, timeout: float | None = None) -> Any:
        """Returns the next result, or raises what its call raised.

        StopIteration after the last. `multiprocessing.TimeoutError` is raised when `timeout`
        seconds have passed first; a timeout or a signal takes nothing.
        """
        try:
            return self._item(timeout)
        except _NotYetError:
            raise TimeoutError from None

    __next__ = next  # noqa: A003 - the method

    def _item(self, timeout: float | None) -> Any:
        if self._chunk is None:
            return self._next(timeout)
        try:
            return self._chunk.popleft()
        except IndexError:
            if self._failed:
                raise StopIteration from None
        try:
            self._chunk.extend(self._next(timeout))
        except (_NotYetError, StopIteration):
            raise
        except Exception:
            # As a generator, which the standard library has for chunks.
            self._failed = True
            raise
        return self._chunk.popleft()

    def _next(self, timeout: float | None) -> Any:
        deadline = None if timeout is None else monotonic() + timeout
        try:
            future = self._returned.popleft()
        except IndexError:
            future = self._take(deadline)
        if future is _END:
            raise self._finish()
        try:
            while not future.done():
                self._engine.wait_once(future, _left(deadline))
                if not future.done():
                    _check(deadline)
        except BaseException:
            self._returned.appendleft(future)
            raise
        self._index += 1
        return _result(future, 0)

    def _take(self, deadline: float | None) -> Any:
        """What comes next."""
        while (future := self._futures.take()) is None:
            self._engine.wait_ready(self._futures, _left(deadline))
            if not len(self._futures):
                _check(deadline)
        return future

    def _finish(self) -> StopIteration:
        # Whoever asks next, or waits now, is told as well.
        self._futures.put(_END)
        self._pool = None
        if self._meter is not None:
            self._meter.finish()
        return StopIteration()


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(deadline - monotonic(), 0)


def _check(deadline: float | None) -> None:
    if deadline is not None and monotonic() >= deadline:
        raise _NotYetError


class IMapUnorderedIterator(IMapIterator, _StandardIMapUnorderedIterator):  # type: ignore
    """What `Pool.imap_unordered` returns, as the class of that name of the standard module: the
    results as they come."""

    # The futures have ended, and the end may come before the last of them. After an error of the
    # pool as a whole nothing is left to be waited for, and the length is unknown.

    def _prepare(self) -> None:
        self._futures = self._ready = _native.Ready()
        self._returned = deque()

    def _next(self, timeout: float | None) -> Any:
        deadline = None if timeout is None else monotonic() + timeout
        future = self._futures.take()
        while future is None or future is _END:
            if future is _END:
                with self._lock:
                    if self._length is None or self._index >= self._length:
                        raise self._finish()
            future = self._take(deadline)
        with self._lock:
            self._index += 1
            last = self._index == self._length
        if last:
            self._futures.put(_END)
        return _result(future, 0)
