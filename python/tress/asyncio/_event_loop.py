"""The event loop: turns, calls, timers and the watching of descriptors are native.

The rest is the standard library's loop, from which it inherits: whatever is made of those.
"""

from __future__ import annotations

import functools
import inspect
import logging
import selectors
import signal
import socket as sockets
import sys
import threading
from asyncio import (
    base_events,
    coroutines,
    events,
    format_helpers,
    futures,
    tasks,
    unix_events,
)
from contextvars import copy_context
from selectors import EVENT_READ, EVENT_WRITE

from tress import _native
from tress.asyncio import _loops
from tress.asyncio._coroutine_function import coroutine_function
from tress.asyncio._socket_transport import SocketTransport
from tress.asyncio._tls import TlsProtocol, is_upgradable, move_what_was_read
from tress.concurrent.futures.thread import ThreadPoolExecutor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor
    from contextvars import Context
    from socket import socket
    from typing import Any

    from _typeshed import FileDescriptorLike

_logger = logging.getLogger("asyncio")
# Of the frames at the end of where a handle was made, those that nobody wants to see.
_OWN_FILES = frozenset({__file__, events.__file__})
_HAS_SETUP = sys.version_info >= (3, 13)
_HAS_CONTEXT = sys.version_info >= (3, 15)

# Private parts of the standard library's loop, which is a base of ours.
_events: Any = events
_coroutines: Any = coroutines
_tasks: Any = tasks
_base_events: Any = base_events
_format_callback: Any = format_helpers._format_callback_source
_StandardLoop: Any = unix_events._UnixSelectorEventLoop
_Socket = sockets.socket
# What `create_connection` may be told that changes nothing.
_CONNECTION_DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(_StandardLoop.create_connection).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY
}


