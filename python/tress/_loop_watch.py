"""Watching loops: what blocks one for too long is told while it does."""

from __future__ import annotations

import _thread
import math
import os
import sys
import time
import traceback
from asyncio import current_task
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import TextIO

from tress._stacks import is_ours
from tress._threads import name_of, names_of_threads
from tress.asyncio import _loops
from tress.asyncio._event_loop import EventLoop

__all__ = ["watch_loops"]

_LOOKS = 4
"""How often in the time that a call may take the loops are looked at."""


@dataclass
class _Seen:
    """The call that a loop was in the middle of when it was looked at."""

    call: int
    since: float
    is_told: bool = False


class Watch:
    """What was seen of the loops, and for how long."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._seen: dict[int, _Seen] = {}

    def look(self, now: float) -> Iterator[str]:
        """What is to be told of the loops at the time `now`: of each call once."""
        seen, self._seen = self._seen, {}
        for ident, loop in _loops.running():
            call = loop._call_in_progress()
            if call is None:
                continue
            before = seen.get(id(loop))
            if before is None or before.call != call:
                before = _Seen(call, now)
            self._seen[id(loop)] = before
            if not before.is_told and now - before.since >= self.limit:
                before.is_told = True
                yield _describe(ident, loop, now - before.since)


def _describe(ident: int, loop: EventLoop, seconds: float) -> str:
    task = current_task(loop)
    who = f"{name_of(ident, names_of_threads())} ({ident})"
    what = "a callback" if task is None else task.get_name()
    stack = traceback.StackSummary.extract(
        (frame, frame.f_lineno) for frame in _frames_in_loop(sys._current_frames().get(ident))
    )
    lines = [f"{what} blocks the loop in {who} of process {os.getpid()} for {seconds:.3f} s by now"]
    lines += [f"  {line}" for entry in stack.format() for line in entry.rstrip().splitlines()]
    return "\n".join(lines)


_RUN_FOREVER: CodeType = EventLoop.run_forever.__code__


def _frames_in_loop(frame: FrameType | None) -> list[FrameType]:
    """The frames of what the loop has called, outermost first, without tress's own."""
    frames = []
    while frame is not None and frame.f_code is not _RUN_FOREVER:
        if not is_ours(frame):
            frames.append(frame)
        frame = frame.f_back
    return frames[::-1]


class _Watcher:
    """A thread that looks at the loops again and again."""

    def __init__(self, limit: float, file: TextIO | None) -> None:
        self.limit = limit
        self.file = file
        self.start()

    def start(self) -> None:
        self.stopped = _thread.allocate_lock()
        self.stopped.acquire()
        _thread.start_new_thread(self.run, (self.stopped,))

    def run(self, stopped: _thread.LockType) -> None:
        watch = Watch(self.limit)
        while not stopped.acquire(timeout=self.limit / _LOOKS):
            for text in watch.look(time.monotonic()):
                print(text, file=sys.stderr if self.file is None else self.file, flush=True)


_watcher: _Watcher | None = None


def watch_loops(limit: float | None = 0.1, file: TextIO | None = None) -> None:
    """Has whatever blocks one of tress's loops for more than `limit` seconds told, with its stack,
    while it blocks: a callback, or a step of a task between two awaits.

    It is printed to `file` (standard error by default), once for each blocking. The loops are not
    slowed down: a thread that this call starts looks at them, four times in `limit` seconds, so
    that a blocking of one and a quarter of it is found, and a shorter one than `limit` never is.
    Code that does not let go of the interpreter meanwhile is not seen. Another call sets another
    limit, and None ends it. A forked child goes on. TypeError for a limit that is no number,
    ValueError for one that is not positive.
    """
    global _watcher
    if limit is not None:
        if not isinstance(limit, int | float):
            raise TypeError(f"limit must be a number of seconds or None, not {limit!r}")
        if not 0 < limit < math.inf:
            raise ValueError(f"limit must be a positive number of seconds, not {limit!r}")
    if _watcher is not None:
        _watcher.stopped.release()
        _watcher = None
    if limit is not None:
        _watcher = _Watcher(limit, file)


def _after_fork_in_child() -> None:
    if _watcher is not None:
        _watcher.start()


os.register_at_fork(after_in_child=_after_fork_in_child)
