"""`Popen` of the start method "forkserver". The names of the standard module of that name."""

from __future__ import annotations

import os
import select
from multiprocessing import popen_forkserver as _std, util
from multiprocessing.process import BaseProcess

from tress.multiprocessing._fork_server import ENDED, fork_server, read_record
from tress.multiprocessing._start import pickled

__all__ = ["Popen"]

_UNKNOWN = 255
"""The exit code of a process whose server was killed, as in the standard library."""


class Popen(_std.Popen):
    """A process that a fork server has started."""

    _fds: list[int]

    def _launch(self, process_obj: BaseProcess) -> None:
        started = fork_server.start(pickled(self, process_obj), self._fds)
        self.pid = started.pid
        self.sentinel = started.status
        # As long as this end is open the process knows that its parent lives.
        self.finalizer = util.Finalize(self, util.close_fds, (started.parent_w, started.status))  # type: ignore[attr-defined]

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        """The exit code, or None if the process runs; waits for it unless `flag` is WNOHANG."""
        if self.returncode is None:
            if flag == os.WNOHANG:
                poller = select.poll()
                poller.register(self.sentinel, select.POLLIN)
                if not poller.poll(0):
                    return None
            try:
                kind, _, code = read_record(self.sentinel)
            except (OSError, EOFError):
                self.returncode = _UNKNOWN
            else:
                self.returncode = code if kind == ENDED else _UNKNOWN
        return self.returncode
