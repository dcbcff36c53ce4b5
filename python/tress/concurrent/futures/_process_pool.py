"""The owner's side of a pool of processes: starting workers, seeing them die, ending.

Calls are pickled where they are submitted, as long as there is room for them; the others wait,
unpickled, in `backlog`, and are offered by the collector, which is the one thread of a pool. It
sleeps until a worker has answered and nobody waits for the answer, or until a worker has died.
"""

from __future__ import annotations

import concurrent.futures.process as _std_module
import contextlib
import os
import select
import signal
import threading
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from traceback import format_exception
from typing import Any

from tress import _native
from tress._thread import Thread
from tress.concurrent.futures import _process_worker
from tress.concurrent.futures._base import Future
from tress.concurrent.futures._pickling import dumps, loads, size as pickled_size, unreadable

# Its private names are used: the registry of what is to end when the interpreter does.
_std: Any = _std_module

# Tasks of at least so many bytes count towards the room for large ones,
_LARGE = 64 * 1024
# of which so many bytes are filled ahead of the workers.
_AHEAD = 512 * 1024 * 1024

# An idle pool gives memory back after so many seconds.
_PATIENCE = 1.0

_ABRUPT = "A child process terminated abruptly, the process pool is not usable anymore"
_PENDING = (
    "A process in the process pool was terminated abruptly while the future was running or pending."
)


class WorkerLostError(BrokenProcessPool):
    """The worker process that made the call has died: `pid`, `exitcode` (-N for signal N)."""

    def __init__(self, message: str, pid: int | None = None, exitcode: int | None = None) -> None:
        super().__init__(message)
        self.pid = pid
        self.exitcode = exitcode


