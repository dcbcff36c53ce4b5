"""The fork server's own process: it keeps one child waiting for the next request.

What a server forks for one request is what it forked for the one before: nothing in it changes. So
it forks ahead. The child that waits takes the request itself, tells the server so, and runs; the
server forks the next, and stays to tell the clients how their processes have ended.

If a fork fails, or a child is killed while it waits, the server forks no more until it is asked to.
"""

from __future__ import annotations

import array  # noqa: F401 - send_fds and recv_fds import it, which a child has no time for
import atexit
import os
import pickle
import select
import signal
import socket
import struct
import sys
import warnings
from importlib import import_module
from multiprocessing import forkserver as _std, process, resource_tracker, spawn, util

from tress.multiprocessing import context as _context  # noqa: F401 - what every process needs
from tress.multiprocessing._fork_server import (
    ENDED,
    MAX_FDS,
    REFUSED,
    STARTED,
    fork_server,
    is_gone,
    write_record,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_TAKEN = struct.Struct("<q")


def main(requests: int, settings: int) -> None:
    """Serve the clients at the other end of `requests`, as told in the pipe `settings`."""
    with open(settings, "rb") as file:
        told: dict[str, Any] = pickle.load(file)  # and so is installed what the client has
    del told["installed"]
    for name in told.pop("own_modules"):
        import_module(name)
    _preload(**told)
    util._close_stdin()  # type: ignore[attr-defined]
    _Server(socket.socket(fileno=requests)).run()


def _preload(
    preload: list[str],
    sys_path: list[str] | None = None,
    main_path: str | None = None,
    sys_argv: list[str] | None = None,
    on_error: str = "ignore",
) -> None:
    if not preload:
        return
    handle = getattr(_std, "_handle_preload", None)
    if handle is not None:
        handle(preload, main_path, sys_path, sys_argv, on_error)
        return
    if sys_argv is not None:
        sys.argv[:] = sys_argv
    if "__main__" in preload and main_path is not None:
        current = process.current_process()
        current._inheriting = True  # type: ignore[attr-defined]
        try:
            spawn.import_main_path(main_path)
        finally:
            del current._inheriting  # type: ignore[attr-defined]
    for name in preload:
        try:
            __import__(name)
        except ImportError:
            pass
    util._flush_std_streams()  # type: ignore[attr-defined]


class _Server:
    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._taken_r, self._taken_w = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._taken_r.setblocking(False)
        self._ended_r, self._ended_w = os.pipe()
        os.set_blocking(self._ended_r, False)
        os.set_blocking(self._ended_w, False)
        self._waiting: int | None = None
        self._status: dict[int, int] = {}
        self._is_deserted = False
        self._handlers = {
            # With a handler it comes to the wakeup fd.
            signal.SIGCHLD: signal.signal(signal.SIGCHLD, lambda *_: None),
            signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN),
        }
        signal.set_wakeup_fd(self._ended_w, warn_on_full_buffer=False)

    def run(self) -> None:
        """Serve until no client is left, and what they have started has ended."""
        poller = select.poll()
        poller.register(self._taken_r, select.POLLIN)
        poller.register(self._ended_r, select.POLLIN)
        self._fork()
        while not self._is_deserted or self._status:
            if not self._is_deserted:
                # Requests are the waiting child's to read, and the server's only if there is none.
                poller.register(self._requests, 0 if self._waiting else select.POLLIN)
            for fd, events in poller.poll():
                if fd == self._taken_r.fileno():
                    self._note_taken()
                elif fd == self._ended_r:
                    self._reap()
                elif not events & select.POLLHUP:
                    self._serve_unprepared()
                else:
                    # The last client may be a process that was started here, and ends just now.
                    self._is_deserted = True
                    poller.unregister(self._requests)
                    self._note_taken()
        raise SystemExit

    def _fork(self) -> OSError | None:
        """Fork the child that waits for the next request; returns why that failed."""
        try:
            pid = os.fork()
        except OSError as error:
            return error
        if pid == 0:
            self._run_child()
        self._waiting = pid
        return None

    def _serve_unprepared(self) -> None:
        """There is a request and no child that waits for it."""
        error = self._fork()
        if error is None:
            return
        fds = _receive(self._requests)
        if fds:
            write_record(fds[1], REFUSED, 0, error.errno or 0)
        for fd in fds:
            os.close(fd)

    def _note_taken(self) -> None:
        while True:
            try:
                message, fds, _, _ = socket.recv_fds(self._taken_r, _TAKEN.size, 1)
            except BlockingIOError:
                return
            (pid,) = _TAKEN.unpack(message)
            self._status[pid] = fds[0]
            if pid == self._waiting:
                self._waiting = None
                if not self._is_deserted:
                    self._fork()

    def _reap(self) -> None:
        os.read(self._ended_r, 65536)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._note_taken()  # what it said before it ended
            if pid == self._waiting:
                self._waiting = None
                continue
            fd = self._status.pop(pid, None)
            if fd is None:
                warnings.warn(f"forkserver: waitpid returned unexpected pid {pid}", stacklevel=2)
                continue
            write_record(fd, ENDED, pid, os.waitstatus_to_exitcode(status))
            os.close(fd)

    def _run_child(self) -> NoReturn:
        code = 1
        try:
            code = self._serve_one()
        except Exception:
            sys.excepthook(*sys.exc_info())
            sys.stderr.flush()
        finally:
            atexit._run_exitfuncs()
            self._tell_in_its_place(code)
            os._exit(code)

    def _serve_one(self) -> int:
        atexit._clear()
        signal.set_wakeup_fd(-1)
        for fd in (self._ended_r, self._ended_w, *self._status.values()):
            os.close(fd)
        self._status.clear()
        self._taken_r.close()
        fds = self._wait_for_request()
        if not fds:
            os._exit(0)
        data, status, client, tracker, *inherited = fds
        pid = os.getpid()
        try:
            socket.send_fds(self._taken_w, [_TAKEN.pack(pid)], [status])
        except OSError:
            os._exit(1)  # the server has gone, and with it who would tell of this process's end
        write_record(status, STARTED, pid, 0)
        # It stays open: should the server be killed, the client sees this process's end by it.
        self._status[pid] = status
        self._requests.close()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        atexit.register(util._exit_function)  # type: ignore[attr-defined]
        fork_server.inherit(client)
        resource_tracker._resource_tracker._fd = tracker  # type: ignore[attr-defined]
        _std._forkserver._inherited_fds = inherited  # type: ignore[attr-defined]
        return spawn._main(data, os.dup(data))

    def _tell_in_its_place(self, code: int) -> None:
        """Tell the client of this process's end, if there is no server to do it."""
        pid = os.getpid()
        try:
            if pid in self._status and is_gone(self._taken_w):
                write_record(self._status[pid], ENDED, pid, code)
        except OSError:
            pass  # the program has closed what is not its own

    def _wait_for_request(self) -> list[int]:
        """Wait for a request and take its descriptors; none if a client or the server is gone."""
        poller = select.poll()
        poller.register(self._taken_w, 0)
        poller.register(self._requests, select.POLLIN)
        events = dict(poller.poll())
        if self._taken_w.fileno() in events:
            return []
        return _receive(self._requests)


def _receive(requests: socket.socket) -> list[int]:
    _, fds, _, _ = socket.recv_fds(requests, 1, MAX_FDS)
    return fds
