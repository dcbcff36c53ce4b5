"""The owner's side of a pool of processes: offering calls, starting and burying workers.

Calls are pickled where they are submitted, as long as there is room for them; the others wait,
unpickled, in `backlog`, and are offered by the collector (`_process_collector`), which is the one
thread of a pool.
"""

from __future__ import annotations

import concurrent.futures.process as _std_module
import contextlib
import os
import select
import signal
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from time import monotonic
from traceback import format_exception

from tress import _native
from tress._task_errors import TaskTimeoutError, WorkerLostError
from tress.concurrent.futures import _process_worker
from tress.concurrent.futures._base import name_of
from tress.concurrent.futures._pickling import dumps_call, size as pickled_size
from tress.concurrent.futures._process_future import ProcessFuture
from tress.concurrent.futures._process_watch import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tress.concurrent.futures._process_logs import Listener
    from tress.concurrent.futures._process_terms import Terms

# Its private names are used.
_std: Any = _std_module

# Tasks of at least so many bytes count towards the room for large ones,
_LARGE = 64 * 1024
# of which so many bytes are filled ahead of the workers.
_AHEAD = 512 * 1024 * 1024

# A call for which there is no room, though no call is unfinished, is tried so often: the calls that
# took the room may have been answered since.
_TRIES = 100

# With fewer calls in line than that, whoever has more to submit is told.
LOW = 128

# A worker that is told to end by SIGTERM is killed after so many seconds.
_GRACE = 5.0

# So many workers may die one after the other before one of them has begun.
_FALSE_STARTS = 8

PENDING = (
    "A process in the process pool was terminated abruptly while the future was running or pending."
)