class _Selector(selectors.BaseSelector):
    """What the loop watches, as its `_selector`: to look at, and to wait with."""

    def __init__(self, loop: EventLoop) -> None:
        self._loop = loop

    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> Any:
        raise NotImplementedError("use the loop's add_reader and add_writer")

    def unregister(self, fileobj: FileDescriptorLike) -> Any:
        raise NotImplementedError("use the loop's remove_reader and remove_writer")

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Make a turn of the loop, of at most `timeout` seconds without anything to do.

        For whoever puts a `_run_once` of its own into the loop, which may be within a task: what
        is ready has then been called already.
        """
        end = None if timeout is None else self._loop.call_later(timeout, int)
        current = _tasks._current_tasks.pop(self._loop, None)
        try:
            self._loop._native_turn()
        finally:
            if current is not None:
                _tasks._current_tasks[self._loop] = current
            if end is not None:
                end.cancel()
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        keys = {}
        for fd, (reader, writer) in self._loop._watched().items():
            mask = EVENT_READ * (reader is not None) | EVENT_WRITE * (writer is not None)
            keys[fd] = selectors.SelectorKey(fd, fd, mask, (reader, writer))
        return keys

    def fileno(self) -> int:
        """The descriptor that is ready when one of the watched is."""
        return self._loop._poller_fileno()

    def close(self) -> None:
        self._loop._drop_all()


class EventLoop(_native.EventLoop, _StandardLoop):  # type: ignore[misc]
    """An event loop, as `asyncio.SelectorEventLoop`: a `loop_factory`.

    For a selector of the caller's own, a loop of the standard library's is made.
    """

    __module__ = "tress.asyncio"

    if TYPE_CHECKING:
        _thread_id: int | None
        _default_executor: Executor | None

    def __new__(cls, selector: selectors.BaseSelector | None = None) -> Any:
        if selector is not None:
            return _StandardLoop(selector)
        return super().__new__(cls)

    def __init__(self, selector: None = None) -> None:
        self._wakeup: _Wakeup | None = None
        self._find_clock()
        super().__init__(_Selector(self))
        _loops.add(self)

    _native_turn = _native.EventLoop._run_once

    _create_task_standard = _StandardLoop.create_task

    def run_forever(self) -> None:
        """Run until `stop` is called."""
        self._run_forever_setup()
        self._find_clock()
        try:
            with _Wakeup(self):
                if self._run_once == _native.EventLoop._run_once.__get__(self):
                    self._run_turns()
                else:  # somebody has put another in its place
                    while True:
                        self._run_once()
                        if self._stopping:
                            break
        finally:
            self._run_forever_cleanup()

    if not _HAS_SETUP:

        def _run_forever_setup(self) -> None:
            self._check_closed()
            self._check_running()
            self._set_coroutine_origin_tracking(self._debug)
            self._old_agen_hooks = sys.get_asyncgen_hooks()
            self._thread_id = threading.get_ident()
            sys.set_asyncgen_hooks(
                firstiter=self._asyncgen_firstiter_hook, finalizer=self._asyncgen_finalizer_hook
            )
            _events._set_running_loop(self)

        def _run_forever_cleanup(self) -> None:
            self._stopping = False
            self._thread_id = None
            _events._set_running_loop(None)
            self._set_coroutine_origin_tracking(False)
            sys.set_asyncgen_hooks(*self._old_agen_hooks)

    def _make_socket_transport(
        self,
        sock: socket,
        protocol: Any,
        waiter: Any = None,
        *,
        extra: Any = None,
        server: Any = None,
        **options: Any,  # a context: the standard library's have one from Python 3.15 on
    ) -> Any:
        if self._debug:
            # The standard library's tells more.
            options = options if _HAS_CONTEXT else {}
            return super()._make_socket_transport(
                sock, protocol, waiter, extra=extra, server=server, **options
            )
        if sock.fileno() in self._transports.data:
            self._ensure_fd_no_transport(sock)
        return SocketTransport(self, sock, protocol, waiter, extra, server, **options)

    def _make_ssl_transport(
        self,
        rawsock: socket,
        protocol: Any,
        sslcontext: Any,
        waiter: Any = None,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        extra: Any = None,
        server: Any = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        **options: Any,  # a context, from Python 3.15 on
    ) -> Any:
        timeouts = {
            "ssl_handshake_timeout": ssl_handshake_timeout,
            "ssl_shutdown_timeout": ssl_shutdown_timeout,
        }
        sides = {"server_side": server_side, "server_hostname": server_hostname}
        if self._debug:
            about = {"extra": extra, "server": server}
            return super()._make_ssl_transport(
                rawsock, protocol, sslcontext, waiter, **about, **sides, **timeouts, **options
            )
        self._ensure_fd_no_transport(rawsock)
        tls = TlsProtocol(self, protocol, sslcontext, waiter, **sides, **timeouts)
        SocketTransport(self, rawsock, tls, None, extra, server, **options)
        return tls._app_transport

    async def start_tls(
        self,
        transport: Any,
        protocol: Any,
        sslcontext: Any,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> Any:
        """Encrypt a connection from now on, and return the transport that stands for it then."""
        options = {
            "server_side": server_side,
            "server_hostname": server_hostname,
            "ssl_handshake_timeout": ssl_handshake_timeout,
            "ssl_shutdown_timeout": ssl_shutdown_timeout,
        }
        if self._debug or not is_upgradable(transport, sslcontext):
            return await super().start_tls(transport, protocol, sslcontext, **options)
        waiter = self.create_future()
        tls = TlsProtocol(self, protocol, sslcontext, waiter, call_connection_made=False, **options)
        transport.pause_reading()  # until the protocol knows of its connection
        if server_side:
            move_what_was_read(protocol, tls)
        transport.set_protocol(tls)
        begins = self.call_soon(tls.connection_made, transport)
        reads = self.call_soon(transport.resume_reading)
        try:
            await waiter
        except BaseException:
            transport.close()
            begins.cancel()
            reads.cancel()
            raise
        finally:
            del waiter  # its exception has this frame
        return tls._app_transport

    @coroutine_function
    @functools.wraps(_StandardLoop.create_connection)
    def create_connection(
        self,
        protocol_factory: Callable[[], Any],
        host: Any = None,
        port: Any = None,
        **options: Any,
    ) -> Any:
        if (
            type(self) is EventLoop
            and not self._debug
            and sockets.socket is _Socket
            and options.items() <= _CONNECTION_DEFAULTS.items()
        ):
            found = _native.literal_address(host, port)
            if found is not None:
                return self._connect(protocol_factory, *found)
        return super().create_connection(protocol_factory, host, port, **options)

    async def _connect(
        self, protocol_factory: Callable[[], Any], family: int, address: tuple[Any, ...]
    ) -> tuple[Any, Any]:
        """Connect to an address that need not be looked up, without TLS."""
        kind = sockets.SOCK_STREAM | sockets.SOCK_NONBLOCK
        sock = _Socket(family, kind, sockets.IPPROTO_TCP)
        try:
            await self.sock_connect(sock, address)
            protocol = protocol_factory()
            waiter = self.create_future()
            transport = self._make_socket_transport(sock, protocol, waiter)
        except BaseException:
            sock.close()
            raise
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        finally:
            del waiter  # its exception has this frame
        return transport, protocol

    def _accept_connection(
        self,
        protocol_factory: Callable[[], Any],
        sock: socket,
        sslcontext: Any = None,
        server: Any = None,
        backlog: int = 100,
        ssl_handshake_timeout: Any = None,
        ssl_shutdown_timeout: Any = None,
        context: Context | None = None,
    ) -> None:
        """As the standard library's, but without a task where there is no handshake."""
        if sslcontext is None and not self._debug:
            for _ in range(backlog + 1):
                try:
                    accepted = _native.accept(sock)
                except ConnectionAbortedError:
                    continue
                except OSError:
                    break  # the standard library's meets the same, and knows what to do
                if accepted is None:
                    return
                own = copy_context() if context is None else context.copy()
                own.run(self._accepted, protocol_factory, *accepted, server, own)
            else:
                return
        super()._accept_connection(
            *(protocol_factory, sock, sslcontext, server, backlog),
            *(ssl_handshake_timeout, ssl_shutdown_timeout),
            *((context,) if _HAS_CONTEXT else ()),
        )

    def _accepted(
        self,
        protocol_factory: Callable[[], Any],
        connection: socket,
        address: Any,
        server: Any,
        context: Context,
    ) -> None:
        try:
            self._make_socket_transport(
                connection,
                protocol_factory(),
                extra={"peername": address},
                server=server,
                context=context,
            )
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException:
            connection.close()  # without a word, but in debug mode

    def run_in_executor(
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> Any:
        """As the standard library's; without an executor, in a pool of tress's threads."""
        if executor is None and self._default_executor is None and not self._closed:
            self._default_executor = ThreadPoolExecutor(thread_name_prefix="asyncio")
        if self._debug or type(self) is not EventLoop:
            return super().run_in_executor(executor, func, *args)
        self._check_closed()
        chosen: Any = executor
        if chosen is None:
            self._check_default_executor()
            chosen = self._default_executor
        source = chosen.submit(func, *args)
        return self._follow(source) or futures.wrap_future(source, loop=self)

    @coroutine_function
    def sock_recv(self, sock: socket, n: int) -> Any:
        """Receive at most `n` bytes, and at least one unless the other side has ended.

        A cancelled call has taken nothing.
        """
        return self._sock_call("recv", sock, n) or super().sock_recv(sock, n)

    @coroutine_function
    def sock_recv_into(self, sock: socket, buf: Any) -> Any:
        """Receive into a buffer, and return how many bytes; a cancelled call has taken nothing."""
        return self._sock_call("recv_into", sock, buf) or super().sock_recv_into(sock, buf)

    @coroutine_function
    def sock_recvfrom(self, sock: socket, bufsize: int) -> Any:
        """Receive a datagram, and return it with where it is from."""
        made = self._sock_call("recvfrom", sock, bufsize)
        return made or super().sock_recvfrom(sock, bufsize)

    @coroutine_function
    def sock_recvfrom_into(self, sock: socket, buf: Any, nbytes: int = 0) -> Any:
        """Receive a datagram into a buffer, and return its size and where it is from."""
        made = self._sock_call("recvfrom_into", sock, buf, nbytes)
        return made or super().sock_recvfrom_into(sock, buf, nbytes)

    @coroutine_function
    def sock_sendall(self, sock: socket, data: Any) -> Any:
        """Send all of `data`. Of a cancelled call nobody knows how much has been sent."""
        return self._sock_call("sendall", sock, data) or super().sock_sendall(sock, data)

    @coroutine_function
    def sock_sendto(self, sock: socket, data: Any, address: Any) -> Any:
        """Send a datagram, and return its size."""
        made = self._sock_call("sendto", sock, data, address)
        return made or super().sock_sendto(sock, data, address)

    @coroutine_function
    def sock_accept(self, sock: socket) -> Any:
        """Accept a connection: a socket that does not block, and its address."""
        return self._sock_call("accept", sock) or super().sock_accept(sock)

    @coroutine_function
    def sock_connect(self, sock: socket, address: Any) -> Any:
        """Connect a socket. That goes on in the background where a call is cancelled."""
        return self._sock_call("connect", sock, address) or super().sock_connect(sock, address)

    def remove_signal_handler(self, sig: int) -> bool:
        """As the standard library's."""
        removed: bool = super().remove_signal_handler(sig)
        if self._wakeup is not None:
            self._wakeup.begin()  # the standard library has ended it, with the last handler
        return removed

    def _find_clock(self) -> None:
        """A program may have another `time`, in a subclass or set on the class."""
        is_own = "time" in vars(self) or type(self).time is not _native.EventLoop.time
        self._know_clock(is_own)

    def _handle_in_debug_mode(
        self,
        method: str,
        when: float | None,
        callback: Callable[..., object],
        arguments: tuple[Any, ...],
        context: Context | None,
    ) -> events.Handle:
        """A handle of the standard library's, which knows where it was made."""
        if method != "call_soon_threadsafe":
            self._check_thread()
        self._check_callback(callback, "call_at" if when is not None else method)
        handle: Any
        if when is not None:
            handle = events.TimerHandle(when, callback, arguments, self, context)
            handle._scheduled = True
        else:
            kind = events.Handle
            if method == "call_soon_threadsafe":
                kind = getattr(events, "_ThreadSafeHandle", kind)
            handle = kind(callback, arguments, self, context)
            self._add_callback(handle)
        traceback = handle._source_traceback
        while traceback and traceback[-1].filename in _OWN_FILES:
            del traceback[-1]
        made: events.Handle = handle
        return made

    def _run_handle(self, handle: Any) -> None:
        """Call what a handle of the standard library's is for."""
        if handle._cancelled:
            return
        callback = handle._callback  # it may cancel its handle
        try:
            self._current_handle = handle
            began = self.time()
            handle._run()
            took = self.time() - began
            if self._debug and took >= self.slow_callback_duration:
                _logger.warning(
                    "Executing %s took %.3f seconds", _base_events._format_handle(handle), took
                )
        finally:
            self._current_handle = None
            self._note_called(callback)
            # The frame may be kept, by the traceback of a task that the handle is of.
            del handle, callback

    def _report_failed_call(self, handle: Any, error: BaseException) -> None:
        """Tell the exception handler of what a call has raised."""
        debug = {"debug": self._debug} if sys.version_info >= (3, 14) else {}
        called = _format_callback(handle._callback, handle._args, **debug)
        self.call_exception_handler(
            {"message": f"Exception in callback {called}", "exception": error, "handle": handle}
        )


class _Wakeup:
    """Has signals wake a running loop: a signal in the moment before it sleeps must not be lost.

    Where the program has a descriptor of its own for that, that stays.
    """

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._is_ours = False

    def begin(self) -> None:
        """Unless another descriptor is there, have signals written into the loop's."""
        if threading.current_thread() is not threading.main_thread():
            return
        own = self._loop._csock.fileno()
        try:
            before = signal.set_wakeup_fd(own, warn_on_full_buffer=False)
        except ValueError:  # the main thread of another interpreter
            return
        self._is_ours = before in (-1, own)
        if not self._is_ours:
            signal.set_wakeup_fd(before)

    def __enter__(self) -> None:
        self._loop._wakeup = self
        self.begin()

    def __exit__(self, *_: object) -> None:
        self._loop._wakeup = None
        # With handlers it stays, as the standard library has it.
        if self._is_ours and not self._loop._signal_handlers:
            signal.set_wakeup_fd(-1)
