"""What a `ThreadPool` has of threads, with the surface that `ProcessEngine` has."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import InvalidStateError
from concurrent.futures.thread import BrokenThreadPool

from tress import _native
from tress.concurrent.futures._base import Future
from tress.concurrent.futures._process_future import ProcessFuture
from tress.concurrent.futures._process_pool import LOW, end
from tress.multiprocessing._pool_feeder import Feeder
from tress.multiprocessing._pool_results import TerminatedError, wait_here
from tress.queue import SimpleQueue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Line(SimpleQueue[ProcessFuture | None]):
    """The calls that no thread has begun."""

    def __len__(self) -> int:
        return self.qsize()


class ThreadEngine:
    """The threads of a ThreadPool."""

    def __init__(
        self,
        context: Any,
        threads: int,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
        make_thread: Callable[..., Any],
    ) -> None:
        self.context = context
        self.count = threads
        self.begin = (initializer, initargs)
        self.make_thread = make_thread
        self.wait_for = wait_here
        # Callbacks are called one after the other, as if one thread called all.
        self.telling = threading.RLock()
        self.lock = threading.Lock()
        self.pumping = threading.Lock()
        self.backlog = _Line()
        self.feeder = Feeder(self)
        self.threads: list[Any] = []
        self.running: set[ProcessFuture] = set()
        self.submitting = 0
        self.closed = False
        self.stopping = False
        self.dismissed = False
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Starts the threads."""
        self.populate()

    def populate(self) -> None:
        """Starts the threads that are missing."""
        with self.lock:
            while len(self.threads) < self.count and not self.dismissed:
                thread = self.make_thread(self.context, target=self.serve)
                thread.name = thread.name.replace("Process", "PoolWorker")
                thread.daemon = True
                thread.start()
                self.threads.append(thread)

    def members(self) -> list[Any]:
        """The threads."""
        return list(self.threads)

    def serve(self) -> None:
        """Makes calls, until there are no more."""
        initializer, initargs = self.begin
        if initializer is not None:
            try:
                initializer(*initargs)
            except BaseException:
                self.fail(BrokenThreadPool("the initializer of a thread of the pool failed"))
                raise
        while (future := self.backlog.get()) is not None:
            if future.set_running_or_notify_cancel():
                self.running.add(future)
                self.make(future)
                self.running.discard(future)
            del future
            if len(self.backlog) < LOW:
                self.feeder.go_on()

    def make(self, future: ProcessFuture) -> None:
        function, args, kwargs = future._call
        future._call = None
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            end(future, error)
        else:
            try:
                future.set_result(result)
            except InvalidStateError:
                # It has ended with the pool.
                return
            ready = future._ready_list()
            if ready is not None:
                ready.put(future)

    def enter(self, future: ProcessFuture) -> None:
        """Has the call of `future` made."""
        self.begin_feed()
        try:
            self.feed(future)
        finally:
            self.end_feed()

    def feed(self, future: ProcessFuture) -> None:
        """As `enter`, for the feeder, which `begin_feed` has let in."""
        self.backlog.put(future)
        if self.stopping:
            self.drain()

    def refill(self) -> None:
        """Submits what is plain: a call in line costs little here."""
        with self.pumping:
            while (future := self.feeder.pull()) is not None:
                self.feed(future)

    def begin_feed(self) -> None:
        """More calls will come, until `end_feed`."""
        with self.lock:
            if self.closed:
                raise ValueError("Pool not running")
            self.submitting += 1

    def end_feed(self) -> None:
        with self.lock:
            self.submitting -= 1
        self.dismiss()

    def dismiss(self) -> None:
        """Lets the threads end, if nothing more will be submitted."""
        with self.lock:
            if self.dismissed or not self.closed or (self.submitting and not self.stopping):
                return
            self.dismissed = True
        for _ in self.threads:
            self.backlog.put(None)

    def drain(self) -> None:
        """Ends the calls that no thread has begun."""
        leave = 0
        while len(self.backlog):
            try:
                future = self.backlog.get_nowait()
            except Exception:
                break
            if future is None:
                leave += 1
            else:
                end(future, self.failure or TerminatedError())
        for _ in range(leave):
            self.backlog.put(None)

    def fail(self, error: BaseException) -> None:
        """No more calls are made: those there are end with `error`."""
        self.failure = self.failure or error
        self.stopping = True
        self.feeder.stop(error)
        self.drain()

    def wait_once(self, future: ProcessFuture, timeout: float | None) -> None:
        """Waits for a future."""
        wait_here(future, timeout)

    def wait_ready(self, ready: _native.Ready, timeout: float | None) -> None:
        """Waits until something is in `ready`."""
        bell: Future[None] = Future()
        ready.arm(bell)
        try:
            if not len(ready):
                wait_here(bell, timeout)
        finally:
            ready.disarm(bell)

    def kill(self, future: ProcessFuture) -> None:
        """NotImplementedError: a thread cannot be killed."""
        raise NotImplementedError("a thread that makes a call cannot be killed")

    def pending(self) -> list[Any]:
        """The futures of the calls that are being made, and of no others."""
        return list(self.running)

    def close(self) -> None:
        """No more calls are submitted: the threads end when all are made."""
        with self.lock:
            self.closed = True
        self.feeder.close()
        self.dismiss()

    def terminate(self) -> None:
        """Ends the threads, but for those that are making a call: they end after it."""
        self.closed = True
        self.fail(TerminatedError())
        self.dismiss()
        for future in self.pending():
            # Nobody can end the call.
            end(future, TerminatedError())
        self.feeder.end()

    def join(self) -> None:
        """Waits until the threads have ended."""
        self.feeder.join()
        for thread in self.members():
            thread.join()
