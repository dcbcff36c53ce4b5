"""The fork server as its clients see it: `start()` hands it what a new process needs.

A client and the server share one pair of sockets, and nothing has a name: who can start a process
is who has inherited the client's end. The server keeps a child that waits on the other end, so a
request goes to a process that is there already. What comes back over the pipe of a process's status
are records: one as it takes the request, one when it has ended.

A request whose pipe ends without a record has reached nobody, and can be made again.
"""

from __future__ import annotations

import array
import errno
import os
import pickle
import select
import socket
import struct
import sys
import threading
from multiprocessing import forkserver as _std, resource_tracker, spawn, util

from tress._children import KEY
from tress._install import strands
from tress.multiprocessing._start import new_pipe, start_interpreter, tracker_fd, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RECORD = struct.Struct("<cqq")
"""A kind, a process id, and what the kind says: see below."""

STARTED = b"s"
"""The process has taken the request, and is about to run."""
ENDED = b"e"
"""The process has ended, with this exit code."""
REFUSED = b"r"
"""There is no process: a fork failed with this errno."""

MAX_FDS = 253
"""File descriptors that Linux passes in one message."""

_OWN_FDS = 4
_ATTEMPTS = 3
_GONE = frozenset({errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ECONNREFUSED})

_PRELOADS_MAIN = "init_main_from_path" in _std.ForkServer.ensure_running.__code__.co_consts
"""Whether the server of this Python imports the main module ahead. Pythons up to 3.13.1 meant to,
and did not."""


class Started:
    """A process that has been started: its id, and the pipes to it."""

    def __init__(self, pid: int, status: int, parent_w: int) -> None:
        self.pid = pid
        self.status = status
        self.parent_w = parent_w


