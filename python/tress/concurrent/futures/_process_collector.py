"""The one thread of a pool of processes.

It sleeps until a worker has answered and nobody waits for the answer, until a worker has ended, or
until somebody wakes it; then it does all that there is to do, which is a *turn*. A pool ends in
three ways: nothing more will be submitted and all is done (`leave`), it cannot go on
(`break_pool`), or its user wants it to end at once (a subclass's way).
"""

from __future__ import annotations

import concurrent.futures.process as _std_module
import contextlib
import os
import signal
import sys
import weakref
from concurrent.futures.process import BrokenProcessPool

from tress._thread import Thread
from tress.concurrent.futures import _process_worker
from tress.concurrent.futures._pickling import loads, unreadable
from tress.concurrent.futures._process_pool import PENDING, Engine, end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Its private names are used: the registry of what is to end when the interpreter does.
_std: Any = _std_module

# An idle pool gives memory back after so many seconds.
_PATIENCE = 1.0

_ABRUPT = "A child process terminated abruptly, the process pool is not usable anymore"


class Collector(Thread):
    """The thread of a pool."""

    def __init__(self, engine: Engine, name: str, daemon: bool = False) -> None:
        super().__init__(name=name, daemon=daemon)
        self.engine = engine

    # --- What depends on whose the pool is. --------------------------------------------------

    def will_submit(self) -> bool:
        """Whether more may be submitted."""
        raise NotImplementedError

    def wanted(self) -> int:
        """How many workers there should be."""
        raise NotImplementedError

    def why_no_workers(self) -> str | None:
        """Why no workers may be started, if that is so."""
        return None

    def has_broken(self, why: str) -> None:
        """The pool takes no more calls."""

    def has_ended(self) -> None:
        """This was its last turn."""

    # --- Turns. ------------------------------------------------------------------------------

    def run(self) -> None:
        listener = self.engine.listener
        if listener is not None:
            listener.begin()
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
            if listener is not None:
                listener.end()
            self.has_ended()

    def turn(self) -> bool:
        """Sleeps until there is something to do, and does it; True when that was the last."""
        engine, pool = self.engine, self.engine.pool
        pool.before_sleep()
        patience = engine.watch.patience()
        if engine.trims:
            patience = _PATIENCE if patience is None else min(patience, _PATIENCE)
        ready = engine.poller.poll(patience)
        pool.after_sleep()
        if engine.trims and not ready:
            engine.trims = False  # first: what is lent from now on sets it again
            if not pool.trim():
                engine.trims = True
        broken = self.hear(pool.collect())
        engine.watch.look()
        for fd, _ in ready:
            if fd in engine.workers and self.mourn(fd):
                return True
        if broken is not None:
            self.break_pool(_ABRUPT, broken)
            return True
        if engine.stopping or self.is_over():
            return self.leave()
        engine.refill()
        self.replace()
        return False

    def hear(self, events: list[Any]) -> BaseException | None:
        """What workers said that is no result; an error if the pool cannot go on."""
        engine = self.engine
        for worker, kind, task, pickled in events:
            if kind == _process_worker.BEGUN:
                engine.begun.add(worker)
                engine.false_starts = 0
            elif kind == _process_worker.RETIRED:
                engine.retired.add(worker)
            elif kind == _process_worker.FAILED_TO_BEGIN:
                engine.failed.add(worker)
            elif kind == _process_worker.UNREADABLE:
                future = engine.pool.forget(task)
                if future is not None:
                    end(future, unreadable("the call", loads(pickled)))
            else:
                return BrokenProcessPool("a worker has written what makes no sense")
        return None

    def mourn(self, pidfd: int) -> bool:
        """A worker has ended; True if the pool has with it."""
        engine = self.engine
        seat = engine.workers[pidfd][1]
        falsely = engine.is_false_start(seat)
        process, seat, lost = engine.bury(pidfd)
        failed = seat in engine.failed
        # Whoever has read its last words may not have told them yet.
        retired = seat in engine.retired or (engine.recycles and process.exitcode == 0)
        engine.retired.discard(seat)
        sentence = engine.watch.sentence(seat)
        if sentence is not None:
            engine.execute(lost, *sentence)
            return False
        if (retired or engine.stopping) and not lost:
            return False
        if failed:
            self.break_pool(_ABRUPT, BrokenProcessPool("the initializer of a worker failed"))
            return True
        if engine.on_worker_lost == "break":
            error = engine.loss(process, lost[0] if lost else None)
            self.break_pool(_ABRUPT, error, lost)
            return True
        engine.lost(process, lost)
        if falsely:
            why = "workers end before they begin: " + engine.describe(process)
            self.break_pool(why, BrokenProcessPool(why))
            return True
        return False

    def replace(self) -> None:
        """Starts workers for those that are gone, as far as they are wanted."""
        engine = self.engine
        wanted = min(self.wanted(), engine.max_workers)
        if len(engine.processes) >= wanted:
            return
        with engine.lock:
            why = self.why_no_workers()
            if why is None:
                try:
                    engine.start_workers(wanted)
                except Exception as error:
                    engine.cannot_start = error
                why = "a worker process could not be started"
        if not engine.processes:
            raise BrokenProcessPool(why) from engine.cannot_start

    def is_over(self) -> bool:
        """Whether nothing more will be submitted, and all is done or cancelled."""
        engine = self.engine
        if self.will_submit():
            return False
        with engine.lock:
            return engine.stopping or (engine.unfinished == 0 and engine.submitting == 0)

    # --- The end. ----------------------------------------------------------------------------

    def leave(self) -> bool:
        """Has the workers end, as nothing more is to be done; whether all have."""
        engine = self.engine
        with engine.lock:
            begins, engine.stopping = not engine.stopping, True
        if begins:
            engine.pool.close()
        if engine.workers:
            return False
        for future in self.unfinished():
            end(future, BrokenProcessPool(PENDING))
        engine.pool.wake_leader()
        return True

    def unfinished(self) -> list[Any]:
        """The futures of all calls that have not ended; they are nothing to the pool any more."""
        return [*self.engine.pool.abandon(), *self.engine.take_backlog()]

    def break_pool(self, why: str, cause: BaseException, lost: list[Any] | None = None) -> None:
        """Ends every future with BrokenProcessPool, and every worker."""
        engine = self.engine
        with engine.lock:
            engine.why = PENDING if why == _ABRUPT else why
            engine.cause = cause
            engine.stopping = True
            self.has_broken(why)
        for future in lost or ():
            end(future, cause)
        for future in self.unfinished():
            end(future, engine.broken())
        engine.pool.wake_leader()
        engine.end_workers()


