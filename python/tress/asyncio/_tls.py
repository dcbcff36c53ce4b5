"""TLS: what happens to each piece of data is native, once the handshake is over.

The rest, from the handshake to the shutdown, is done by the standard library's protocol, which
works on the native state. It goes through the program's own `ssl.SSLContext`.
"""

from __future__ import annotations

from asyncio import sslproto
from asyncio.streams import StreamReaderProtocol

from tress import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Private parts of the standard library's.
_sslproto: Any = sslproto
_StandardProtocol: Any = _sslproto.SSLProtocol
_StandardTransport: Any = _sslproto._SSLProtocolTransport


class TlsTransport(_StandardTransport):  # type: ignore[misc]
    """A connection as a program sees it: the standard library's, whose name it has."""

    __module__ = _StandardTransport.__module__
    __qualname__ = _StandardTransport.__qualname__

    def close(self) -> None:
        """As the standard library's; a second time, it lets go of the protocol."""
        super().close()
        if self._ssl_protocol is None:
            self.__dict__.pop("write", None)


TlsTransport.__name__ = _StandardTransport.__name__


class TlsProtocol(_native.TlsProtocol, _StandardProtocol):  # type: ignore[misc]
    """What is between a connection and a program's protocol, as `asyncio.sslproto.SSLProtocol`."""

    __module__ = "tress.asyncio"

    # What the native methods leave to the standard library's.
    _standard_do_read = _StandardProtocol._do_read
    _standard_process_outgoing = _StandardProtocol._process_outgoing
    _standard_write_appdata = _StandardProtocol._write_appdata

    _room: memoryview | None = None

    def get_buffer(self, n: int) -> memoryview:
        """Give a transport of another kind room to read into. Ours needs none."""
        if self._room is None:
            self._room = memoryview(bytearray(self.max_size))
        return self._room

    @property
    def _ssl_buffer_view(self) -> memoryview:
        return self.get_buffer(-1)

    @_ssl_buffer_view.setter
    def _ssl_buffer_view(self, _: object) -> None:
        """Of the standard library's own buffer, which is not kept."""

    @property
    def _ssl_buffer(self) -> bytes:
        return b""

    @_ssl_buffer.setter
    def _ssl_buffer(self, _: object) -> None:
        """As that of the view."""

    def _get_app_transport(self) -> Any:
        is_made = self._app_transport is None
        transport = super()._get_app_transport()
        if is_made:
            transport.__class__ = TlsTransport
            transport.write = self._write  # native, without a frame of Python's
        return transport


def is_upgradable(transport: Any, context: object) -> bool:
    """Whether the standard library's `start_tls` has nothing to say against these."""
    ssl = _sslproto.ssl
    return (
        ssl is not None
        and isinstance(context, ssl.SSLContext)
        and getattr(transport, "_start_tls_compatible", False)
    )


def move_what_was_read(protocol: object, tls: TlsProtocol) -> None:
    """What a stream has read already is the beginning of the handshake."""
    reader: Any = getattr(protocol, "_stream_reader", None)
    if isinstance(protocol, StreamReaderProtocol) and reader is not None and reader._buffer:
        tls._incoming.write(reader._buffer)
        reader._buffer.clear()
