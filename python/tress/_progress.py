"""How far a map is: what `progress=` of maps and of `as_completed` does.

A Meter counts, in whatever thread ends a call, and tells a callback or draws. Drawing is a screen's
(`_progress_screen`), which is imported when there is something to draw.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor
from time import monotonic

from tress._thread import report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias, TypeVar

    from tress._progress_screen import Line

    _T = TypeVar("_T")


class Progress:
    """How far a map is: `done` calls of `total`, which is None where nobody knows."""

    __slots__ = ("done", "total")
    __module__ = "tress"

    def __init__(self, done: int, total: int | None) -> None:
        self.done = done
        self.total = total

    def __repr__(self) -> str:
        return f"{type(self).__name__}(done={self.done}, total={self.total})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Progress):
            return NotImplemented
        return (self.done, self.total) == (other.done, other.total)

    def __hash__(self) -> int:
        return hash((self.done, self.total))


if TYPE_CHECKING:
    Wish: TypeAlias = bool | str | Callable[[Progress], object]
    """Whether to show how far it is: under the function's name, or another; or whom to tell."""


class Meter:
    """Counts calls that have ended."""

    def __init__(
        self, total: int | None, tell: Callable[[Progress], object], line: Line | None = None
    ) -> None:
        self._total = total
        self._tell: Callable[[Progress], object] | None = tell
        self._line = line
        self._done = 0
        self._watched = 0
        self._is_whole = False
        # A signal handler, or what is told, may end a call of the same map.
        self._lock = threading.RLock()

    def advance(self, by: int = 1) -> None:
        """So many more have ended."""
        with self._lock:
            self._done += by
            if self._tell is None:
                return
            try:
                self._tell(Progress(self._done, self._total))
            except Exception:
                self._tell = None
                # It costs no result.
                report()
            is_last = self._done == (self._watched if self._is_whole else self._total)
        if is_last:
            self.close()

    def watch(self, future: Any, calls: int = 1) -> None:
        """Counts when the future has ended, unless its call was not made."""
        self._watched += calls

        def note(future: Any) -> None:
            if _was_made(future):
                self.advance(calls)
            else:
                with self._lock:
                    self._watched -= calls
                if self._is_whole:
                    self.finish()

        future.add_done_callback(note)

    def finish(self) -> None:
        """No more will be watched: it is closed when all that are have been counted. That may be a
        moment after their results were there."""
        with self._lock:
            self._is_whole = True
            is_last = self._done == self._watched
        if is_last:
            self.close()

    def close(self) -> None:
        """No more will be told or drawn."""
        with self._lock:
            line, self._line = self._line, None
            self._tell = None
        if line is not None:
            line.close()

    def drop(self) -> None:
        """As `close`, where the garbage collector may call it, in whatever a thread is at."""
        line, self._line = self._line, None
        self._tell = None
        if line is not None:
            line.drop()

    def around(self, results: Iterator[_T], keep: object = None) -> Iterator[_T]:
        """The results, after which, or after the first error, it is closed."""
        try:
            yield from results
            self.finish()
        except GeneratorExit:
            self.drop()
            raise
        except BaseException:
            self.close()
            raise
        finally:
            del keep

    def __del__(self) -> None:
        # Nobody has come to the end of the results.
        if not sys.is_finalizing():
            self.drop()


def _was_made(future: Any) -> bool:
    """Whether its call was begun: it was not cancelled, and its pool has not ended before."""
    if future.cancelled():
        return False
    error = future._exception
    if not isinstance(error, BrokenExecutor):
        return True
    # Where it may be met, it has been loaded.
    from tress._task_errors import WorkerLostError

    return isinstance(error, WorkerLostError)


def meter_of(progress: Wish, iterables: Iterable[Any], name: str) -> Meter | None:
    """The meter that an argument `progress` asks for; None without.

    `iterables` are what is mapped over, `name` is the function's.

    TypeError for an argument that is not a bool, a string or a callable.
    """
    if progress is False:
        return None
    total = _length_of(iterables)
    if callable(progress):
        return Meter(total, progress)
    if not isinstance(progress, (bool, str)):
        raise TypeError(
            f"progress must be a bool, a str or a callable, not {type(progress).__name__}"
        )
    from tress._progress_screen import open_line

    line = open_line(name if progress is True else progress, total, monotonic())
    meter = Meter(total, line.show, line)
    if total == 0:
        meter.close()
    return meter


def _length_of(iterables: Iterable[Any]) -> int | None:
    """How many calls a map over these makes; None if one of them does not say how long it is."""
    try:
        return min(map(len, iterables), default=0)
    except TypeError:
        return None


def one(*_: object) -> int:
    """How many calls a call is that is not a chunk of several."""
    return 1


class Counted(Executor):
    """An executor each of whose calls is counted."""

    def __init__(self, executor: Executor, meter: Meter, calls: Callable[..., int]) -> None:
        self._executor = executor
        self._meter = meter
        self._calls = calls

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """As the executor's own."""
        future = self._executor.submit(fn, *args, **kwargs)
        self._meter.watch(future, self._calls(*args))
        return future
