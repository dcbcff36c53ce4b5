"""The transport of a connection: reading and writing are native.

The rest, from closing to what happens at the end of the stream, is done by the methods of the
standard library's transport, which work on the native state. It cannot be a base: the classes of
`asyncio.transports` have slots, and so a layout of their own. So its methods are taken over one by
one, and `__class__` tells what it stands for.
"""

from __future__ import annotations

import sys
from asyncio import futures, selector_events
from types import FunctionType, MemberDescriptorType

from tress import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextvars import Context
    from socket import socket
    from typing import Any

_set_result_unless_cancelled: Any = futures._set_result_unless_cancelled  # type: ignore[attr-defined]
# Before, a server only counts its connections.
_SERVER_KNOWS_TRANSPORTS = sys.version_info >= (3, 13)
_StandardTransport: Any = selector_events._SelectorSocketTransport  # type: ignore[attr-defined]


class _Buffer:
    """What is still to be written, as far as the standard library's transport looks at it."""

    __slots__ = ("_transport",)

    def __init__(self, transport: SocketTransport) -> None:
        self._transport = transport

    def __len__(self) -> int:
        return self._transport._buffer_len()

    def clear(self) -> None:
        self._transport._clear_buffer()


class _Ignored:
    """An attribute that may be set, and is None."""

    def __get__(self, transport: object, _: type | None = None) -> None:
        return None

    def __set__(self, transport: object, _: object) -> None:
        """Nobody looks at it."""


class SocketTransport(_native.SocketTransport):
    """A connection, as `asyncio.Transport`."""

    __module__ = "tress.asyncio"

    def __init__(
        self,
        loop: Any,
        sock: socket,
        protocol: Any,
        waiter: Any = None,
        extra: dict[str, Any] | None = None,
        server: Any = None,
        context: Context | None = None,
    ) -> None:
        self._loop = loop
        self._context = context
        self._open(sock, extra, server)
        self.set_protocol(protocol)
        if server is not None:
            server._attach(*((self,) if _SERVER_KNOWS_TRANSPORTS else ()))
        loop._transports[self._sock_fd] = self
        # The protocol is told before anything is read, and before whoever waits for it goes on.
        loop.call_soon(protocol.connection_made, self, context=context)
        loop.call_soon(self._begin_reading, context=context)
        if waiter is not None:
            loop.call_soon(_set_result_unless_cancelled, waiter, None, context=context)

    @property
    def __class__(self) -> Any:
        return _StandardTransport

    @__class__.setter
    def __class__(self, _: object) -> None:
        raise TypeError("the class of a transport cannot be changed")

    @property
    def _buffer(self) -> _Buffer:
        self._write_gathered()
        return _Buffer(self)

    # What the standard library's functions set, and only those read which are not taken over.
    _write_ready = _Ignored()
    _read_ready_cb = _Ignored()

    # What was only gathered has failed, or is sent, before the state of the connection changes.

    def close(self) -> None:
        """Close the connection, once all that was written is sent."""
        self._write_gathered()
        _StandardTransport.close(self)

    def write_eof(self) -> None:
        """Write no more; the end is sent after what was written."""
        self._write_gathered()
        _StandardTransport.write_eof(self)

    def _force_close(self, exc: BaseException | None) -> None:
        self._write_gathered()
        _StandardTransport._force_close(self, exc)


def _take_over(names: set[str]) -> None:
    for kind in _StandardTransport.__mro__[:-1]:
        for name, value in vars(kind).items():
            is_slot = isinstance(value, MemberDescriptorType)
            is_wanted = isinstance(value, FunctionType) or not (is_slot or name.startswith("__"))
            if is_wanted and name not in names:
                names.add(name)
                setattr(SocketTransport, name, value)


_native.own_methods(SocketTransport, _native.SocketTransport)
_take_over({*vars(SocketTransport), *vars(_native.SocketTransport)})
