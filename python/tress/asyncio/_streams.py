"""Streams: reading and writing are native.

Connecting, listening, and what a protocol does at the beginning and at the end of a connection are
functions of the standard library, which see the classes here by the names that they know.
"""

from __future__ import annotations

from asyncio import streams as _std

from tress import _native
from tress._keep_standard import Names, copy_of
from tress.asyncio import _standard
from tress.asyncio._coroutine_function import coroutine_function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

# Installed, the names mean the classes below.
_StandardReader: Any = _standard.StreamReader
_StandardProtocol: Any = _standard.StreamReaderProtocol
_StandardWriter: Any = _standard.StreamWriter


class StreamReader(_native.StreamReader, _StandardReader):  # type: ignore[misc]
    """What a connection receives, as `asyncio.StreamReader`.

    At most one coroutine waits for more; RuntimeError tells the second. A wait that is cancelled
    has taken nothing, but for `read` up to the end. The transport is stopped when twice `limit`
    bytes are there, and goes on when they are `limit` at most.
    """

    __module__ = "tress.asyncio"

    @coroutine_function
    def read(self, n: int = -1) -> Coroutine[Any, Any, bytes]:
        """Reads at most `n` bytes, and at least one unless the stream has ended.

        With a negative `n` it reads up to the end.
        """
        return self._begin_to_read(n)

    @coroutine_function
    def readexactly(self, n: int) -> Coroutine[Any, Any, bytes]:
        """Reads `n` bytes.

        IncompleteReadError, with what there was, when the stream ends before; ValueError for a
        negative number.
        """
        return self._begin_to_read_exactly(n)

    @coroutine_function
    def readline(self) -> Coroutine[Any, Any, bytes]:
        r"""Reads up to a newline (`b"\n"`) and with it, or what there is before the end.

        ValueError when the line is longer than the limit; it is dropped, or as much of it as there
        is.
        """
        return self._begin_to_read_line()

    @coroutine_function
    def readuntil(self, separator: Any = b"\n") -> Coroutine[Any, Any, bytes]:
        """Reads up to a separator and with it; from Python 3.13 on, to the first of several.

        IncompleteReadError, with what there was, when the stream ends before; LimitOverrunError
        when there is none within the limit: everything stays where it is. ValueError for an empty
        separator.
        """
        return self._begin_to_read_until(separator)


class StreamReaderProtocol(_native.StreamReaderProtocol, _StandardProtocol):  # type: ignore[misc]
    """The protocol of a stream, as `asyncio.StreamReaderProtocol`."""

    __module__ = "tress.asyncio"


class StreamWriter(_native.StreamWriter, _StandardWriter):  # type: ignore[misc]
    """The writing side of a connection, as `asyncio.StreamWriter`."""

    __module__ = "tress.asyncio"

    @coroutine_function
    def drain(self) -> Coroutine[Any, Any, None]:
        """Waits until there is room to write; at once if there is.

        ConnectionResetError after the end of the connection, or what has ended it.
        """
        return self._begin_to_drain()


_SEEN = Names(
    _std,
    {
        "StreamReader": StreamReader,
        "StreamReaderProtocol": StreamReaderProtocol,
        "StreamWriter": StreamWriter,
    },
)


def _on_these(function: Any) -> Any:
    copy = copy_of(function, _SEEN)
    copy.__module__ = "tress.asyncio"
    return copy


StreamReaderProtocol.connection_made = _on_these(_StandardProtocol.connection_made)
open_connection = _on_these(_std.open_connection)
open_unix_connection = _on_these(_std.open_unix_connection)
start_server = _on_these(_std.start_server)
start_unix_server = _on_these(_std.start_unix_server)

_native.own_methods(StreamReader, _native.StreamReader)
_native.own_methods(StreamReaderProtocol, _native.StreamReaderProtocol)
_native.own_methods(StreamWriter, _native.StreamWriter)
