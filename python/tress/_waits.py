"""Who waits for what, right now."""

from __future__ import annotations

import _thread
import io
import os
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TextIO

from tress import _native
from tress._stacks import stack_of
from tress._threads import name_of, names_of_threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import Task

__all__ = ["Wait", "dump_waits", "dump_waits_on", "waits"]


@dataclass(frozen=True)
class Wait:
    """A thread in a blocking call of tress, or a task that awaits something in one of its loops."""

    thread_ident: int
    """The thread's identifier; of a task the one that its loop runs in."""
    thread_name: str
    """Its name."""
    operation: str
    """The call that blocks, such as "Lock.acquire"; of a task also "await Task" and the like."""
    object: object
    """What it waits on: the lock, queue, event, task, ..."""
    seconds: float | None
    """For how long it has waited; None of a task, as nothing is noted when it begins to wait."""
    seconds_left: float | None
    """Until its timeout, or until a task's sleep is over; None without one."""
    owner_ident: int | None
    """The thread that holds the lock it waits for, where that tells who will release it; else
    None.
    """
    owner_name: str | None
    """The name of that thread, or of the task that holds the lock that a task waits for."""
    stack: traceback.StackSummary
    """Where it waits, outermost call first."""
    task: Task[Any] | None = None
    """The task; None of a thread."""
    owner_task: Task[Any] | None = None
    """The task that holds the lock that a task waits for, where that is known; else None."""

    def __str__(self) -> str:
        who = f"{self.thread_name} ({self.thread_ident})"
        if self.task is not None:
            who = f"{self.task.get_name()} in {who}"
        text = f"{who} waits in {self.operation}"
        if self.seconds is not None:
            text += f" for {self.seconds:.3f} s"
        if self.seconds_left is not None:
            text += f", {self.seconds_left:.3f} s left"
        text += f"\n  on {self.object!r}"
        if self.owner_ident is not None:
            text += f"\n  held by {self.owner_name} ({self.owner_ident})"
        elif self.owner_name is not None:
            text += f"\n  held by {self.owner_name}"
        return text


def waits() -> list[Wait]:
    """Every wait in progress: of threads, longest first, and then of the tasks in those of tress's
    loops that run, by name. A thread that computes, or waits elsewhere than in tress, is not in it,
    and neither is a task that is about to run.
    """
    return [*_waits_of_threads(), *_waits_of_tasks()]


def _waits_of_threads() -> list[Wait]:
    frames = sys._current_frames()
    names = names_of_threads()
    found: list[tuple[float, int, Wait]] = []
    for ident, operation, waited_on, seconds, left, owner in _native.waits():
        wait = Wait(
            thread_ident=ident,
            thread_name=name_of(ident, names),
            operation=operation,
            object=waited_on,
            seconds=seconds,
            seconds_left=left,
            owner_ident=owner,
            owner_name=None if owner is None else name_of(owner, names),
            stack=stack_of(frames.get(ident)),
        )
        found.append((-seconds, len(found), wait))
    return [wait for _, _, wait in sorted(found)]


def _waits_of_tasks() -> Iterator[Wait]:
    loops = sys.modules.get("tress.asyncio._loops")
    if loops is None:
        return
    # It stands on `asyncio`, which is there by now.
    from tress._task_waits import find

    names = names_of_threads()
    for ident, loop in loops.running():
        for one in find(loop):
            yield Wait(
                thread_ident=ident,
                thread_name=name_of(ident, names),
                operation=one.operation,
                object=one.object,
                seconds=None,
                seconds_left=one.seconds_left,
                owner_ident=None,
                owner_name=None if one.owner is None else one.owner.get_name(),
                stack=one.stack,
                task=one.task,
                owner_task=one.owner,
            )


def dump_waits(file: TextIO | None = None) -> None:
    """Prints every wait in progress, with its stack, to `file` (standard error by default)."""
    text = io.StringIO()
    found = waits()
    tasks = sum(wait.task is not None for wait in found)
    counts = _count(len(found) - tasks, "thread") + (
        f" and {_count(tasks, 'task')}" if tasks else ""
    )
    print(f"{counts} of process {os.getpid()} in a wait", file=text)
    for wait in found:
        print(wait, file=text)
        for entry in wait.stack.format():
            for line in entry.rstrip().splitlines():
                print(f"  {line}", file=text)
    # In one piece: a program that prints from other threads meanwhile does not get between the
    # lines.
    print(text.getvalue(), end="", file=sys.stderr if file is None else file, flush=True)


def _count(count: int, name: str) -> str:
    return f"{count} {name}{'' if count == 1 else 's'}"


class _Watch:
    """A signal that prints the waits: the handler adds to an eventfd, and a thread that reads it
    prints.
    """

    def __init__(self, signum: int, file: TextIO | None) -> None:
        self.signum = signum
        self.file = file
        self.start()

    def start(self) -> None:
        self.eventfd = os.eventfd(0, os.EFD_CLOEXEC)
        try:
            _native.tell_eventfd(self.signum, self.eventfd)
        except BaseException:
            os.close(self.eventfd)
            raise
        _thread.start_new_thread(self.run, (self.eventfd,))

    def run(self, eventfd: int) -> None:
        while self.eventfd == eventfd:
            try:
                os.eventfd_read(eventfd)
            except InterruptedError:
                # The system gives a signal to whichever thread it likes, and this call, unlike
                # others, is not made again after it.
                continue
            dump_waits(self.file)


_watches: dict[int, _Watch] = {}


def dump_waits_on(signum: int, file: TextIO | None = None) -> None:
    """Makes the signal `signum` print every wait in progress to `file` (standard error by default).

    The signal's handler only adds to an eventfd, and a thread that this call starts does the
    printing: it works whatever the other threads are doing, as long as they let go of the
    interpreter now and then. A handler that was set for this signal before is replaced;
    `signal.signal` replaces this one. A forked child prints its own waits. ValueError for a number
    that is no signal, OSError for one that cannot be handled.
    """
    known = _watches.get(signum)
    if known is not None:
        known.file = file
        _native.tell_eventfd(signum, known.eventfd)
        return
    _watches[signum] = _Watch(signum, file)


def _after_fork_in_child() -> None:
    for watch in _watches.values():
        os.close(watch.eventfd)
        watch.start()


os.register_at_fork(after_in_child=_after_fork_in_child)
