"""What a worker process of a pool does."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from concurrent.futures._base import LOGGER
from concurrent.futures.process import _ExceptionWithTraceback
from multiprocessing import context, reduction
from types import FrameType

from tress import _native
from tress.concurrent.futures._pickling import dumps, dumps_result, loads_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tress.concurrent.futures._process_terms import Terms

# What a worker says, as the native module numbers the first two.
RESULT = 0
EXCEPTION = 1
UNREADABLE = 2
RETIRED = 3
FAILED_TO_BEGIN = 4
BEGUN = 5


class PassedFd:
    """A file descriptor that is passed to a child process, whatever starts it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        context.assert_spawning(self)
        return _receive, (reduction.DupFd(self.fd),)


def _receive(duplicate: Any) -> PassedFd:
    return PassedFd(duplicate.detach())


class Seat:
    """What a worker is given: its number, and the memory that it shares with the pool's owner."""

    def __init__(self, pool: _native.ProcessPool, seat: _native.WorkerSeat) -> None:
        self.number = seat.number
        self.owner = os.getpid()
        (shared, self.shared_len), (own, self.own_len) = pool.memory, seat.memory
        self.fds = [PassedFd(fd) for fd in (shared, own, pool.collector)]

    def take(self) -> _native.PoolWorker:
        shared, own, collector = (passed.fd for passed in self.fds)
        return _native.PoolWorker(
            self.number, (shared, self.shared_len), (own, self.own_len), collector
        )


class Manners:
    """What a worker makes of errors: as the workers of an executor do."""

    ends_on_exit = False
    """Whether SystemExit in a call ends the worker, rather than the call alone."""

    @staticmethod
    def outgoing(error: BaseException) -> Any:
        """`error`, to be pickled together with the text of its traceback."""
        traceback: Any = error.__traceback__
        return _ExceptionWithTraceback(error, traceback)

    @classmethod
    def unpicklable(cls, error: BaseException, value: Any) -> Any:
        """What is answered in place of a `value` that cannot be pickled."""
        return cls.outgoing(error)

    @staticmethod
    def failed_to_begin() -> bool:
        """The initializer has raised; whether the worker is to end by that exception."""
        LOGGER.critical("Exception in initializer:", exc_info=True)
        return False


class _Interrupts:
    """Lets an interrupt from the keyboard end the call that is being made, and nothing else.

    Between calls it is the pool's owner who acts upon it; here it could only lose the task that has
    just been taken, or the answer that is about to be given.
    """

    def __init__(self, worker: _native.PoolWorker, manners: type[Manners]) -> None:
        self.worker = worker
        self.manners = manners
        self.welcome = False
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._receive)

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        if self.welcome:
            self.welcome = False
            signal.default_int_handler(signum, frame)

    def call(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[int, Any]:
        """The kind and the value of the answer to a call."""
        try:
            try:
                self.welcome = True
                # The signal may have come before it was welcome.
                if self.worker.is_interrupted():
                    raise KeyboardInterrupt
                result = fn(*args, **kwargs)
                self.welcome = False
                return RESULT, result
            except BaseException as error:
                self.welcome = False
                if isinstance(error, SystemExit) and self.manners.ends_on_exit:
                    raise
                return EXCEPTION, self.manners.outgoing(error)
        except KeyboardInterrupt as late:
            return EXCEPTION, self.manners.outgoing(late)


_PAGE = resource.getpagesize()


def own_memory() -> int:
    """How many bytes of memory this process has that it shares with no other."""
    with open("/proc/self/statm", "rb") as file:
        resident, shared = file.read().split()[1:3]
    return (int(resident) - int(shared)) * _PAGE


def serve(seat: Seat, terms: Terms, manners: type[Manners]) -> None:
    """Takes tasks and answers them until the pool closes, `max_tasks` are done, or this process has
    more than `max_memory` bytes of its own."""
    worker = seat.take()
    _native.end_with(seat.owner)
    interrupts = _Interrupts(worker, manners)
    if terms.logs is not None:
        terms.logs.attach()
    if terms.initializer is not None:
        try:
            terms.initializer(*terms.initargs)
        except BaseException:
            worker.answer(FAILED_TO_BEGIN, 0, [])
            if manners.failed_to_begin():
                raise
            return
    worker.answer(BEGUN, 0, [])

    def answer(kind: int, task: int, value: Any) -> None:
        try:
            pickled, buffers = dumps_result(value)
        except BaseException as error:
            kind = EXCEPTION
            pickled, buffers = dumps(manners.unpicklable(error, value))
        worker.answer(kind, task, pickled, buffers)

    done, max_tasks, max_memory = 0, terms.max_tasks, terms.max_memory
    lives = True
    while lives and (task := worker.take()) is not None:
        number, pickled, buffers = task
        del task
        try:
            fn, args, kwargs = loads_call(pickled, buffers)
        except Exception as error:
            del pickled, buffers
            answer(UNREADABLE, number, manners.outgoing(error))
            lives = worker.finish()
            continue
        del pickled, buffers
        kind, value = interrupts.call(fn, args, kwargs)
        answer(kind, number, value)
        lives = worker.finish()
        # A worker without work keeps nothing alive.
        del fn, args, kwargs, value
        done += 1
        if not lives:
            break
        if done == max_tasks or (max_memory is not None and own_memory() > max_memory):
            worker.answer(RETIRED, 0, [])
            return
    while not lives:
        # The owner is about to kill this process.
        signal.pause()
