"""Futures, and waiting for many of them."""

from __future__ import annotations

import concurrent.futures._base as _std
import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator

from tress import _native
from tress._progress import meter_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    from tress._progress import Wish

    _T = TypeVar("_T")
else:
    # What stands in the brackets of a base class is for type checkers alone.
    _T = object

LOGGER = _std.LOGGER

# After install() these names of the standard module mean what is defined below.
_StandardFuture = _std.Future


class Future(_native.Future[_T], _StandardFuture[_T]):
    """The outcome of a call that is made elsewhere, as `concurrent.futures.Future`."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, _T]:
        """Waits for the outcome in a coroutine; ours.

        As with `asyncio.wrap_future`, cancelling the task that waits cancels the call, if it has
        not begun.
        """
        import asyncio

        return asyncio.wrap_future(self).__await__()


_native.own_methods(Future, _native.Future)
_native.set_future_class(Future)


def name_of(function: object) -> str:
    """What a function is called, or what kind of object it is."""
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else type(function).__qualname__


def cpu_count() -> int | None:
    """How many CPUs an executor counts on by default."""
    if sys.version_info >= (3, 13):
        return os.process_cpu_count()
    return os.cpu_count()


def _call_back(future: Future[Any], callback: Callable[[Any], object]) -> None:
    """Calls one callback; an Exception that it raises is logged."""
    try:
        callback(future)
    except Exception:
        LOGGER.exception("exception calling callback for %r", future)


def _invoke_callbacks(future: Future[Any]) -> None:
    for callback in future._done_callbacks:
        _call_back(future, callback)


def wait(
    fs: Iterable[_std.Future[_T]],
    timeout: float | None = None,
    return_when: str = _std.ALL_COMPLETED,
) -> _std.DoneAndNotDoneFutures[_T]:
    """Waits for futures, of tress and of the standard library, mixed as you like.

    Returns when all have ended (`return_when` is ALL_COMPLETED), when one has (FIRST_COMPLETED),
    or when one has raised an exception or all have ended (FIRST_EXCEPTION); in any case after
    `timeout` seconds, if that is not None.

    The result is a named pair of sets, `done` and `not_done`. A timeout or a signal takes
    nothing: the futures can be waited for again.
    """
    done, not_done = _native.wait_futures(set(fs), timeout, return_when)
    return _std.DoneAndNotDoneFutures(done, not_done)


def as_completed(
    fs: Iterable[_std.Future[_T]], timeout: float | None = None, *, progress: Wish = False
) -> Iterator[_std.Future[_T]]:
    """Yields futures, of tress and of the standard library, as they end, the ended ones first.

    Each comes once, however often it is among `fs`, and is referred to no more once it has been
    yielded. TimeoutError is raised when `timeout` seconds have passed since the first was asked
    for and not all have ended. `progress`, which is ours, shows or tells how many have been
    yielded: see docs/progress.md.
    """
    completed: Any = _native.Completed(futures := set(fs), timeout)
    meter = meter_of(progress, [futures], "as_completed")
    # What the caller drops is not to be kept alive here.
    del fs, futures
    try:
        if meter is None:
            yield from completed
        else:
            for future in completed:
                meter.advance()
                yield future
                del future
    finally:
        completed.close()
        if meter is not None:
            meter.close()
