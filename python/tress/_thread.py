"""Thread: the standard one, started faster, and with a result.

The thread itself is the interpreter's own (`_thread`), so that thread-local data, tracing and the
joining at exit work untouched; what is ours is how `start` and `join` wait, and that the outcome of
`run` is kept.
"""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Callable, Iterable, Mapping

from tress import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextvars import Context
    from typing import Any

# From 3.13 on a thread's handle knows its identifier and its end as soon as it is started. Before,
# the new thread itself makes the lock that `join` and the exit of the interpreter wait for, and
# `start` has to wait until it has.
_HANDLES = sys.version_info >= (3, 13)
_CONTEXTS = sys.version_info >= (3, 14)
_HANDLE = "_os_thread_handle" if _CONTEXTS else "_handle"

_PATIENCE = 0.1
"""Seconds after which `start` looks whether the thread is still there that it waits for."""

_UNSET: Any = object()

# The parts of the standard module that have no public name.
_std: Any = threading

# After install() the module's name means the class below.
_StandardThread = threading.Thread
_initialize: Any = _StandardThread.__init__


class Thread(_StandardThread):
    """A thread of control, as `threading.Thread`, whose outcome `result` returns."""

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
        _daemonic: bool
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
    _begun: Any = None
    """What `start` waits for: the thread runs."""

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
        self._begun = begun = _native.Start()
        try:
            if _HANDLES:
                _std._start_joinable_thread(
                    self._bootstrap, handle=getattr(self, _HANDLE), daemon=self.daemon
                )
            else:
                _std._start_new_thread(self._bootstrap, ())
        except BaseException:
            with _std._active_limbo_lock:
                _std._limbo.pop(self, None)
            raise
        while not begun.wait(_PATIENCE):
            if _HANDLES and self._is_done():
                raise RuntimeError(f"{self.name} ended before it began to run")

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

    def _bootstrap(self) -> None:
        todo = [self._bootstrap_inner]
        daemon = self._daemonic
        del self
        try:
            todo.pop()()
        except BaseException:
            # A daemon that wakes up in the ruins of a finalized interpreter has nothing to report.
            if not daemon or sys is not None:
                raise

    def _bootstrap_inner(self) -> None:
        try:
            self._set_ident()
            if not _HANDLES:
                self._set_tstate_lock()
            self._set_native_id()
            if _CONTEXTS:
                self._set_os_name()
            self._started.set()
            with _std._active_limbo_lock:
                _std._active[self._ident] = self
                _std._limbo.pop(self, None)
            self._begun.tell()
            if _std._trace_hook:
                sys.settrace(_std._trace_hook)
            if _std._profile_hook:
                sys.setprofile(_std._profile_hook)
            failed: list[BaseException] = []
            try:
                if _CONTEXTS and self._context is not None:
                    self._outcome = self._context.run(self.run)
                else:
                    self._outcome = self.run()
            except BaseException as error:
                failed.append(error)
                self._invoke_excepthook(self)
            if failed:
                _forget_locals(failed)
                self._failure = failed.pop()
        finally:
            self._delete()
            # The frame of this call lives on in the traceback of a failure, which the thread keeps.
            del self

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


def _forget_locals(failed: list[BaseException]) -> None:
    """Clears the frames of a failure that nobody but the given list holds.

    Kept for `result`, its traceback would keep alive every local variable of the failed calls, and
    the thread itself in a cycle if one of them refers to it. Whoever keeps the exception (an
    excepthook may) finds it untouched.
    """
    # The list's reference, and the one that is made for the call.
    if sys.getrefcount(failed[0]) > 2:
        return
    traceback = failed[0].__traceback__
    while traceback is not None:
        try:
            traceback.tb_frame.clear()
        except RuntimeError:
            # The frame of the caller, which runs.
            pass
        traceback = traceback.tb_next


def report() -> None:
    """Reports the exception being handled to `threading.excepthook`: what a thread of ours meets in
    the program's code, and outlives."""
    threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
