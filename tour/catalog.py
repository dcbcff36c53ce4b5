"""The programs that the tour shows, and what about their output is the same in every run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

PROGRAMS_FOLDER = Path(__file__).resolve().parent.parent / "programs"


class Program(NamedTuple):
    """A program and how its output is compared.

    The output of one run is settled before it is compared with another's: threads take their turns
    as they like, and what they print comes in their order.
    """

    path: str
    """Where it lies, below the folder of the programs."""
    arguments: tuple[str, ...] = ()
    any_order: bool = False
    """Whether the lines may come in any order."""
    pieces: str | None = None
    """For a program whose threads print into each other's lines: a pattern of what stays whole."""

    def settle(self, output: str) -> list[str]:
        """Bring an output into the form in which all correct outputs are equal."""
        if self.pieces is not None:
            rest = re.sub(self.pieces, "", output)
            return [*sorted(re.findall(self.pieces, output)), "".join(sorted(rest))]
        lines = output.splitlines()
        return sorted(lines) if self.any_order else lines


PROGRAMS = (
    Program("threads/create_by_target.py", pieces=r"Thread \d: \d"),
    Program("threads/create_by_subclass.py"),
    Program("threads/daemon.py"),
    Program("threads/join_timeout.py"),
    Program("threads/global_variable.py"),
    Program("threads/logging_lines.py", any_order=True),
    Program("threads/queue_workers.py"),
    Program("threads/queue_put_get.py"),
    Program("threads/queue_kinds.py"),
    Program("threads/lock.py"),
    Program("threads/rlock.py"),
    Program("threads/lock_order.py"),
    Program("threads/semaphore.py"),
    Program("threads/condition.py"),
    Program("threads/event.py"),
    Program("threads/barrier.py"),
    Program("threads/thread_local.py"),
    Program("threads/timer.py"),
    Program("futures/load_urls.py", any_order=True),
    Program("futures/submit.py"),
    Program("futures/map.py"),
    Program("futures/wait.py"),
    Program("futures/as_completed.py"),
    Program("futures/future_methods.py"),
    Program("futures/executor_arguments.py"),
    Program("futures/shutdown.py"),
    Program("generators/producer_consumer.py"),
    Program("generators/yield_from.py"),
    Program("workload/crawler.py"),
)

DEADLOCK = Program("threads/deadlock.py")
"""The one program that plain Python cannot finish."""