class ExecutorCollector(Collector):
    """The thread of an executor's pool, which has workers as far as there is work for them."""

    def __init__(self, executor: Any, engine: Engine) -> None:
        super().__init__(engine, "ProcessPoolExecutor")
        self.executor = weakref.ref(executor, lambda _: engine.close_soon())
        _std._threads_wakeups[self] = _Wakeup(engine)

    def wanted(self) -> int:
        return self.engine.unfinished

    def why_no_workers(self) -> str | None:
        executor = self.executor()
        if executor is None:
            if self.engine.on_worker_lost == "break":
                return "the executor was garbage collected before its calls were made"
        elif executor._force_shutting_down:
            return "the pool is being forcefully shut down"
        return None

    def has_broken(self, why: str) -> None:
        executor = self.executor()
        if executor is not None:
            executor._broken = why
            executor._shutdown_thread = True

    def has_ended(self) -> None:
        # Its value has the engine, and the engine errors in whose tracebacks this thread is: they
        # would keep each other.
        _std._threads_wakeups.pop(self, None)

    def will_submit(self) -> bool:
        executor = self.executor()
        if executor is None:
            return False
        if not (executor._shutdown_thread or _std._global_shutdown):
            return True
        executor._shutdown_thread = True
        if executor._cancel_pending_futures:
            executor._cancel_pending_futures = False
            self.cancel_pending()
        return False

    def cancel_pending(self) -> None:
        """Cancels the calls that no worker has begun, or is about to begin."""
        engine = self.engine
        # By number; last those whose numbers are not noted yet: they are being offered, or a signal
        # has interrupted that.
        offered = sorted(
            engine.pool.futures(),
            key=lambda future: sys.maxsize if future._task is None else future._task,
        )
        waiting = [future for future in offered if not future.running()]
        free = max(len(engine.processes) - (len(offered) - len(waiting)), 0)
        if engine.interrupting:
            free = 0
        for future in waiting[free:]:
            future.cancel()
        for future in engine.take_backlog():
            future.cancel()
        if engine.interrupting:
            for process, seat in list(engine.workers.values()):
                if engine.pool.interrupt(seat):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process.pid, signal.SIGINT)


class _Wakeup:
    """What the standard module's exit handler wakes a pool by."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def wakeup(self) -> None:
        self._engine.close_soon()
