"""The outcome of a call that is made in another process."""

from __future__ import annotations

from tress import _native
from tress.concurrent.futures._base import Future, name_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tress.concurrent.futures._process_options import Options
    from tress.concurrent.futures._process_pool import Engine
else:
    # What stands in the brackets of a base class is for type checkers alone.
    Any = object


class ProcessFuture(Future[Any]):
    """The outcome of a call that is made in another process."""

    __slots__ = ("_call", "_engine", "_losses", "_name", "_options", "_task")

    def __init__(self, engine: Engine, call: Any, options: Options | None = None) -> None:
        super().__init__()
        self._engine = engine
        # What is to be pickled, until it is.
        self._call: Any = call
        self._options = options
        # What the call is called, once only that is left of it.
        self._name: str | None = None
        self._task: int | None = None
        # How often a worker has died of it, or while at it.
        self._losses = 0

    def cancel(self) -> bool:
        """Cancels the call, if no worker has begun it: True then, or if it was cancelled before."""
        task = self._task
        if task is not None and not self.done():
            if self._engine.pool.take_back(task):
                self._engine.pool.wake_collector()
            else:
                _native.mark_begun(self)
        if not super().cancel():
            return False
        if self._state == "CANCELLED":
            # Nobody comes by it later who would tell those that wait.
            self.set_running_or_notify_cancel()
        return True

    def kill(self) -> bool:
        """Ends the call, also when a worker is making it; False if it had finished.

        Ours. A call that no worker has begun is cancelled. Else its worker is killed, by SIGKILL,
        and another takes its place; the future ends soon after, and raises CancelledError. What
        the call has done so far stays done.
        """
        if self.cancel():
            return True
        if self.done():
            return False
        self._engine.kill(self)
        return True

    def running(self) -> bool:
        """Whether a worker is making the call now."""
        if self._task is not None and not self.done() and self._engine.pool.is_begun(self._task):
            _native.mark_begun(self)
        return super().running()

    def result(self, timeout: float | None = None) -> Any:
        """Returns what the call returned, or raises what it raised, once it has finished.

        `timeout` is in seconds, None waits for ever. Raises TimeoutError when it passes first,
        and CancelledError when the call was cancelled. A timeout or a signal takes nothing.
        """
        if not self.done():
            self._engine.wait_for(self, timeout)
            timeout = 0
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Returns the exception that the call raised, or None, once it has finished.

        `timeout` and what is raised are as for `result`.
        """
        if not self.done():
            self._engine.wait_for(self, timeout)
            timeout = 0
        return super().exception(timeout)

    def _ready_list(self) -> _native.Ready | None:
        """Where the future goes when it has ended."""
        return None

    def _title(self) -> str:
        """Which call it is, for messages."""
        if self._name is None and self._call is not None:
            return name_of(self._call[0])
        return self._name or "a function"

    def __repr__(self) -> str:
        self.running()
        return super().__repr__()
