"""Who waits for what, right now."""

from __future__ import annotations

import _thread
import io
import os
import sys
import traceback
from dataclasses import dataclass
from typing import TextIO

from tress import _native
from tress._stacks import stack_of
from tress._threads import name_of, names_of_threads

__all__ = ["Wait", "dump_waits", "dump_waits_on", "waits"]


@dataclass(frozen=True)
class Wait:
    """A thread in a blocking call of tress."""

    thread_ident: int
    """The thread's identifier."""
    thread_name: str
    """Its name."""
    operation: str
    """The call that blocks, such as "Lock.acquire"."""
    object: object
    """What it waits on: the lock, queue, event, ..."""
    seconds: float
    """For how long it has waited."""
    seconds_left: float | None
    """Until its timeout; None without one."""
    owner_ident: int | None
    """The thread that holds the lock it waits for, where that tells who will release it; else
    None.
    """
    owner_name: str | None
    """That thread's name."""
    stack: traceback.StackSummary
    """Where it waits, outermost call first."""

    def __str__(self) -> str:
        who = f"{self.thread_name} ({self.thread_ident})"
        text = f"{who} waits in {self.operation} for {self.seconds:.3f} s"
        if self.seconds_left is not None:
            text += f", {self.seconds_left:.3f} s left"
        text += f"\n  on {self.object!r}"
        if self.owner_ident is not None:
            text += f"\n  held by {self.owner_name} ({self.owner_ident})"
        return text


def waits() -> list[Wait]:
    """Every wait in progress, longest first. A thread that computes, or waits elsewhere than in
    tress, is not in it.
    """
    frames = sys._current_frames()
    names = names_of_threads()
    found = []
    for ident, operation, waited_on, seconds, left, owner in _native.waits():
        found.append(
            Wait(
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
        )
    return sorted(found, key=lambda wait: -wait.seconds)


def dump_waits(file: TextIO | None = None) -> None:
    """Prints every wait in progress, with its stack, to `file` (standard error by default)."""
    text = io.StringIO()
    found = waits()
    print(
        f"{len(found)} thread{'' if len(found) == 1 else 's'} of process {os.getpid()} in a wait",
        file=text,
    )
    for wait in found:
        print(wait, file=text)
        for entry in wait.stack.format():
            for line in entry.rstrip().splitlines():
                print(f"  {line}", file=text)
    # In one piece: a program that prints from other threads meanwhile does not get between the
    # lines.
    print(text.getvalue(), end="", file=sys.stderr if file is None else file, flush=True)


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
