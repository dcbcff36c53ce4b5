"""`Popen` of the start method "spawn". The names of the standard module of that name."""

from __future__ import annotations

import os
from multiprocessing import popen_spawn_posix as _std, spawn, util
from multiprocessing.process import BaseProcess

from tress.multiprocessing._start import new_pipe, pickled, start_interpreter, tracker_fd, write_all

__all__ = ["Popen"]


class Popen(_std.Popen):
    """A process in a fresh interpreter.

    One that dies before it has read what it is to do has started, and has an exit code: the parent
    keeps no end of its pipe open that would let it wait for a reader for ever.
    """

    _fds: list[int]

    def _launch(self, process_obj: BaseProcess) -> None:
        tracker = tracker_fd()
        self._fds.append(tracker)
        data = pickled(self, process_obj)
        opened: list[int] = []
        try:
            sentinel, alive_w = new_pipe(opened)
            data_r, data_w = new_pipe(opened)
            self._fds += [data_r, alive_w]
            command = spawn.get_command_line(tracker_fd=tracker, pipe_handle=data_r)
            self.pid = start_interpreter(command, self._fds)
            self.sentinel = sentinel
            # As long as this end is open the process knows that its parent lives.
            opened = [data_r, alive_w]
            self.finalizer = util.Finalize(self, util.close_fds, (data_w, sentinel))  # type: ignore[attr-defined]
        finally:
            for fd in opened:
                os.close(fd)
        write_all(data_w, data)