class Engine:
    """What a pool has, apart from the object that its user has: that may be dropped."""

    def __init__(
        self,
        context: Any,
        max_workers: int,
        terms: Terms,
        on_worker_lost: str,
        max_retries: int,
        listener: Listener | None,
    ) -> None:
        self.pool = _native.ProcessPool()
        self.wait_for = self.pool.wait_for
        self.context = context
        self.max_workers = max_workers
        self.terms = terms
        # Of what the workers log.
        self.listener = listener
        # Whether workers end by themselves.
        self.recycles = terms.max_tasks is not None or terms.max_memory is not None
        self.on_worker_lost = on_worker_lost
        self.max_retries = max_retries
        # Guards what follows, and the starting of workers.
        self.lock = threading.Lock()
        self.backlog: deque[ProcessFuture] = deque()
        # Held by the thread that offers what is in line.
        self.pumping = threading.Lock()
        self.processes: dict[int, Any] = {}
        self.workers: dict[int, tuple[Any, int]] = {}  # pidfd -> process, seat's number
        self.retired: set[int] = set()  # seats
        self.failed: set[int] = set()  # seats whose initializer has raised
        self.begun: set[int] = set()  # seats whose workers take calls
        self.false_starts = 0
        self.submitted = 0
        self.submitting = 0  # calls that are about to be offered
        self.cannot_start: BaseException | None = None
        self.stopping = False
        # Why calls that are not made are not.
        self.why = PENDING
        self.cause: BaseException | None = None
        self.closing = False
        self.interrupting = False
        self.trims = False  # memory that was lent is to go back to the system
        self.out_of_memory = _kills_for_memory()
        self.watch = Watch(self.pool, self.workers)
        self.kill = self.watch.kill
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
            end(future, self.broken())

    def broken(self) -> BrokenProcessPool:
        """What calls end with when the pool has broken."""
        error = BrokenProcessPool(self.why)
        error.__cause__ = self.cause
        return error

    def offer_or_line_up(self, future: ProcessFuture) -> None:
        if self.backlog or not self.offer(future):
            self.backlog.append(future)
            if len(self.backlog) == 1:
                self.pool.set_hungry(True)
                self.pool.wake_collector()

    def offer(self, future: ProcessFuture) -> bool:
        """Whether there was room for the call, or it has ended otherwise."""
        call = future._call
        # Before a worker can have the call and die of it: another thread offers it again then.
        is_kept = self.tries_again(future)
        try:
            pickled, buffers = dumps_call(call)
        except Exception as error:
            self.reject(future, _with_remote_traceback(error))
            return True
        size = pickled_size(pickled, buffers)
        if size >= _LARGE and self.pool.unfinished and self.pool.lent_bytes + size > _AHEAD:
            return False
        for _ in range(_TRIES):
            try:
                task = self.pool.offer(future, pickled, buffers, future._ready_list())
            except MemoryError as error:
                end(future, error)
                return True
            if task is not None:
                break
            if self.pool.unfinished:
                return False
            # All that took the room has been answered meanwhile.
        else:
            end(future, MemoryError(f"no room in shared memory for a call of {size} bytes"))
            return True
        # Whoever has offered it again meanwhile has the later number.
        future._task = task if future._task is None else max(task, future._task)
        if size >= _LARGE and not self.trims:
            # Not before it is lent: a collector that sees nothing lent looks no more.
            self.trims = True
            self.pool.wake_collector()
        options = future._options
        if options is not None and options.timeout is not None:
            self.watch.limit(future, options.timeout)
        if not is_kept:
            if future._name is None:
                future._name = name_of(call[0])
            future._call = None
        return True

    def reject(self, future: ProcessFuture, error: BaseException) -> None:
        """The call cannot be pickled."""
        end(future, error)

    def refill(self) -> None:
        """Offers what is in line, as far as there is room. For the collector."""
        self.pump()
        # Also if whoever put something in line has said so too early.
        self.pool.set_hungry(bool(self.backlog) or self.closing)

    def pump(self) -> None:
        """Offers what is in line, as far as there is room, unless another thread is at it."""
        if not self.pumping.acquire(blocking=False):
            return
        try:
            while (future := self.take_next()) is not None:
                offered = False
                try:
                    offered = future.cancelled() or self.offer(future)
                finally:
                    # Also if a signal has interrupted it.
                    if not offered and future._task is None:
                        self.backlog.appendleft(future)
                if not offered:
                    break
        finally:
            self.pumping.release()
        if self.stopping:
            # The pool has ended meanwhile, and did not see what was in hand here.
            self.drop()
        if len(self.backlog) < LOW:
            self.has_room()

    def take_next(self) -> ProcessFuture | None:
        """Takes out what is to be offered next."""
        try:
            return self.backlog.popleft()
        except IndexError:
            return None

    def drop(self) -> None:
        """Ends the futures of all calls that have not ended."""
        for future in [*self.pool.abandon(), *self.take_backlog()]:
            end(future, self.broken())

    def take_backlog(self) -> list[ProcessFuture]:
        """Takes out what is in line, while others may add to it."""
        taken = []
        with contextlib.suppress(IndexError):
            while True:
                taken.append(self.backlog.popleft())
        return taken

    def has_room(self) -> None:
        """Called whenever few calls are in line."""

    def close_soon(self) -> None:
        """Has the collector end the pool, as soon as nothing more is to be done."""
        self.closing = True
        self.pool.set_hungry(True)
        self.pool.wake_collector()

    @property
    def unfinished(self) -> int:
        return self.pool.unfinished + len(self.backlog)

    # --- Workers. ----------------------------------------------------------------------------

    def new_process(self, seat: _process_worker.Seat) -> Any:
        """A process for a worker, which is not started yet."""
        return self.context.Process(
            target=_process_worker.serve, args=(seat, self.terms, _process_worker.Manners)
        )

    def start_first_workers(self, count: int) -> None:
        """As `start_workers`, before anybody looks after them: all, or none. Holds `lock`."""
        try:
            self.start_workers(count)
        except BaseException:
            for process in self.processes.values():
                if getattr(process, "pid", None) is not None:
                    process.kill()  # it has done nothing yet, and may ignore the gentler signal
                else:
                    process.terminate()
            for process in self.processes.values():
                process.join()
            for pidfd, (_, seat) in self.workers.items():
                self.poller.unregister(pidfd)
                os.close(pidfd)
                self.pool.bury(seat)
            self.processes.clear()
            self.workers.clear()
            raise

    def start_workers(self, count: int) -> None:
        """Starts workers until there are `count`. Holds `lock`."""
        while len(self.processes) < count and not self.stopping:
            if self.listener is not None:
                self.terms.logs = self.listener.link()  # with the levels of this moment
            seat = self.pool.add_worker()
            process: Any = None
            try:
                process = self.new_process(_process_worker.Seat(self.pool, seat))
                process.start()
                pid = getattr(process, "pid", None)
                pidfd = None if pid is None else os.pidfd_open(pid)
            except BaseException:
                if getattr(process, "pid", None) is not None:
                    process.kill()
                    process.join()
                self.pool.bury(seat.number)
                raise
            if pidfd is None:
                # Some object of another kind: nobody can tell when it has ended.
                self.processes[id(process)] = process
                continue
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
        self.begun.discard(seat)
        with self.lock:
            self.processes.pop(process.pid, None)
        return process, seat, lost

    def end_workers(self) -> list[ProcessFuture]:
        """Ends every worker: by SIGTERM, and by SIGKILL if that does not do. The futures of the
        calls that they were making."""
        lost: list[ProcessFuture] = []
        for process, _ in list(self.workers.values()):
            process.terminate()
        until = monotonic() + _GRACE
        # What workers say wakes nobody any more.
        self.poller.unregister(self.pool.collector)
        while self.workers:
            ready = self.poller.poll(max(until - monotonic(), 0))
            for fd, _ in ready:
                lost += self.bury(fd)[2]
            if not ready and monotonic() >= until:
                break
        for process, _ in list(self.workers.values()):
            process.kill()
        for pidfd in list(self.workers):
            lost += self.bury(pidfd)[2]
        return lost

    def is_false_start(self, seat: int) -> bool:
        """Whether a worker that has died is one too many of those that died before they began."""
        if seat in self.begun:
            return False
        self.false_starts += 1
        return self.false_starts > max(_FALSE_STARTS, 2 * self.max_workers)

    def lost(self, process: Any, futures: list[ProcessFuture]) -> None:
        """Decides about the calls that were with a worker that has died; the pool goes on."""
        for future in futures:
            self.retry_or_end(future, self.loss(process, future))

    def execute(self, futures: list[ProcessFuture], task: int, killed: bool) -> None:
        """Ends the calls that were with a worker that was killed for one of them, `task`."""
        for future in futures:
            if killed:
                end(future, CancelledError("the call was killed"))
                continue
            title = future._title()
            timeout = None if future._options is None else future._options.timeout
            message = f"the call of {title} took longer than {timeout} seconds"
            self.retry_or_end(future, TaskTimeoutError(message, timeout, title))

    def retry_or_end(self, future: ProcessFuture, error: BaseException) -> None:
        if self.tries_again(future) and not self.stopping:
            future._losses += 1
            future._task = None
            self.backlog.appendleft(future)
        else:
            end(future, error)

    def tries_again(self, future: ProcessFuture) -> bool:
        """Whether the call is made again if its worker dies, or time is up."""
        options = future._options
        if options is not None and options.retries is not None:
            return future._losses < options.retries
        return self.on_worker_lost == "retry" and future._losses < self.max_retries

    def loss(self, process: Any, future: ProcessFuture | None = None) -> WorkerLostError:
        """What a call ends with whose worker has died; from 3.15 on the standard class says so in
        its cause."""
        task = None if future is None else future._title()
        message = self.describe(process)
        if task is not None:
            message += f" during the call of {task}"
        error = WorkerLostError(message, process.pid, process.exitcode, task)
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
            if code == -signal.SIGKILL and self.has_run_out_of_memory():
                how += " (killed: out of memory?)"
        else:
            how = f"ended with exit code {code}"
        return f"the worker process {process.pid} {how}"

    def has_run_out_of_memory(self) -> bool:
        """Whether the kernel has killed a process for memory since this was asked last."""
        before, self.out_of_memory = self.out_of_memory, _kills_for_memory()
        return self.out_of_memory > before


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


def end(future: ProcessFuture, error: BaseException) -> None:
    """Ends `future` with `error`, unless it has ended."""
    try:
        future.set_exception(error)
    except _std._base.InvalidStateError:
        return
    ready = future._ready_list()
    if ready is not None:
        ready.put(future)


def _with_remote_traceback(error: BaseException) -> BaseException:
    text = "".join(format_exception(type(error), error, error.__traceback__))
    error.__cause__ = _std._RemoteTraceback(f'\n"""\n{text}"""')
    return error
