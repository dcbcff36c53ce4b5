"""Shared memory for the calls of a manager's client, beside the connection that they go through.

It is the client that offers it, once a thread of the server serves the connection: a wish for a
method that no object has, so that a server of plain Python answers with an error and stays as it
was. If the server would, the memory's descriptor follows, and its answer to that is the last one
that goes through the socket. What is long goes on going there; and the socket is what tells each
side that the other has ended.
"""

from __future__ import annotations

import os
import pickle
import socket

from tress.multiprocessing.connection import Connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WISH = "#LINE"

_NOBODY = "0"
"""What every server has, and no client: an object without methods."""

_YES = ("#RETURN", True)
_NO = ("#RETURN", False)


def _socket_of(link: Any) -> socket.socket | None:
    """The socket that a connection is made of, if descriptors can go through it."""
    if not isinstance(link, Connection):
        return None
    try:
        through = socket.socket(fileno=os.dup(link.fileno()))
    except OSError:
        # No descriptor left.
        return None
    if through.family == socket.AF_UNIX:
        return through
    through.close()
    return None


def offer(link: Any) -> None:
    """For a client: makes the calls go through shared memory, where that can be.

    OSError when the connection breaks meanwhile, or memory runs out at the last moment.
    """
    through = _socket_of(link)
    if through is None:
        return
    with through:
        try:
            fd = Connection._new_line()
        except OSError:
            # No memory, or no descriptor: then without.
            return
        try:
            link.send((_NOBODY, WISH, (), {}))
            if link.recv() != _YES:
                return
            socket.send_fds(through, [b"L"], [fd])
            if link.recv() != _YES:
                return
            laid, fd = fd, -1
            link._lay(laid, True)
        finally:
            if fd != -1:
                os.close(fd)


def take(link: Any) -> tuple[str, Any] | None:
    """For a server: what to say to the wish; None when all has been said."""
    through = _socket_of(link)
    if through is None:
        return _NO
    with through:
        link.send(_YES)
        _, fds, _, _ = socket.recv_fds(through, 1, 1, socket.MSG_CMSG_CLOEXEC)
    try:
        for fd in fds:
            link._lay(fd, False)
    except (OSError, ValueError):
        return _NO
    if not fds:
        return _NO
    link.send_bytes(pickle.dumps(_YES))
    return None
