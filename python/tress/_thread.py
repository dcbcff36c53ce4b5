"""Thread: the standard one, started without a hand-shake where the interpreter allows, and with a
result.

The thread itself is the interpreter's own (`_thread`), so that thread-local data, tracing and the
joining at exit work untouched; what is ours is how `start` and `join` wait, and that the outcome of
`run` is kept.
"""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tress import _native

if TYPE_CHECKING:
    from contextvars import Context

# From 3.13 on a thread's handle knows its identifier and its end as soon as it is started. Before,
# the new thread itself makes the lock that `join` and the exit of the interpreter wait for, and
# `start` has to wait until it has.
_HANDLES = sys.version_info >= (3, 13)
_CONTEXTS = sys.version_info >= (3, 14)
_HANDLE = "_os_thread_handle" if _CONTEXTS else "_handle"

_UNSET: Any = object()

# The parts of the standard module that have no public name.
_std: Any = threading

# After install() the module's name means the class below.
_StandardThread = threading.Thread
_initialize: Any = _StandardThread.__init__


class Thread(_StandardThread):
    """A thread of control, as `threading.Thread`, whose outcome `result` returns.

    `start` does not wait for the new thread to run (from Python 3.13 on): `ident` and `is_alive`
    are right as soon as it returns, and reading `native_id` waits for the thread to tell.
    """

    __module__ = "tress.threading"

    if TYPE_CHECKING:
        # What the standard class keeps; some of it on some versions only.
        _initialized: bool
        _started: Any
        _name: str
        _ident: int | None
        _native_id: int | None
        _is_stopped: bool
        _context: Context | None
        _target: Callable[..., object] | None
        _args: Iterable[Any]
        _kwargs: Mapping[str, Any]
        _bootstrap: Callable[[], None]
        _invoke_excepthook: Callable[[threading.Thread], None]
        _set_ident: Callable[[], None]
        _set_native_id: Callable[[], None]
        _set_os_name: Callable[[], None]
        _set_tstate_lock: Callable[[], None]
        _tstate_lock: Any
        _stop: Callable[[], None]
        _delete: Callable[[], None]

    _outcome: Any = _UNSET
    _failure: BaseException | None = None
    _told: Any = None
    """An event for whoever asks for the native id before the thread has told it; made only then."""

    def __init__(
        self,
        group: None = None,
        target: Callable[..., object] | None = None,
        name: str | None = None,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        daemon: bool | None = None,
        **options: Context | None,
    ) -> None:
        _initialize(self, group, target, name, args, kwargs, daemon=daemon, **options)
        self._started = _native.Event()

    def start(self) -> None:
        """Starts the thread: `run` is called in it. RuntimeError when it was started before."""
        if not self._initialized:
            raise RuntimeError("thread.__init__() not called")
        if self._started.is_set():
            raise RuntimeError("threads can only be started once")
        self._prepare_context()
        with _std._active_limbo_lock:
            _std._limbo[self] = self
        self._launch()

    def _prepare_context(self) -> None:
        """Settles the context that `run` runs in, at the time of the start, where the interpreter
        has such a thing.
        """
        if _CONTEXTS and self._context is None:
            inherits = getattr(sys.flags, "thread_inherit_context", False)
            self._context = contextvars.copy_context() if inherits else contextvars.Context()

    def _launch(self) -> None:
        """Starts the interpreter's thread for this object, which is in limbo; takes it out again if
        that fails.
        """
        try:
            if _HANDLES:
                handle = getattr(self, _HANDLE)
                _std._start_joinable_thread(
                    self._bootstrap,
                    handle=handle,
                    daemon=self.daemon,
                )
                self._ident = handle.ident
                self._started.set()
            else:
                self._told = _native.Event()
                _std._start_new_thread(self._bootstrap, ())
                self._told.wait()
        except BaseException:
            with _std._active_limbo_lock:
                _std._limbo.pop(self, None)
            raise

    def run(self) -> Any:
        """What the thread does: calls the target with its arguments. What it returns is what
        `result` returns.
        """
        try:
            if self._target is not None:
                return self._target(*self._args, **self._kwargs)
        finally:
            # An argument may refer to this thread: no cycle is left behind.
            del self._target, self._args, self._kwargs

    def _bootstrap_inner(self) -> None:
        try:
            self._set_ident()
            if not _HANDLES:
                self._set_tstate_lock()
            self._set_native_id()
            if _CONTEXTS:
                self._set_os_name()
            self._started.set()
            if self._told is not None:
                self._told.set()
            with _std._active_limbo_lock:
                _std._active[self._ident] = self
                _std._limbo.pop(self, None)
            if _std._trace_hook:
                sys.settrace(_std._trace_hook)
            if _std._profile_hook:
                sys.setprofile(_std._profile_hook)
            failure = None
            try:
                if _CONTEXTS and self._context is not None:
                    self._outcome = self._context.run(self.run)
                else:
                    self._outcome = self.run()
            except BaseException as error:
                failure = error
                self._invoke_excepthook(self)
            if failure is not None:
                _forget_locals(failure)
                self._failure = failure
                del failure
        finally:
            self._delete()

    if not _HANDLES:
        # The standard method takes the lock of a thread that runs for one that it has acquired
        # itself when a signal handler raises meanwhile, and declares the thread stopped.
        def _wait_for_tstate_lock(self, block: bool = True, timeout: float = -1) -> None:
            lock = self._tstate_lock
            if lock is None:
                return
            acquired: list[bool] = []
            try:
                # Nothing can come between the call's return and the storing of what it returned.
                acquired.extend(map(lock.acquire, (block,), (timeout,)))
            finally:
                if acquired == [True]:
                    lock.release()
                    self._stop()

    def _is_done(self) -> bool:
        if _HANDLES:
            return bool(getattr(self, _HANDLE).is_done())
        return bool(self._is_stopped)

    def join(self, timeout: float | None = None) -> None:
        """Waits until the thread has ended, or `timeout` seconds; `is_alive` tells which.

        RuntimeError for a thread that was not started, and for the calling thread itself.
        """
        if not self._initialized:
            raise RuntimeError("Thread.__init__() not called")
        if (
            not self._started.is_set()
            or (timeout is not None and timeout <= 0)
            or self._is_done()
            or self is threading.current_thread()
        ):
            _StandardThread.join(self, timeout)
            return
        waiting = _native.Waiting("Thread.join", self)
        waiting.enter(timeout)
        try:
            _StandardThread.join(self, timeout)
        finally:
            waiting.leave()

    def result(self, timeout: float | None = None) -> Any:
        """Waits until the thread has ended; returns what `run` returned, or raises what it raised.

        `timeout` is in seconds, None waits for ever. TimeoutError when the thread has not ended by
        then: nothing is lost, and the call may be repeated. RuntimeError for a thread that was not
        started, for the calling thread itself, and for a thread that a fork has left behind. An
        exception has been reported to `excepthook` as well.
        """
        self.join(timeout)
        if self.is_alive():
            raise TimeoutError(f"{self.name} has not ended after {timeout} s")
        if self._failure is not None:
            raise self._failure
        if self._outcome is _UNSET:
            raise RuntimeError(f"{self.name} ended without a result")
        return self._outcome

    @property
    def native_id(self) -> int | None:
        """The system's number of the thread; None before it is started."""
        if self._native_id is None and self._started.is_set():
            # The thread sets the number first and then the event, if there is one: one of the two
            # is seen.
            self._told = _native.Event()
            while self._native_id is None and not self._is_done():
                self._told.wait(0.05)
        return self._native_id


def _forget_locals(failure: BaseException) -> None:
    """Clears the frames of a failure that nobody but this thread holds.

    Kept for `result`, its traceback would keep alive every local variable of the failed calls, and
    the thread itself in a cycle if one of them refers to it. Whoever keeps the exception (an
    excepthook may) finds it untouched.
    """
    traceback = failure.__traceback__
    # The references of the caller's variable, of the parameter and of the call below.
    if sys.getrefcount(failure) > _ALONE:
        return
    if traceback is not None:
        # The first frame is the one that runs.
        failure.__traceback__ = traceback = traceback.tb_next
    while traceback is not None:
        try:
            traceback.tb_frame.clear()
        except RuntimeError:
            pass
        traceback = traceback.tb_next


def _references_when_alone() -> int:
    """What `_forget_locals` counts for an exception that nobody else holds, on this interpreter."""
    counted = 0

    def count(failure: BaseException) -> None:
        nonlocal counted
        counted = sys.getrefcount(failure)

    failure = None
    try:
        raise ValueError
    except ValueError as error:
        failure = error
    if failure is not None:
        count(failure)
    return counted


_ALONE = _references_when_alone()