class ProcessFuture(Future[Any]):
    """The outcome of a call that is made in another process."""

    __slots__ = ("_call", "_engine", "_losses", "_task")

    def __init__(self, engine: Engine, call: Any) -> None:
        super().__init__()
        self._engine = engine
        # What is to be pickled, until it is.
        self._call: Any = call
        self._task: int | None = None
        # How often a worker has died of it, or while at it.
        self._losses = 0

    def cancel(self) -> bool:
        """Cancels the call, if no worker has begun it: True then, or if it was cancelled before."""
        task = self._task
        if task is not None and not self.done():
            if self._engine.pool.take_back(task):
                self._engine.pool.wake_collector()
            else:
                _native.mark_begun(self)
        if not super().cancel():
            return False
        if self._state == "CANCELLED":
            # Nobody comes by it later who would tell those that wait.
            self.set_running_or_notify_cancel()
        return True

    def running(self) -> bool:
        """Whether a worker is making the call now."""
        if self._task is not None and not self.done() and self._engine.pool.is_begun(self._task):
            _native.mark_begun(self)
        return super().running()

    def result(self, timeout: float | None = None) -> Any:
        """Returns what the call returned, or raises what it raised, once it has finished.

        `timeout` is in seconds, None waits for ever. Raises TimeoutError when it passes first,
        and CancelledError when the call was cancelled. A timeout or a signal takes nothing.
        """
        if not self.done():
            self._engine.pool.wait_for(self, timeout)
            timeout = 0
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Returns the exception that the call raised, or None, once it has finished.

        `timeout` and what is raised are as for `result`.
        """
        if not self.done():
            self._engine.pool.wait_for(self, timeout)
            timeout = 0
        return super().exception(timeout)

    def __repr__(self) -> str:
        self.running()
        return super().__repr__()


class Engine:
    """What a pool has, apart from the executor that its user has: the executor may be dropped."""

    def __init__(
        self,
        context: Any,
        max_workers: int,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
        max_tasks: int | None,
        on_worker_lost: str,
        max_retries: int,
    ) -> None:
        self.pool = _native.ProcessPool()
        self.context = context
        self.max_workers = max_workers
        self.begin = (initializer, initargs, max_tasks)
        self.on_worker_lost = on_worker_lost
        self.max_retries = max_retries
        # Guards what follows, and the starting of workers.
        self.lock = threading.Lock()
        self.backlog: deque[ProcessFuture] = deque()
        self.processes: dict[int, Any] = {}
        self.workers: dict[int, tuple[Any, int]] = {}  # pidfd -> process, seat's number
        self.retired: set[int] = set()  # seats
        self.failed: set[int] = set()  # seats whose initializer has raised
        self.submitted = 0
        self.submitting = 0  # calls that are about to be offered
        self.cannot_start: BaseException | None = None
        self.stopping = False
        self.closing = False
        self.interrupting = False
        self.trims = False  # memory that was lent is to go back to the system
        self.out_of_memory = _kills_for_memory()
        self.poller = select.epoll()
        self.poller.register(self.pool.collector, select.EPOLLIN)

    # --- Offering calls. ---------------------------------------------------------------------

    def submit(self, future: ProcessFuture) -> None:
        """Offers the call of `future`, or puts it in line; it has been counted in `submitting`."""
        try:
            self.offer_or_line_up(future)
        finally:
            with self.lock:
                self.submitting -= 1
            if self.closing:
                self.pool.wake_collector()
        if self.stopping:
            # The pool has broken meanwhile, and did not see this call.
            _end(future, BrokenProcessPool(_PENDING))

    def offer_or_line_up(self, future: ProcessFuture) -> None:
        if self.backlog or not self.offer(future):
            self.backlog.append(future)
            if len(self.backlog) == 1:
                self.pool.set_hungry(True)
                self.pool.wake_collector()

    def offer(self, future: ProcessFuture) -> bool:
        """Whether there was room for the call, or it has ended otherwise."""
        try:
            pickled, buffers = dumps(future._call)
        except Exception as error:
            _end(future, _with_remote_traceback(error))
            return True
        size = pickled_size(pickled, buffers)
        if size >= _LARGE:
            if self.pool.unfinished and self.pool.lent_bytes + size > _AHEAD:
                return False
            if not self.trims:
                self.trims = True
                self.pool.wake_collector()
        try:
            task = self.pool.offer(future, pickled, buffers)
        except MemoryError as error:
            _end(future, error)
            return True
        if task is None:
            if self.pool.unfinished:
                return False
            _end(future, MemoryError(f"no room in shared memory for a call of {size} bytes"))
            return True
        future._task = task
        if self.on_worker_lost != "retry":
            future._call = None
        return True

    def refill(self) -> None:
        """Offers what is in line, as far as there is room. For the collector."""
        while self.backlog:
            future = self.backlog[0]
            if not future.cancelled() and not self.offer(future):
                # Also if whoever put it in line has said so too early.
                self.pool.set_hungry(True)
                return
            self.backlog.popleft()
        self.pool.set_hungry(bool(self.backlog) or self.closing)

    def close_soon(self) -> None:
        """Has the collector end the pool, as soon as nothing more is to be done."""
        self.closing = True
        self.pool.set_hungry(True)
        self.pool.wake_collector()

    @property
    def unfinished(self) -> int:
        return self.pool.unfinished + len(self.backlog)

    # --- Workers. ----------------------------------------------------------------------------

    def start_workers(self, count: int) -> None:
        """Starts workers until there are `count`. Holds `lock`."""
        while len(self.processes) < count and not self.stopping:
            seat = self.pool.add_worker()
            process = self.context.Process(
                target=_process_worker.serve,
                args=(_process_worker.Seat(self.pool, seat), *self.begin),
            )
            try:
                process.start()
                pidfd = os.pidfd_open(process.pid)
            except BaseException:
                if process.pid is not None:
                    process.kill()
                    process.join()
                self.pool.bury(seat.number)
                raise
            self.processes[process.pid] = process
            self.workers[pidfd] = (process, seat.number)
            self.poller.register(pidfd, select.EPOLLIN)

    def bury(self, pidfd: int) -> tuple[Any, int, list[Any]]:
        """Takes out a worker that has ended: its process, its seat, the futures it had begun."""
        process, seat = self.workers.pop(pidfd)
        self.poller.unregister(pidfd)
        os.close(pidfd)
        process.join()
        lost = self.pool.bury(seat)
        self.pool.wake_leader()
        with self.lock:
            self.processes.pop(process.pid, None)
        return process, seat, lost

    def lost(self, process: Any, futures: list[ProcessFuture]) -> None:
        """Decides about the calls that were with a worker that has died; the pool goes on."""
        error = self.loss(process)
        for future in futures:
            future._losses += 1
            if self.on_worker_lost == "retry" and future._losses <= self.max_retries:
                future._task = None
                self.backlog.appendleft(future)
            else:
                _end(future, error)

    def loss(self, process: Any) -> WorkerLostError:
        """What a call ends with whose worker has died; from 3.15 on the standard class says so in
        its cause."""
        error = WorkerLostError(self.describe(process), process.pid, process.exitcode)
        error.__cause__ = _std._RemoteTraceback(
            f"Process {process.pid} terminated abruptly with exit code {process.exitcode}"
        )
        return error

    def describe(self, process: Any) -> str:
        code = process.exitcode
        if code is not None and code < 0:
            try:
                how = f"was killed by {signal.Signals(-code).name}"
            except ValueError:
                how = f"was killed by signal {-code}"
            if code == -signal.SIGKILL and _kills_for_memory() > self.out_of_memory:
                how += " (out of memory?)"
        else:
            how = f"ended with exit code {code}"
        return f"the worker process {process.pid} {how} during the call"


def _kills_for_memory() -> int:
    """How many processes the kernel has killed for memory since it runs."""
    try:
        with open("/proc/vmstat") as file:
            for line in file:
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return 0


def _end(future: Future[Any], error: BaseException) -> None:
    """Ends `future` with `error`, unless it has ended."""
    try:
        future.set_exception(error)
    except _std._base.InvalidStateError:
        pass


def _with_remote_traceback(error: BaseException) -> BaseException:
    text = "".join(format_exception(type(error), error, error.__traceback__))
    error.__cause__ = _std._RemoteTraceback(f'\n"""\n{text}"""')
    return error


class Wakeup:
    """What the standard module's exit handler wakes a pool by."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def wakeup(self) -> None:
        self._engine.close_soon()


