"""What a `Pool` has of processes: the engine and the thread of the executor, with a Pool's ways.

A Pool has all its workers from the beginning, replaces each that ends, and may end at once,
whatever its workers are at.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from threading import get_ident

from tress import _native
from tress.concurrent.futures import _process_worker
from tress.concurrent.futures._base import Future
from tress.concurrent.futures._process_collector import Collector
from tress.concurrent.futures._process_future import ProcessFuture
from tress.concurrent.futures._process_pool import Engine, end
from tress.multiprocessing._pool_feeder import Feeder
from tress.multiprocessing._pool_results import TerminatedError
from tress.multiprocessing._pool_worker import Manners

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tress.concurrent.futures._process_logs import Listener
    from tress.concurrent.futures._process_terms import Terms


class ProcessEngine(Engine):
    """The processes of a Pool."""

    def __init__(
        self,
        context: Any,
        processes: int,
        terms: Terms,
        on_worker_lost: str,
        max_retries: int,
        listener: Listener | None,
        make_process: Callable[..., Any],
    ) -> None:
        super().__init__(context, processes, terms, on_worker_lost, max_retries, listener)
        self.make_process = make_process
        # Only one thread calls callbacks.
        self.telling = contextlib.nullcontext()
        self.feeder = Feeder(self)
        self.rejected: deque[tuple[ProcessFuture, BaseException]] = deque()
        self.closed = False  # nothing more is submitted
        self.terminating = False
        self.collector = PoolCollector(self)

    def new_process(self, seat: _process_worker.Seat) -> Any:
        process = self.make_process(
            self.context, target=_process_worker.serve, args=(seat, self.terms, Manners)
        )
        process.name = process.name.replace("Process", "PoolWorker")
        process.daemon = True
        return process

    def populate(self) -> None:
        """Starts the workers that are missing."""
        with self.lock:
            self.start_workers(self.max_workers)

    def start(self) -> None:
        """Starts the workers, and what looks after them."""
        with self.lock:
            self.start_first_workers(self.max_workers)
        self.collector.start()

    def members(self) -> list[Any]:
        """The worker processes."""
        return list(self.processes.values())

    def enter(self, future: ProcessFuture) -> None:
        """Has the call of `future` made."""
        self.pool.check_here()
        with self.lock:
            if self.closed:
                raise ValueError("Pool not running")
            self.submitting += 1
        self.submit(future)

    def feed(self, future: ProcessFuture) -> None:
        """As `enter`, for the feeder, which `begin_feed` has let in."""
        self.offer_or_line_up(future)
        if self.stopping:
            end(future, TerminatedError() if self.terminating else self.broken())

    def begin_feed(self) -> None:
        """More calls will come from the feeder, until `end_feed`."""
        self.pool.check_here()
        with self.lock:
            if self.closed:
                raise ValueError("Pool not running")
            self.submitting += 1

    def end_feed(self) -> None:
        with self.lock:
            self.submitting -= 1
        if self.closing:
            self.pool.wake_collector()

    def reject(self, future: ProcessFuture, error: BaseException) -> None:
        if self.collector.ident == get_ident() or not future._done_callbacks:
            super().reject(future, error)
            return
        # Whoever submits may hold a lock that a callback wants.
        self.rejected.append((future, error))
        self.pool.wake_collector()

    @property
    def unfinished(self) -> int:
        return super().unfinished + len(self.rejected)

    def take_next(self) -> ProcessFuture | None:
        return super().take_next() or self.feeder.pull()

    def drop(self) -> None:
        for future in [*self.pool.abandon(), *self.take_backlog()]:
            end(future, TerminatedError() if self.terminating else self.broken())

    def refill(self) -> None:
        super().refill()
        if self.feeder.has_plain():
            self.pool.set_hungry(True)

    def wait_once(self, future: ProcessFuture, timeout: float | None) -> None:
        """Waits for a future, or until more may be offered."""
        self.pump()
        if not future.done():
            self.pool.wait_for(future, timeout, not self.closing)

    def wait_ready(self, ready: _native.Ready, timeout: float | None) -> None:
        """Waits until something is in `ready`, or until more may be offered."""
        self.pump()
        if not len(ready):
            self.pool.wait_ready(ready, Future(), timeout, not self.closing)

    def has_room(self) -> None:
        self.feeder.go_on()

    def pending(self) -> list[Any]:
        """The futures of all calls that have not ended."""
        return [*self.pool.futures(), *self.backlog]

    def close(self) -> None:
        """No more calls are submitted: the workers end when all are made."""
        with self.lock:
            self.closed = True
        self.feeder.close()
        self.close_soon()

    def terminate(self) -> None:
        """Ends the workers, whatever they are at, and returns when they have ended."""
        self.closed = self.terminating = True
        self.feeder.stop(TerminatedError())
        self.pool.wake_collector()
        self.collector.end()
        self.feeder.end()

    def join(self) -> None:
        """Waits until the workers have ended."""
        self.collector.join()
        self.feeder.join()


class PoolCollector(Collector):
    """The thread of a Pool."""

    engine: ProcessEngine

    def __init__(self, engine: ProcessEngine) -> None:
        super().__init__(engine, "Pool", daemon=True)

    def run(self) -> None:
        super().run()
        # The engine has this thread: its memory is to go as soon as nobody has the engine.
        del self.engine

    def will_submit(self) -> bool:
        return not self.engine.closed

    def wanted(self) -> int:
        engine = self.engine
        if engine.terminating:
            return 0
        return engine.unfinished if engine.closed else engine.max_workers

    def break_pool(self, why: str, cause: BaseException, lost: list[Any] | None = None) -> None:
        super().break_pool(why, cause, lost)
        self.engine.feeder.stop(self.engine.broken())

    def turn(self) -> bool:
        rejected = self.engine.rejected
        while rejected:
            end(*rejected[0])
            rejected.popleft()
            # That may have been the last: look at once.
            self.engine.pool.wake_collector()
        if not self.engine.terminating:
            return super().turn()
        self.terminate()
        return True

    def terminate(self) -> None:
        engine = self.engine
        with engine.lock:
            engine.stopping = True
        for future in [*engine.end_workers(), *self.unfinished()]:
            end(future, TerminatedError())
        engine.pool.wake_leader()

    def end(self) -> None:
        """Waits until it has ended, unless it is who asks."""
        if self.is_alive() and self.ident != get_ident():
            self.join()
