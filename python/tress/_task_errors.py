"""What a call ends with that was given to a worker process, and that the worker did not finish."""

from __future__ import annotations

from concurrent.futures.process import BrokenProcessPool


class WorkerLostError(BrokenProcessPool):
    """The worker process that made the call has died.

    `pid` and `exitcode` (-N for signal N) are the worker's, `task` says which call it was making.
    """

    def __init__(
        self,
        message: str,
        pid: int | None = None,
        exitcode: int | None = None,
        task: str | None = None,
    ) -> None:
        super().__init__(message)
        self.pid = pid
        self.exitcode = exitcode
        self.task = task


class TaskTimeoutError(TimeoutError):
    """The call took longer than it may, and its worker was killed.

    `timeout` is how many seconds it had, `task` says which call it was.
    """

    def __init__(self, message: str, timeout: float | None = None, task: str | None = None) -> None:
        super().__init__(message)
        self.timeout = timeout
        self.task = task