class Collector(Thread):
    """The thread of a pool."""

    def __init__(self, executor: Any, engine: Engine) -> None:
        super().__init__(name="ProcessPoolExecutor")
        self.engine = engine
        self.executor = weakref.ref(executor, lambda _: engine.close_soon())
        _std._threads_wakeups[self] = Wakeup(engine)

    def run(self) -> None:
        try:
            while not self.turn():
                pass
        except BrokenProcessPool as error:
            self.break_pool(str(error), error)
        except BaseException as error:
            self.break_pool(_ABRUPT, error)
            raise
        finally:
            self.engine.poller.close()

    def turn(self) -> bool:
        """Sleeps until there is something to do, and does it; True when that was the last."""
        engine, pool = self.engine, self.engine.pool
        pool.before_sleep()
        ready = engine.poller.poll(_PATIENCE if engine.trims else None)
        pool.after_sleep()
        if engine.trims and not ready:
            engine.trims = not pool.trim()
        broken = self.hear(pool.collect())
        for fd, _ in ready:
            if fd in engine.workers and self.mourn(fd):
                return True
        if broken is not None:
            self.break_pool(_ABRUPT, broken)
            return True
        if self.is_over():
            self.finish()
            return True
        engine.refill()
        self.replace()
        return False

    def hear(self, events: list[Any]) -> BaseException | None:
        """What workers said that is no result; an error if the pool cannot go on."""
        engine = self.engine
        for worker, kind, task, pickled in events:
            if kind == _process_worker.RETIRED:
                engine.retired.add(worker)
                self.await_end(worker)
            elif kind == _process_worker.FAILED_TO_BEGIN:
                engine.failed.add(worker)
            elif kind == _process_worker.UNREADABLE:
                future = engine.pool.forget(task)
                if future is not None:
                    _end(future, unreadable("the call", loads(pickled)))
            else:
                return BrokenProcessPool("a worker has written what makes no sense")
        return None

    def await_end(self, seat: int) -> None:
        for pidfd, (process, number) in list(self.engine.workers.items()):
            if number == seat:
                process.join()
                self.mourn(pidfd)

    def mourn(self, pidfd: int) -> bool:
        """A worker has ended; True if the pool has with it."""
        engine = self.engine
        process, seat, lost = engine.bury(pidfd)
        retired, failed = seat in engine.retired, seat in engine.failed
        engine.retired.discard(seat)
        if retired and not lost:
            return False
        if failed:
            self.break_pool(_ABRUPT, BrokenProcessPool("the initializer of a worker failed"))
            return True
        if engine.on_worker_lost == "break":
            error = engine.loss(process)
            self.break_pool(_ABRUPT, error, lost)
            return True
        engine.lost(process, lost)
        return False

    def replace(self) -> None:
        """Starts workers for those that are gone, as far as there is work for them."""
        engine, executor = self.engine, self.executor()
        wanted = min(engine.max_workers, engine.unfinished)
        if len(engine.processes) >= wanted:
            return
        with engine.lock:
            if executor is not None and executor._force_shutting_down:
                why = "the pool is being forcefully shut down"
            elif executor is None and engine.on_worker_lost == "break":
                why = "the executor was garbage collected before its calls were made"
            else:
                try:
                    engine.start_workers(wanted)
                except Exception as error:
                    engine.cannot_start = error
                why = "a worker process could not be started"
        if not engine.processes:
            raise BrokenProcessPool(why) from engine.cannot_start

    def is_over(self) -> bool:
        """Whether nothing more will be submitted, and all is done or cancelled."""
        engine, executor = self.engine, self.executor()
        if executor is None or executor._shutdown_thread or _std._global_shutdown:
            if executor is not None:
                executor._shutdown_thread = True
                if executor._cancel_pending_futures:
                    executor._cancel_pending_futures = False
                    self.cancel_pending()
            with engine.lock:
                return engine.stopping or (engine.unfinished == 0 and engine.submitting == 0)
        return False

    def cancel_pending(self) -> None:
        """Cancels the calls that no worker has begun, or is about to begin."""
        engine = self.engine
        offered = sorted(engine.pool.futures(), key=lambda future: future._task)
        waiting = [future for future in offered if not future.running()]
        free = max(len(engine.processes) - (len(offered) - len(waiting)), 0)
        if engine.interrupting:
            free = 0
        for future in waiting[free:]:
            future.cancel()
        # One by one: a call that was let in before the end may be put in line meanwhile.
        while engine.backlog:
            engine.backlog.popleft().cancel()
        if engine.interrupting:
            for process, seat in list(engine.workers.values()):
                if engine.pool.interrupt(seat):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process.pid, signal.SIGINT)

    def finish(self) -> None:
        engine = self.engine
        with engine.lock:
            engine.stopping = True
        engine.pool.close()
        for pidfd in list(engine.workers):
            engine.bury(pidfd)
        for future in [*engine.pool.abandon(), *engine.backlog]:
            _end(future, BrokenProcessPool(_PENDING))
        engine.pool.wake_leader()

    def break_pool(self, why: str, cause: BaseException, lost: list[Any] | None = None) -> None:
        """Ends every future with BrokenProcessPool, and every worker."""
        engine, executor = self.engine, self.executor()
        with engine.lock:
            engine.stopping = True
            if executor is not None:
                executor._broken = why
                executor._shutdown_thread = True
        del executor
        for future in lost or ():
            _end(future, cause)
        waiting = [*engine.pool.abandon(), *engine.backlog]
        engine.backlog.clear()
        for future in waiting:
            error = BrokenProcessPool(_PENDING if why == _ABRUPT else why)
            error.__cause__ = cause
            _end(future, error)
        engine.pool.wake_leader()
        for process, _ in list(engine.workers.values()):
            process.terminate()
        for pidfd in list(engine.workers):
            engine.bury(pidfd)
