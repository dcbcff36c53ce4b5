"""The server of a manager: a thread for each connection, on tress's connections.

The contract:

* A connection is served by a thread of its own, as its calls may block, until it is closed or
  broken. A client that is killed, at whatever moment, ends that thread and nothing else.
* Nothing is unpickled before the other side has proved that it has the key.
* A server that was started by a manager ends with the process that did that: it leaves through the
  interpreter's exit, which removes its socket and its segments, and at once where that hangs.
"""

from __future__ import annotations

import multiprocessing.managers as _standard
import os
import sys
import threading
from multiprocessing import process, util
from traceback import format_exc

from tress.multiprocessing import _line, connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_std: Any = _standard
_connection: Any = connection
_process: Any = process
_debug: Any = util.debug
_info: Any = util.info

listener_client: dict[str, tuple[Any, Any]] = {
    "pickle": (connection.Listener, connection.Client),
    "xmlrpclib": (_connection.XmlListener, _connection.XmlClient),
}

BACKLOG = 128

_PATIENCE_S = 5.0
"""How long an orphan may take for its exit."""

_PAUSE_S = 0.05
"""How long to wait for descriptors, or memory, when there are none left."""


class Server(_std.Server):  # type: ignore[misc]
    """A server of objects, as `multiprocessing.managers.Server`."""

    def __init__(
        self, registry: dict[str, Any], address: Any, authkey: bytes, serializer: str
    ) -> None:
        if not isinstance(authkey, bytes):
            raise TypeError(f"Authkey {authkey!r} is type {type(authkey)!s}, not bytes")
        self.registry = registry
        self.authkey = _process.AuthenticationString(authkey)
        # The key is asked for by the thread that serves the connection.
        self.listener = listener_client[serializer][0](address=address, backlog=BACKLOG)
        self.address = self.listener.address
        self.id_to_obj: dict[str, Any] = {"0": (None, (), None)}
        self.id_to_refcount: dict[str, int] = {}
        self.id_to_local_proxy_obj: dict[str, Any] = {}
        self.mutex = threading.Lock()
        self._owner: int | None = None

    def end_with(self, pid: int) -> None:
        """Makes the server end when that process does."""
        try:
            self._owner = os.pidfd_open(pid)
        except ProcessLookupError:
            sys.exit(0)

    def serve_forever(self) -> NoReturn:
        """Serves until a client asks for its end, and then exits."""
        self.stop_event = threading.Event()
        process.current_process()._manager_server = self  # type: ignore[attr-defined]
        try:
            threading.Thread(target=self.accepter, daemon=True).start()
            try:
                if self._owner is None:
                    self.stop_event.wait()
                else:
                    self._serve_owner(self._owner)
            except (KeyboardInterrupt, SystemExit):
                pass
        finally:
            if sys.stdout != sys.__stdout__:
                _debug("resetting stdout, stderr")
                sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
            sys.exit(0)

    def _serve_owner(self, owner: int) -> None:
        """Waits for whichever comes first, a client that asks for the end or the owner's own."""

        def watch() -> None:
            connection.wait([owner])
            if not self.stop_event.is_set():
                # From here on nobody waits for what this process still does.
                last = threading.Timer(_PATIENCE_S, os._exit, (1,))
                last.daemon = True
                last.start()
                self._abandon()
                self.stop_event.set()

        threading.Thread(target=watch, daemon=True).start()
        self.stop_event.wait()

    def _abandon(self) -> None:
        """Gives back what is not this process's alone."""

    def accepter(self) -> NoReturn:
        """Accepts connections, one after the other."""
        while True:
            try:
                link = self.listener.accept()
            except OSError:
                # None left of what a connection needs, or one that was gone already.
                self.stop_event.wait(_PAUSE_S)
                continue
            try:
                threading.Thread(target=self.handle_request, args=(link,), daemon=True).start()
            except RuntimeError:
                # No thread left: whoever connected is told, and others are served.
                link.close()
                self.stop_event.wait(_PAUSE_S)

    def serve_client(self, conn: Any) -> None:
        """Answers the calls of one connection until it ends."""
        _debug("starting server thread to service %r", threading.current_thread().name)
        recv, send = conn.recv, conn.send
        stopped = self.stop_event.is_set
        message: tuple[str, Any] | None
        while not stopped():
            try:
                request = recv()
            except (EOFError, OSError, MemoryError):
                break
            except Exception:
                # It was read to its end, but what it says cannot be made here.
                message = ("#TRACEBACK", format_exc())
            else:
                message = self._answer(conn, request)
                del request
                if message is None:
                    continue
            try:
                try:
                    send(message)
                except (BrokenPipeError, ConnectionResetError):
                    break
                except Exception:
                    send(("#UNSERIALIZABLE", format_exc()))
            except Exception as error:
                _info("exception in thread serving %r", threading.current_thread().name)
                _info(" ... message was %r", message)
                _info(" ... exception was %r", error)
                break
            del message
        _debug("got EOF -- exiting thread serving %r", threading.current_thread().name)
        conn.close()
        sys.exit(0)

    def _answer(self, conn: Any, request: Any) -> tuple[str, Any] | None:
        """What to say to a request; None when it has been said."""
        methodname: str | None = None
        try:
            ident, methodname, args, kwds = request
            obj, exposed, result_types = self._find(ident)
            if methodname not in exposed:
                raise AttributeError(
                    f"method {methodname!r} of {type(obj)!r} object is not in exposed={exposed!r}"
                )
            function = getattr(obj, methodname)
            try:
                result = function(*args, **kwds)
            except Exception as error:
                return "#ERROR", error
            typeid = result_types.get(methodname) if result_types else None
            if typeid is None:
                return "#RETURN", result
            rident, rexposed = self.create(conn, typeid, result)
            return "#PROXY", (rexposed, _std.Token(typeid, self.address, rident))
        except AttributeError:
            if methodname == _line.WISH:
                return _line.take(conn)
            if methodname not in self.fallback_mapping:
                return "#TRACEBACK", format_exc()
        except Exception:
            return "#TRACEBACK", format_exc()
        try:
            return "#RETURN", self.fallback_mapping[methodname](
                self, conn, ident, obj, *args, **kwds
            )
        except Exception:
            return "#TRACEBACK", format_exc()

    def _find(self, ident: str) -> Any:
        try:
            return self.id_to_obj[ident]
        except KeyError:
            # A proxy within the server may be all that is left of it.
            if ident not in self.id_to_local_proxy_obj:
                raise
            return self.id_to_local_proxy_obj[ident]


class SharedMemoryServer(Server, _std.SharedMemoryServer):  # type: ignore[misc]
    """A server that keeps blocks of shared memory, and removes them at its end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        Server.__init__(self, *args, **kwargs)
        address = os.fsdecode(self.address) if isinstance(self.address, bytes) else self.address
        self.shared_memory_context = _std._SharedMemoryTracker(f"shm_{address}_{os.getpid()}")

    def _abandon(self) -> None:
        self.shared_memory_context.unlink()
