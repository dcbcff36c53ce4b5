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
    varies: str | None = None
    """A pattern of what is another in every run: a process's number, a time."""
    most_rounds: int = 100
    """How often the tour runs it at most."""

    @property
    def name(self) -> str:
        """What it is called in a table."""
        return " ".join([self.path, *self.arguments])

    def settle(self, output: str) -> list[str]:
        """Bring an output into the form in which all correct outputs are equal."""
        if self.varies is not None:
            output = re.sub(self.varies, "...", output)
        if self.pieces is not None:
            rest = re.sub(self.pieces, "", output)
            return [*sorted(re.findall(self.pieces, output)), "".join(sorted(rest))]
        lines = output.splitlines()
        return sorted(lines) if self.any_order else lines


NUMBERS_AND_TIMES = r"(?<=pid=)\d+|(?<=母进程: )\d+|[\d.]+(?=秒)"

LINES_OF_TWO = r"子进程 \(pid=\.\.\.\) (?:开始|完成, 结果: 2\*\*\d+ = \d+)"

OF_PROCESSES = (
    Program("processes/create_by_process.py", pieces=LINES_OF_TWO, varies=NUMBERS_AND_TIMES),
    Program("processes/create_by_subclass.py", pieces=LINES_OF_TWO, varies=NUMBERS_AND_TIMES),
    Program("processes/process_methods.py"),
    Program("processes/daemon.py"),
    Program("processes/pool_map.py"),
    Program("processes/pool_results.py"),
    Program("processes/pool_methods.py"),
    Program("processes/queue_put_get.py"),
    Program("processes/pipe_ends.py"),
    Program("processes/lock.py"),
    Program("processes/rlock.py"),
    Program("processes/semaphore.py"),
    Program("processes/condition.py"),
    Program("processes/event.py"),
    Program("processes/barrier.py"),
    Program("processes/shared_values.py"),
    Program("processes/manager.py"),
    Program("processes/cpu_count.py"),
    Program("processes/is_prime.py"),
    Program("processes/executor_methods.py"),
)
"""Each is run with every start method, named on its command line; the output is the same."""

OF_COROUTINES = (
    Program("coroutines/print_sum.py"),
    Program("coroutines/print_sum_loop.py"),
    Program("coroutines/five_ways.py"),
    Program("coroutines/create_task.py"),
    Program("coroutines/gather.py"),
    Program("coroutines/wait_for.py"),
    Program("coroutines/wait.py"),
    Program("coroutines/as_completed.py"),
    Program("coroutines/run_coroutine_threadsafe.py"),
    Program("coroutines/current_task.py"),
    Program("coroutines/task_methods.py"),
    Program("coroutines/future_methods.py"),
    Program("coroutines/awaitables.py"),
    Program("coroutines/loop_methods.py"),
    Program("coroutines/lock.py"),
    Program("coroutines/semaphore.py"),
    Program("coroutines/condition.py"),
    Program("coroutines/event.py"),
    Program("coroutines/queue_workers.py"),
    Program("coroutines/queue_kinds.py"),
    Program("coroutines/shared_queue.py"),
    Program("coroutines/sleep.py"),
    Program("coroutines/streams.py"),
    Program("coroutines/protocols.py"),
    Program("coroutines/sockets.py"),
    Program("coroutines/watch_descriptors.py"),
    Program("coroutines/tls.py"),
    Program("coroutines/subprocesses.py"),
    Program("coroutines/executors.py"),
    Program("coroutines/signals.py"),
    Program("coroutines/error_handling.py"),
)
"""Each runs an event loop."""

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
    *OF_COROUTINES,
    Program("workload/crawler.py"),
    *(
        program._replace(arguments=(method,), most_rounds=2)
        for program in OF_PROCESSES
        for method in ("fork", "spawn", "forkserver")
    ),
)

DEADLOCK = Program("threads/deadlock.py")
"""The one program that plain Python cannot finish."""
