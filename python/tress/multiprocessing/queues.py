"""Queues between processes: the names of the standard `multiprocessing.queues`.

Each class is a subclass of the standard one. Items go through a ring in shared memory. When a
process is killed the queue goes on, and nothing is lost but the item that it was putting or
getting.
"""

from __future__ import annotations

import multiprocessing.queues as _std
import os
import threading
import types
import weakref
from collections import deque
from collections.abc import Callable
from multiprocessing import context as _context, util
from multiprocessing.context import BaseContext
from queue import Empty, Full

from tress import _native
from tress.multiprocessing._queue_ring import Reader, Ring, Writer, load
from tress.multiprocessing.synchronize import SEM_VALUE_MAX  # type: ignore[attr-defined]

__all__ = ["JoinableQueue", "Queue", "SimpleQueue"]

_util: Any = util
_END: Any = object()

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    _T = TypeVar("_T")

    _Queue = _std.Queue
    _JoinableQueue = _std.JoinableQueue
    _SimpleQueue = _std.SimpleQueue
else:
    # What stands in the brackets of a base class is for type checkers alone.
    _T = object

    # Not every Python's can be subscripted.
    class _Queue(_std.Queue):
        __class_getitem__ = classmethod(types.GenericAlias)

    class _JoinableQueue(_std.JoinableQueue):
        __class_getitem__ = classmethod(types.GenericAlias)

    class _SimpleQueue(_std.SimpleQueue):
        __class_getitem__ = classmethod(types.GenericAlias)


class _Unsent:
    """How many items a process has put that are not in the ring yet."""

    count = 0


