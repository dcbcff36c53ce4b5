"""The methods by which calls are given to a pool, which may be one with options."""

from __future__ import annotations

import multiprocessing.pool as _std_module
from collections.abc import Callable, Iterable, Iterator, Mapping
from weakref import WeakValueDictionary

from tress._progress import meter_of
from tress.concurrent.futures._base import name_of
from tress.concurrent.futures._process_future import ProcessFuture
from tress.concurrent.futures._process_options import Options
from tress.multiprocessing._pool_results import (
    ApplyResult,
    IMapIterator,
    IMapUnorderedIterator,
    MapResult,
    chunks,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tress._progress import Wish

# Its private names are used.
_std: Any = _std_module

mapstar = _std.mapstar
starmapstar = _std.starmapstar


_PLAIN = (list, tuple, range)


class Calls:
    """Gives calls to an engine."""

    _engine: Any
    # The jobs of more than one task that are or were there.
    _jobs: WeakValueDictionary[int, Any]
    _options: Options | None = None

    def _check_running(self) -> None:
        raise NotImplementedError

    def apply(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] = (),
        kwds: Mapping[str, Any] = {},
    ) -> Any:
        """Returns what `func(*args, **kwds)` returns in a worker, or raises what it raises."""
        self._check_running()
        future = ProcessFuture(self._engine, (func, args, kwds), self._options)
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
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        *,
        progress: Wish = False,
    ) -> list[Any]:
        """Returns the list of what `func` returns for each item, called in the workers.

        `chunksize` items make a task, by default so many that each worker has four. All calls are
        made, also when one raises; then the exception of the first that did is raised. `progress`,
        which is ours, shows or tells how many calls have ended: see docs/progress.md.
        """
        return _all_of(self._map(func, iterable, mapstar, chunksize, progress=progress))

    def map_async(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        callback: Callable[[list[Any]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
        *,
        progress: Wish = False,
    ) -> MapResult:
        """As `map`, but returns at once what will have the list. Callbacks: see `apply_async`."""
        return self._map(func, iterable, mapstar, chunksize, callback, error_callback, progress)

    def starmap(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        *,
        progress: Wish = False,
    ) -> list[Any]:
        """As `map`, for a function that is called with each item's items as its arguments."""
        return _all_of(self._map(func, iterable, starmapstar, chunksize, progress=progress))

    def starmap_async(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        callback: Callable[[list[Any]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
        *,
        progress: Wish = False,
    ) -> MapResult:
        """As `starmap`, but returns at once what will have the list."""
        return self._map(func, iterable, starmapstar, chunksize, callback, error_callback, progress)

    def _map(
        self,
        func: Callable[..., Any],
        iterable: Any,
        mapper: Callable[..., Any],
        chunksize: int | None,
        callback: Callable[[list[Any]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
        progress: Wish = False,
    ) -> MapResult:
        self._check_running()
        if not hasattr(iterable, "__len__"):
            iterable = list(iterable)
        length = len(iterable)
        if chunksize is None:
            chunksize = -(-length // (len(self._engine.members()) * 4 or 4))
        if length == 0:
            chunksize = 0
        calls = chunks(mapper, func, iterable, chunksize)
        name = name_of(func)
        meter = meter_of(progress, [iterable], name)
        result = MapResult(self, chunksize, length, callback, error_callback, calls, name, meter)
        if chunksize <= 0:
            return result
        self._jobs[result._job] = result
        self._feed(result, iterable)
        return result

    def _feed(self, job: Any, iterable: Any) -> None:
        """Has the tasks of a job submitted; those of the simple kinds of iterables, which neither
        block nor run code of the user's, need no thread of their own."""
        if type(iterable) in _PLAIN:
            self._engine.feeder.put(job, plain=True)
            self._engine.refill()
        else:
            self._engine.feeder.put(job)

    def imap(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int = 1,
        *,
        progress: Wish = False,
    ) -> IMapIterator:
        """Returns an iterator over what `func` returns for each item, in order.

        `iterable` is read by a thread of the pool, some hundreds of items ahead of the workers. The
        iterator's `next(timeout)` waits no longer than that many seconds. `progress` as for `map`.
        """
        return self._imap(IMapIterator, func, iterable, chunksize, progress)

    def imap_unordered(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int = 1,
        *,
        progress: Wish = False,
    ) -> IMapIterator:
        """As `imap`, the results in the order in which they come."""
        return self._imap(IMapUnorderedIterator, func, iterable, chunksize, progress)

    def _imap(
        self,
        kind: type[IMapIterator],
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int,
        progress: Wish,
    ) -> IMapIterator:
        self._check_running()
        if chunksize < 1:
            raise ValueError(f"Chunksize must be 1+, not {chunksize!r}")
        if chunksize == 1:
            calls = _singly(func, iterable)
        else:
            calls = chunks(mapstar, func, iterable, chunksize)
        name = name_of(func)
        meter = meter_of(progress, [iterable], name)
        result = kind(self, calls, name, meter, chunked=chunksize > 1)
        self._jobs[result._job] = result
        self._feed(result, iterable)
        return result


def _all_of(result: MapResult) -> list[Any]:
    """What it has in the end. Nothing is shown any more when the caller was interrupted."""
    try:
        results: list[Any] = result.get()
    except BaseException:
        if result._meter is not None:
            result._meter.close()
        raise
    return results


def _singly(func: Callable[[Any], Any], iterable: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    for item in iterable:
        yield func, (item,), {}
