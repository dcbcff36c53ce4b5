"""Timer: a thread that exists only once it has something to do.

Timers that wait are entries in one heap, for which one thread sleeps. A waiting timer is a thread
to its user all the same: it is alive, enumerated, joined, and holds up the exit of the interpreter
unless it is a daemon. It becomes a real thread when it fires, and earlier where somebody asks for
what only a real thread has (its identifier), or overrides `run`.
"""

from __future__ import annotations

import _thread
import enum
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping

from tress import _native
from tress._thread import Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_std: Any = threading


class _Finished(_native.Event, threading.Event):
    """The event that ends a timer; setting it by hand is as good as `cancel`."""

    def __init__(self, timer: Timer) -> None:
        super().__init__()
        self._timer = weakref.ref(timer)

    def set(self) -> None:
        super().set()
        timer = self._timer()
        if timer is not None:
            timer._withdraw()


class _Phase(enum.Enum):
    NEW = enum.auto()
    PENDING = enum.auto()
    LAUNCHING = enum.auto()
    LAUNCHED = enum.auto()
    CANCELLED = enum.auto()


_WAITING = frozenset({_Phase.PENDING, _Phase.LAUNCHING})


class Timer(threading.Timer, Thread):
    """Calls a function after `interval` seconds, unless `cancel` is called before."""

    __module__ = "tress.threading"

    # Of the class, since the interpreter knows a thread before its __init__ is through, and a fork
    # may come in between.
    _phase = _Phase.NEW

    def __init__(
        self,
        interval: float,
        function: Callable[..., object],
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        Thread.__init__(self)
        self.interval = interval
        self.function = function
        self.args = args if args is not None else []
        self.kwargs = kwargs if kwargs is not None else {}
        self.finished: Any = _Finished(self)
        self._settled: Any = _native.Event()
        self._number = 0
        self._due = 0.0

    def cancel(self) -> None:
        """Stops the timer, if its function has not been called yet."""
        self.finished.set()

    def run(self) -> Any:
        """Waits for the rest of the interval, then calls the function unless the timer was
        cancelled.
        """
        rest = self._due - time.monotonic() if self._due else self.interval
        self.finished.wait(rest)
        if not self.finished.is_set():
            self.function(*self.args, **self.kwargs)
        self.finished.set()

    def start(self) -> None:
        """Starts the interval. RuntimeError when the timer was started before."""
        if type(self).run is not Timer.run or not self._initialized or _shared.is_over:
            self._phase = _Phase.LAUNCHED
            super().start()
            return
        if self._started.is_set():
            raise RuntimeError("threads can only be started once")
        # A bad interval is found here, in the caller's face, and not in the shared thread.
        self._due = time.monotonic() + self.interval
        self._prepare_context()
        with _std._active_limbo_lock:
            _std._limbo[self] = self
        self._phase = _Phase.PENDING
        self._started.set()
        if self.finished.is_set():
            self._withdraw()
            return
        try:
            self._number = _shared.add(self)
        except BaseException:
            self._withdraw()
            raise

    def _withdraw(self) -> None:
        """Takes a pending timer out of the heap, once and for all: it has ended."""
        if self._phase is _Phase.PENDING:
            self._phase = _Phase.CANCELLED
            _shared.timers.cancel(self._number)
            self._leave_limbo()

    def _leave_limbo(self) -> None:
        with _std._active_limbo_lock:
            _std._limbo.pop(self, None)
        self._settled.set()

    def _become_thread(self) -> None:
        """Turns a pending timer into the real thread that runs it; it waits out what is left of the
        interval.
        """
        if self._phase is not _Phase.PENDING:
            return
        self._phase = _Phase.LAUNCHING
        _shared.timers.cancel(self._number)
        try:
            self._launch()
        except BaseException as error:
            is_end = isinstance(error, RuntimeError) and "interpreter shutdown" in str(error)
            if is_end and not self.daemon:
                self._run_here()
            self._phase = _Phase.CANCELLED
            self._leave_limbo()
            if not is_end:
                raise
            return
        self._phase = _Phase.LAUNCHED
        self._settled.set()

    def _run_here(self) -> None:
        """Runs the timer in the calling thread. Python 3.12.0 and 3.12.1 start no thread any more
        as soon as the main thread has come to its end, though timers that are no daemons are still
        to be waited for.
        """
        try:
            self.run()
        except BaseException:
            self._invoke_excepthook(self)

    def _is_done(self) -> bool:
        if self._phase in _WAITING:
            return False
        return self._phase is _Phase.CANCELLED or super()._is_done()

    def _is_cancelled(self) -> bool:
        return self._phase is _Phase.CANCELLED

    def is_alive(self) -> bool:
        """Whether the timer was started and neither has its function returned nor has it been
        cancelled.
        """
        if self._phase is _Phase.LAUNCHED:
            return super().is_alive()
        return self._phase in _WAITING

    def join(self, timeout: float | None = None) -> None:
        """Waits until the timer has fired and its function has returned, or it was cancelled, or
        `timeout` seconds.
        """
        if self._phase is _Phase.CANCELLED:
            return
        if self._phase in _WAITING:
            end = None if timeout is None else time.monotonic() + timeout
            if not self._settled._wait_to_join(self, timeout) or self._is_cancelled():
                return
            if end is not None:
                timeout = max(0.0, end - time.monotonic())
        super().join(timeout)

    @property
    def ident(self) -> int | None:
        """The identifier of the thread; a timer that still waits becomes a thread of its own by
        this.
        """
        self._become_thread()
        return super().ident

    @property
    def native_id(self) -> int | None:
        """The system's number of the thread; a timer that still waits becomes a thread of its own
        by this.
        """
        self._become_thread()
        return super().native_id

    def __repr__(self) -> str:
        if self._phase is _Phase.PENDING:
            rest = max(0.0, self._due - time.monotonic())
            return f"<{type(self).__name__}({self._name}, waiting, fires in {rest:.3f} s)>"
        if self._phase is _Phase.CANCELLED:
            return f"<{type(self).__name__}({self._name}, stopped)>"
        return str(super().__repr__())


class _SharedTimers:
    """The heap, and the one thread that sleeps for it: there as long as a timer is pending, and a
    moment longer.
    """

    PATIENCE = 0.1
    """Seconds that the thread stays when no timer is pending: another one may follow."""

    def __init__(self) -> None:
        self.timers = _native.Timers()
        self.is_over = False
        self.is_running = False
        # Held for a few lines, so that no timer is added in the moment in which the thread decides
        # to end. A signal handler may start a timer, too.
        self.change = _thread.RLock()

    def add(self, timer: Timer) -> int:
        with self.change:
            number = self.timers.add(timer.interval, timer)
            if not self.is_running:
                try:
                    _thread.start_new_thread(self._run, ())
                except BaseException:
                    self.timers.cancel(number)
                    raise
                self.is_running = True
        return number

    def _run(self) -> None:
        while True:
            timer = self.timers.next(self.PATIENCE)
            if timer is None:
                with self.change:
                    if len(self.timers) == 0:
                        self.is_running = False
                        return
                continue
            try:
                timer._become_thread()
            except BaseException:
                # No thread could be started: reported as what it is, a thread that failed.
                timer._invoke_excepthook(timer)
            del timer

    def await_all(self) -> None:
        """At exit, before threads are joined: a pending timer that is no daemon is waited for, as
        any thread is.
        """
        self.is_over = True
        timers = [timer for timer in list(_std._limbo) if isinstance(timer, Timer)]
        pending = [timer for timer in timers if not timer.daemon and timer._phase in _WAITING]
        for timer in sorted(pending, key=lambda timer: timer._due):
            timer._become_thread()
        for timer in pending:
            timer._settled.wait()

    def after_fork_in_child(self) -> None:
        """No thread of the parent's is there any more, and no timer of the parent's pending."""
        self.change = _thread.RLock()
        self.is_running = False
        self.timers.clear()
        for thread in list(_std._dangling):
            if isinstance(thread, Timer) and thread._phase in _WAITING:
                thread._phase = _Phase.CANCELLED
                thread._settled.set()


_shared = _SharedTimers()
_std._register_atexit(_shared.await_all)
os.register_at_fork(after_in_child=_shared.after_fork_in_child)
