"""A program that uses everything while there is not enough of something, and says what it found.

For each thing and each limit a line: what came of it, and what was left behind.
"""

from __future__ import annotations

import errno
import faulthandler
import gc
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tress.multiprocessing as mp
from tests.processes.calls import square
from tress.concurrent.futures import ProcessPoolExecutor

BOUND_S = 100.0
GRACE_S = 5.0

LOCKS = 4096
"""Bytes of the memory that locks and their like come from, of which a process keeps a piece."""


def pool(ctx: Any) -> None:
    with ctx.Pool(2) as made:
        assert made.map(square, range(4)) == [0, 1, 4, 9]


def executor(ctx: Any) -> None:
    with ProcessPoolExecutor(2, mp_context=ctx) as made:
        assert list(made.map(square, range(4))) == [0, 1, 4, 9]


def process(ctx: Any) -> None:
    made = ctx.Process(target=square, args=(1,))
    made.start()
    made.join()
    assert made.exitcode == 0


def manager(ctx: Any) -> None:
    with ctx.Manager() as made:
        assert made.dict(a=1)["a"] == 1


def queue(ctx: Any) -> None:
    made = ctx.JoinableQueue()
    made.put(1)
    assert made.get() == 1


def pipe(ctx: Any) -> None:
    one, other = ctx.Pipe()
    with one, other:
        one.send(1)
        assert other.recv() == 1


def locks(ctx: Any) -> None:
    for made in (ctx.Lock(), ctx.RLock(), ctx.Semaphore(), ctx.Condition()):
        with made:
            pass


THINGS = (pool, executor, process, manager, queue, pipe, locks)


@contextmanager
def descriptors(left: int) -> Iterator[None]:
    """Only so many more can be opened."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
    taken: list[int] = []
    try:
        try:
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            for _ in range(left):
                os.close(taken.pop())
        yield
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextmanager
def memory() -> Iterator[None]:
    """No memory can be shared."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def processes() -> Iterator[None]:
    """No process can be forked."""

    def refuse() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    fork, os.fork = os.fork, refuse
    try:
        yield
    finally:
        os.fork = fork


def left_over() -> tuple[list[str], list[str]]:
    """The open descriptors and the children, those that always are there left out by the caller."""
    gc.collect()
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        children = file.read().split()
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            what = os.readlink(f"/proc/self/fd/{fd}")
            if not (what.startswith("/memfd:tress") and os.fstat(int(fd)).st_size == LOCKS):
                found.append(f"{fd} {what}")
        except OSError:
            pass  # the one of the listing
    return sorted(found), children


def outcome(thing: Callable[[Any], None], ctx: Any) -> str:
    try:
        thing(ctx)
    except OSError as error:
        return f"{type(error).__name__} {errno.errorcode.get(error.errno or 0)}"
    except Exception as error:
        return f"{type(error).__name__}"
    return "ok"


def main(method: str, limits: str) -> None:
    faulthandler.dump_traceback_later(BOUND_S, exit=True)
    ctx = mp.get_context(method)
    for thing in THINGS:  # launches what the start method needs
        thing(ctx)
    for limit in limits.split(","):
        for thing in THINGS:
            before = left_over()
            named = {"memory": memory, "processes": processes}.get(limit)
            with named() if named is not None else descriptors(int(limit)):
                came = outcome(thing, ctx)
            until = time.monotonic() + GRACE_S
            while (after := left_over()) != before and time.monotonic() < until:
                time.sleep(0.01)
            more = [sorted(set(now) - set(then)) for now, then in zip(after, before, strict=True)]
            print(limit, thing.__name__, came, more, outcome(thing, ctx), sep="|", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