class ForkServer:
    """The server of this process and of those that it starts, launched when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        # Those that this process has launched, until they are reaped: the last is the one in use.
        self._launched: list[int] = []
        self._inherited = False
        # What of tress it has installed, and its children have with it.
        self._strands: tuple[str, ...] = ()

    def inherit(self, client: int) -> None:
        """Use the server that has started this process, whose client's end is `client`."""
        self._socket = socket.socket(fileno=client)
        self._inherited = True
        self._strands = strands()

    def start(self, data: bytes, fds: list[int]) -> Started:
        """Start a process, which gets `fds` and reads `data`.

        OSError if the server cannot fork; EOFError if it ends before the process runs.
        """
        if len(fds) + _OWN_FDS >= MAX_FDS:
            most = MAX_FDS - _OWN_FDS - 1
            raise ValueError(f"fds: {len(fds)} are too many to send, {most} is the most")
        for _ in range(_ATTEMPTS):
            client, is_new = self._ensure_running()
            started = self._request(client, data, fds)
            if started is not None:
                return started
            if is_new and is_gone(client):
                break
        error = EOFError("the fork server ended before it had started the process")
        if getattr(_std._forkserver, "_preload_on_error", "ignore") == "fail":
            error.add_note("One of the modules to preload may have failed: see stderr.")
        raise error

    def _request(self, client: socket.socket, data: bytes, fds: list[int]) -> Started | None:
        """Make one request; None if it has reached nobody."""
        opened: list[int] = []
        try:
            status_r, status_w = new_pipe(opened)
            data_r, data_w = new_pipe(opened)
            sent = [data_r, status_w, client.fileno(), tracker_fd(), *fds]
            try:
                client.sendmsg(
                    [b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", sent))]
                )
            except OSError as error:
                if error.errno in _GONE:
                    return None
                raise
            _close(opened, data_r)
            _close(opened, status_w)
            write_all(data_w, data)
            kind, pid, code = read_record(status_r)
            if kind == REFUSED:
                raise OSError(code, f"the fork server cannot fork: {os.strerror(code)}")
            opened.clear()
            return Started(pid, status_r, data_w)
        except EOFError:
            return None
        finally:
            for fd in opened:
                os.close(fd)

    def _ensure_running(self) -> tuple[socket.socket, bool]:
        """Return the client's end, and whether the server has only just been launched."""
        with self._lock:
            resource_tracker.ensure_running()
            if self._socket is not None:
                if not (is_gone(self._socket) or self._is_outdated()):
                    return self._socket, False
                self._end()
            self._strands = strands()
            self._socket, pid = _launch()
            self._launched.append(pid)
            return self._socket, True

    def _is_outdated(self) -> bool:
        """Whether children would not be what this process wants: the server is another's, and this
        process wants other modules in its own, or tress has been installed or uninstalled since.
        """
        return self._strands != strands() or (self._inherited and _preload() != ["__main__"])

    def _end(self) -> None:
        """Ask the server no more. It ends when its other clients, if it has any, have ended too."""
        assert self._socket is not None
        self._socket.close()
        self._socket = None
        self._inherited = False
        self._launched = [pid for pid in self._launched if not _is_reaped(pid)]

    def _at_fork(self) -> None:
        self._lock = threading.Lock()
        self._launched.clear()


def _is_reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True  # by somebody who waits for any child


def is_gone(end: socket.socket) -> bool:
    """Whether nobody has the other end of a pair of sockets any more."""
    poller = select.poll()
    poller.register(end, 0)
    return bool(poller.poll(0))


def read_record(status: int) -> tuple[bytes, int, int]:
    """Read the next record; EOFError if the pipe has ended."""
    data = b""
    while len(data) < RECORD.size:
        part = os.read(status, RECORD.size - len(data))
        if not part:
            raise EOFError("unexpected EOF")
        data += part
    kind, pid, code = RECORD.unpack(data)
    return kind, pid, code


def write_record(status: int, kind: bytes, pid: int, code: int) -> None:
    """Write a record, at once as it is smaller than what a pipe keeps in one piece."""
    try:
        os.write(status, RECORD.pack(kind, pid, code))
    except BrokenPipeError:
        pass  # the client has gone


def _close(opened: list[int], fd: int) -> None:
    opened.remove(fd)
    os.close(fd)


def _preload() -> list[str]:
    modules: list[str] = _std._forkserver._preload_modules  # type: ignore[attr-defined]
    return modules


def _own_modules() -> list[str]:
    """The modules of tress's that this process uses, and so its children: a server that has loaded
    them saves each child that time. The program's own modules are left to what it preloads.
    """
    own = ("tress.multiprocessing.", "tress.concurrent.")
    return [name for name in list(sys.modules) if name.startswith(own)]


def _launch() -> tuple[socket.socket, int]:
    settings: dict[str, Any] = {"preload": _preload(), "sys_path": None}
    preparation = spawn.get_preparation_data("tress fork server")
    settings["installed"] = preparation.get(KEY)
    settings["own_modules"] = _own_modules()
    if settings["preload"]:
        if _PRELOADS_MAIN:
            settings["main_path"] = preparation.get("init_main_from_path")
            settings["sys_argv"] = preparation.get("sys_argv")
        settings["on_error"] = getattr(_std._forkserver, "_preload_on_error", "ignore")
    client, server = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with server:
            settings_r, settings_w = os.pipe()
            try:
                # The path comes first: on it the server finds its own module.
                command = (
                    f"import sys; sys.path[:] = {preparation['sys_path']!r}; "
                    "from tress.multiprocessing._fork_server_process import main; "
                    f"main({server.fileno()}, {settings_r})"
                )
                pid = start_interpreter(
                    [
                        spawn.get_executable(),
                        *util._args_from_interpreter_flags(),  # type: ignore[attr-defined]
                        *("-c", command),
                    ],
                    [server.fileno(), settings_r],
                )
            except BaseException:
                os.close(settings_w)
                raise
            finally:
                os.close(settings_r)
        try:
            write_all(settings_w, pickle.dumps(settings))
        finally:
            os.close(settings_w)
    except BaseException:
        client.close()
        raise
    return client, pid


fork_server = ForkServer()
os.register_at_fork(after_in_child=fork_server._at_fork)
