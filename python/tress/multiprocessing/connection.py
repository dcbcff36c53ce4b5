"""Connections: messages between processes. The names of the standard `multiprocessing.connection`.

What travels is the same, byte for byte, so either end may be the standard library's. A connection
is a subclass of the standard one, with native methods: a message is one system call to send and two
to receive, and a thread leaves the interpreter only where it has to wait.
"""

from __future__ import annotations

import multiprocessing.connection as _std
import os
import socket
from collections.abc import Callable, Iterable
from multiprocessing import reduction

from tress import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

__all__ = ["Client", "Listener", "Pipe", "wait"]

_Address: TypeAlias = "str | bytes | tuple[str, int]"

# What of the standard module the type checkers' stubs leave out.
_more: Any = _std


class Connection(_native.OnFd, _more.Connection):  # type: ignore[misc]
    """Messages through a file descriptor, as `multiprocessing.connection.Connection`.

    One thread at a time may send, and one receive. A timeout of `poll()` loses nothing. An
    exception of a signal handler loses nothing either, unless it comes in the middle of a message:
    then the other half is still to come, as in the standard library.
    """


_native.own_methods(Connection, _native.OnFd)


def _reduce_connection(connection: Connection) -> tuple[Callable[..., Connection], Any]:
    fd = reduction.DupFd(connection.fileno())
    return rebuild_connection, (fd, connection.readable, connection.writable)


def rebuild_connection(fd: Any, readable: bool, writable: bool) -> Connection:
    """Makes the connection that has travelled to this process."""
    return Connection(fd.detach(), readable, writable)


reduction.register(Connection, _reduce_connection)


def Pipe(duplex: bool = True) -> tuple[Connection, Connection]:
    """Returns two connections, each of which receives what the other sends.

    With `duplex` false the first one only receives, and the second only sends.
    """
    if duplex:
        one, other = socket.socketpair()
        # A default timeout of sockets would have made them such that nobody waits.
        one.setblocking(True)
        other.setblocking(True)
        return Connection(one.detach()), Connection(other.detach())
    reader, writer = os.pipe()
    return Connection(reader, writable=False), Connection(writer, readable=False)


class SocketListener(_more.SocketListener):  # type: ignore[misc]
    """A socket that connections come to."""

    def accept(self) -> Connection:
        """Waits for a connection, and returns it."""
        accepted, self._last_accepted = self._socket.accept()
        accepted.setblocking(True)
        return Connection(accepted.detach())


def _proved(connection: Connection, authkey: bytes, asks_first: bool) -> Connection:
    """The connection, when both sides have proved that they have the key; else it is closed."""
    try:
        if not isinstance(authkey, bytes):
            raise TypeError("authkey should be a byte string")
        if asks_first:
            _std.deliver_challenge(connection, authkey)
        _std.answer_challenge(connection, authkey)
        if not asks_first:
            _std.deliver_challenge(connection, authkey)
    except BaseException:
        connection.close()
        raise
    return connection


class Listener(_std.Listener):
    """A bound socket that waits for connections, as `multiprocessing.connection.Listener`.

    With an `authkey` both sides prove that they have it before anything else is read, so that
    nothing is unpickled that comes from anybody else.
    """

    _listener: Any
    _authkey: bytes | None

    def __init__(
        self,
        address: _Address | None = None,
        family: str | None = None,
        backlog: int = 1,
        authkey: bytes | None = None,
    ) -> None:
        super().__init__(address, family, backlog, authkey)
        # The standard class decides where it listens, and which file goes with it; what is
        # accepted is tress's.
        self._listener.__class__ = SocketListener

    def accept(self) -> Connection:
        """Waits for a connection, and returns it.

        AuthenticationError for one that does not have the key; it is closed.
        """
        if self._listener is None:
            raise OSError("listener is closed")
        accepted: Connection = self._listener.accept()
        return accepted if self._authkey is None else _proved(accepted, self._authkey, True)


def SocketClient(address: Any) -> Connection:
    """Returns a connection to a listener's socket, with nothing proved yet."""
    with socket.socket(getattr(socket, _more.address_type(address))) as connecting:
        connecting.setblocking(True)
        connecting.connect(address)
        return Connection(connecting.detach())


def Client(
    address: _Address, family: str | None = None, authkey: bytes | None = None
) -> Connection:
    """Returns a connection to the `Listener` at `address`.

    With an `authkey` both sides prove that they have it: AuthenticationError if the other does not.
    """
    _more._validate_family(family or _more.address_type(address))
    connection = SocketClient(address)
    return connection if authkey is None else _proved(connection, authkey, False)


def _fd_of(waitable: Any) -> int:
    if isinstance(waitable, int):
        fd = waitable
    else:
        try:
            fd = int(waitable.fileno())
        except (AttributeError, TypeError, ValueError):
            raise ValueError(f"Invalid file object: {waitable!r}") from None
    if fd < 0:
        raise ValueError(f"Invalid file descriptor: {fd}")
    return fd


def wait(object_list: Iterable[Any], timeout: float | None = None) -> list[Any]:
    """Waits until one of the connections, sockets, sentinels or file descriptors is ready to be
    read, and returns all that are.

    An empty list when `timeout` seconds passed first. One whose other end is closed is ready.
    """
    objects: dict[int, Any] = {}
    for waitable in object_list:
        fd = _fd_of(waitable)
        if fd in objects:
            raise KeyError(f"{waitable!r} (FD {fd}) is already registered")
        objects[fd] = waitable
    fds = list(objects)
    return [objects[fds[place]] for place in _native.wait_readable(fds, timeout)]


def __getattr__(name: str) -> object:
    value: object = getattr(_std, name)
    return value