class Queue(_Queue[_T]):
    """A queue between processes, as `multiprocessing.Queue`.

    `put()` waits for nothing but the bound. What finds no room in the ring waits in this process
    for a thread that puts it there: `close()`, `join_thread()` and `cancel_join_thread()` are about
    that one. An object is pickled as it is put, so that what is changed in it later is not seen.
    """

    _feeds_itself = True
    """Whether what waits is fed in this class's way, rather than in a subclass's own."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = (cls._start_thread, cls._feed)
        cls._feeds_itself = own == (Queue._start_thread, Queue._feed)

    def __init__(self, maxsize: int = 0, *, ctx: BaseContext) -> None:
        if maxsize <= 0:
            maxsize = SEM_VALUE_MAX
        self._maxsize = maxsize
        ring = Ring(_native.SharedRing())
        self._reader, self._writer = Reader(ring), Writer(ring)
        # For subclasses that take them: the ring has locks of its own.
        self._rlock, self._wlock = ctx.Lock(), ctx.Lock()
        self._opid = os.getpid()
        self._sem: Any = ctx.BoundedSemaphore(maxsize)
        # It is acquired in the process that puts and released in the one that gets.
        self._sem._semlock._let_permits_travel()  # type: ignore[attr-defined]
        self._ignore_epipe = False
        self._reset()
        _util.register_after_fork(self, Queue._after_fork)

    def __getstate__(self) -> tuple[Any, ...]:  # type: ignore[override]
        _context.assert_spawning(self)
        return (
            *(self._ignore_epipe, self._maxsize, self._reader, self._writer),
            *(self._rlock, self._wlock, self._sem, self._opid),
        )

    def __setstate__(self, state: tuple[Any, ...]) -> None:  # type: ignore[override]
        self._ignore_epipe, self._maxsize, self._reader, self._writer = state[:4]
        self._rlock, self._wlock, self._sem, self._opid = state[4:]
        self._reset()

    def _after_fork(self) -> None:
        self._reset(after_fork=True)

    def _reset(self, after_fork: bool = False) -> None:
        # What the parent of a fork has yet to put is the parent's to put.
        self._notempty = threading.Condition(threading.Lock())
        self._buffer: deque[Any] = deque()
        self._unsent = _Unsent()
        self._thread: threading.Thread | None = None
        self._jointhread: Any = None
        self._joincancelled = False
        self._closed = False
        self._close: Any = None
        self._send_bytes = self._writer.send_bytes
        self._recv_bytes = self._reader.recv_bytes
        self._poll = self._reader.poll
        self._native = self._reader.ring.native
        self._native.count_on(self._sem._semlock)

    def put(self, obj: _T, block: bool = True, timeout: float | None = None) -> None:
        """Put an object in; if the queue has as many as `maxsize`, wait until it has fewer.

        Full when `timeout` seconds passed first, or at once if `block` is false. ValueError when
        the queue is closed. An object that cannot be pickled is reported and not put, as in the
        standard library.
        """
        if self._closed:
            raise ValueError(f"Queue {self!r} is closed")
        # What this thread has put before comes first.
        if self._feeds_itself and not self._unsent.count:
            try:
                left = self._native.put_now(obj)
            except Exception as error:
                self._on_queue_feeder_error(error, obj)  # type: ignore[attr-defined]
                return
            if left is None:
                return
            if left:
                self._leave_to_thread(left)
                return
        if not self._sem.acquire(block, timeout):
            raise Full
        self._send(obj)

    def _send(self, obj: _T) -> bool:
        """Puts the object into the ring or leaves it to the thread; whether it could be pickled."""
        if not self._feeds_itself:
            self._leave_to_thread(obj)
            return True
        try:
            send = self._native.prepare if self._unsent.count else self._native.try_put
            left = send(obj)
        except Exception as error:
            self._sem.release()
            self._on_queue_feeder_error(error, obj)  # type: ignore[attr-defined]
            return False
        except BaseException:
            self._sem.release()
            raise
        if left is not None:
            self._leave_to_thread(left)
        return True

    def _leave_to_thread(self, item: Any) -> None:
        with self._notempty:
            if self._thread is None:
                self._start_thread()
            self._unsent.count += 1
            self._buffer.append(item)
            self._notempty.notify()

    def get(self, block: bool = True, timeout: float | None = None) -> _T:
        """Take the oldest object out, waiting until there is one.

        Empty when `timeout` seconds passed first, or at once if `block` is false. ValueError when
        the queue is closed. A timeout or a signal takes nothing, except in the middle of an object
        that comes in pieces, which an exception of a signal handler loses.

        An `OwnerDiedWarning` says that an object is lost, whose process ended in the middle of it.
        """
        if self._closed:
            raise ValueError(f"Queue {self!r} is closed")
        obj: _T = self._native.take(timeout if block else 0, self, _END)
        if obj is _END:
            raise Empty
        return obj

    def _item_lost(self) -> None:
        """What is to be done when an item is lost, whose place is given back already."""

    def get_nowait(self) -> _T:
        """`get(False)`."""
        return self.get(False)

    def put_nowait(self, obj: _T) -> None:
        """`put(obj, False)`."""
        self.put(obj, False)

    def qsize(self) -> int:
        """How many objects are in it, those included that wait in some process to be put."""
        size: int = self._maxsize - self._sem._semlock._get_value()
        return size

    def empty(self) -> bool:
        """Whether there is nothing that a `get()` would find. OSError after `close()`, if this
        process has put something.
        """
        return not self._poll()

    def full(self) -> bool:
        """Whether it has as many objects as `maxsize`."""
        is_full: bool = self._sem._semlock._is_zero()
        return is_full

    def close(self) -> None:
        """Say that this process puts and gets no more. What it has put before goes on its way."""
        self._closed = True
        if self._native.has_put:
            self._reader.close()
            self._writer.close()
        close, self._close = self._close, None
        if close is not None:
            close()

    def join_thread(self) -> None:
        """Wait until everything that this process has put is in the ring, after `close()`.

        A process that ends does so by itself, unless `cancel_join_thread()` has been called.
        """
        assert self._closed, f"Queue {self!r} not closed"
        if self._jointhread:
            self._jointhread()

    def cancel_join_thread(self) -> None:
        """Let this process end without waiting until everything that it has put is in the ring."""
        self._joincancelled = True
        if self._jointhread is not None:
            self._jointhread.cancel()

    def _terminate_broken(self) -> None:
        """Closes a queue that nobody reads any more."""
        self._native.stop()
        self._reader.close()
        self.close()
        self.join_thread()

    def _start_thread(self) -> None:
        """Starts the thread that puts what found no room."""
        self._thread = threading.Thread(
            target=Queue._feed,
            args=(self._buffer, self._notempty, self._unsent, self._native, self._sem),
            kwargs={
                "ignore_epipe": self._ignore_epipe,
                "onerror": self._on_queue_feeder_error,  # type: ignore[attr-defined]
            },
            name="QueueFeederThread",
            daemon=True,
        )
        try:
            self._thread.start()
        except BaseException:
            self._thread = None
            raise
        if not self._joincancelled:
            self._jointhread = _util.Finalize(
                *(self._thread, Queue._finalize_join, [weakref.ref(self._thread)]), exitpriority=-5
            )
        # The thread ends with the queue.
        self._close = _util.Finalize(
            *(self, Queue._finalize_close, [self._buffer, self._notempty]), exitpriority=10
        )

    @staticmethod
    def _finalize_join(thread_of: Callable[[], threading.Thread | None]) -> None:
        thread = thread_of()
        if thread is not None:
            thread.join()

    @staticmethod
    def _finalize_close(buffer: deque[Any], notempty: threading.Condition) -> None:
        with notempty:
            buffer.append(_END)
            notempty.notify()

    @staticmethod
    def _feed(
        buffer: deque[Any],
        notempty: threading.Condition,
        unsent: _Unsent,
        native: _native.SharedRing,
        sem: Any,
        *,
        ignore_epipe: bool,
        onerror: Callable[[Exception, Any], object],
    ) -> None:
        while True:
            with notempty:
                while not buffer:
                    notempty.wait()
                item = buffer.popleft()
            if item is _END:
                return
            try:
                if not native.put(item):
                    if ignore_epipe:
                        return
                    raise BrokenPipeError("nobody reads the queue any more")
            except Exception as error:
                # The thread outlives what it uses while the interpreter shuts down.
                if _util.is_exiting():
                    _util.info("error in queue thread: %s", error)
                    return
                sem.release()
                onerror(error, load((item[1],) if item[0] else item[1]))
            with notempty:
                unsent.count -= 1


class JoinableQueue(Queue[_T], _JoinableQueue[_T]):
    """A queue that can be joined, as `multiprocessing.JoinableQueue`."""

    def __init__(self, maxsize: int = 0, *, ctx: BaseContext) -> None:
        Queue.__init__(self, maxsize, ctx=ctx)
        self._unfinished_tasks: Any = ctx.Semaphore(0)
        self._cond: Any = ctx.Condition()

    def __getstate__(self) -> tuple[Any, ...]:  # type: ignore[override]
        return (*super().__getstate__(), self._cond, self._unfinished_tasks)

    def __setstate__(self, state: tuple[Any, ...]) -> None:  # type: ignore[override]
        super().__setstate__(state[:-2])
        self._cond, self._unfinished_tasks = state[-2:]

    def put(self, obj: _T, block: bool = True, timeout: float | None = None) -> None:
        """Put an object in, as `Queue.put()`: one more task that is not done.

        An object that cannot be pickled is none.
        """
        if self._closed:
            raise ValueError(f"Queue {self!r} is closed")
        if not self._sem.acquire(block, timeout):
            raise Full
        # Before anybody can get it, and say that it is done.
        self._unfinished_tasks.release()
        is_sent = False
        try:
            is_sent = self._send(obj)
        finally:
            if not is_sent:
                self.task_done()

    def _item_lost(self) -> None:
        self.task_done()

    def task_done(self) -> None:
        """Say that a task is done whose object was got. ValueError if all of them are."""
        with self._cond:
            if not self._unfinished_tasks.acquire(False):
                raise ValueError("task_done() called too many times")
            if self._unfinished_tasks._semlock._is_zero():
                self._cond.notify_all()

    def join(self) -> None:
        """Wait until all tasks are done."""
        with self._cond:
            if not self._unfinished_tasks._semlock._is_zero():
                self._cond.wait()


class SimpleQueue(_SimpleQueue[_T]):
    """A queue between processes without a bound of its own, as `multiprocessing.SimpleQueue`.

    `put()` waits while the ring has no room, as the standard one while its pipe has none.
    """

    def __init__(self, *, ctx: BaseContext) -> None:
        ring = Ring(_native.SharedRing())
        self._begin((Reader(ring), Writer(ring), ctx.Lock(), ctx.Lock()))

    def _begin(self, state: tuple[Any, ...]) -> None:
        # The locks are for programs that take them: the ring has its own.
        self._reader, self._writer, self._rlock, self._wlock = state
        self._poll = self._reader.poll

    def __getstate__(self) -> tuple[Any, ...]:  # type: ignore[override]
        _context.assert_spawning(self)
        return (self._reader, self._writer, self._rlock, self._wlock)

    def __setstate__(self, state: tuple[Any, ...]) -> None:  # type: ignore[override]
        self._begin(state)

    def close(self) -> None:
        """Say that this process puts and gets no more."""
        self._reader.close()
        self._writer.close()

    def empty(self) -> bool:
        """Whether there is nothing that a `get()` would find."""
        return not self._poll()

    def get(self) -> _T:
        """Wait for an object, and take it out. A signal is as for `Queue.get()`."""
        obj: _T = self._reader.recv()
        return obj

    def put(self, obj: _T) -> None:
        """Put an object in, waiting while there is no room. What pickling raises is raised here."""
        self._writer.send(obj)


def __getattr__(name: str) -> object:
    value: object = getattr(_std, name)
    return value
