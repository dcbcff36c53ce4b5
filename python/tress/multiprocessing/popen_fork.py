"""`Popen` of the start method "fork". The names of the standard module of that name."""

from __future__ import annotations

import atexit
import os
from multiprocessing import popen_fork as _std, resource_tracker, util
from multiprocessing.process import BaseProcess

from tress.multiprocessing._start import new_pipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Popen"]

# Pythons from 3.13 on run a child's own exit functions, and not what it has inherited.
_RUNS_ATEXIT = hasattr(_std, "atexit")

_util: Any = util
_tracker: Any = resource_tracker


class Popen(_std.Popen):
    """A process that is a copy of this one. One that cannot be forked leaves nothing open."""

    def _launch(self, process_obj: BaseProcess) -> None:
        opened: list[int] = []
        try:
            parent_r, child_w = new_pipe(opened)
            child_r, parent_w = new_pipe(opened)
            self.pid = _fork()
        except BaseException:
            for fd in opened:
                os.close(fd)
            raise
        if self.pid == 0:
            self._run(process_obj, child_r, (parent_r, parent_w))
        os.close(child_w)
        os.close(child_r)
        self.finalizer = _util.Finalize(self, _util.close_fds, (parent_r, parent_w))
        self.sentinel = parent_r

    def _run(self, process_obj: Any, sentinel: int, of_parent: tuple[int, int]) -> None:
        code = 1
        try:
            if _RUNS_ATEXIT:
                atexit._clear()
                atexit.register(_util._exit_function)
            for fd in of_parent:
                os.close(fd)
            code = process_obj._bootstrap(parent_sentinel=sentinel)
        finally:
            if _RUNS_ATEXIT:
                atexit._run_exitfuncs()
            os._exit(code)


def _fork() -> int:
    intent = getattr(_tracker, "_fork_intent", None)
    if intent is None:
        return os.fork()
    # The child keeps its pipe to the resource tracker.
    intent.preserve_fd = True
    try:
        return os.fork()
    finally:
        intent.preserve_fd = False
