"""The ring of a queue, and its two ends: what stands where the standard queues have a pipe."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from multiprocessing import context, process, reduction

from tress import _native
from tress.multiprocessing import _sharing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_reduction: Any = reduction


def _rebuild(slot: _sharing.Description, fd: Any, capacity: int, bell: Any) -> Ring:
    memory, doorbell = fd.detach(), bell.detach()
    try:
        native = _native.SharedRing.open(_sharing.find(slot), memory, capacity, doorbell)
    finally:
        os.close(memory)
        os.close(doorbell)
    return Ring(native)


class Ring:
    """Shared memory for a queue's items. It goes to a process that is being started."""

    def __init__(self, native: _native.SharedRing) -> None:
        self.native = native

    def __reduce__(self) -> tuple[Callable[..., Ring], tuple[Any, ...]]:
        context.assert_spawning(self)
        native = self.native
        memory, bell = _reduction.DupFd(native.fd), _reduction.DupFd(native.bell)
        return _rebuild, (_sharing.describe(native.slot), memory, native.capacity, bell)


def load(item: Any) -> Any:
    """The object of an item that a ring has given out."""
    return item[0] if type(item) is tuple else pickle.loads(item)


class _End:
    """What both ends have in common with a connection."""

    readable = False
    writable = False

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self.closed = False

    def _open(self) -> _native.SharedRing:
        if self.closed:
            raise OSError("handle is closed")
        return self.ring.native

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes this process's end. The memory goes with the last process that has the queue."""
        self.closed = True


class Reader(_End):
    """The end that items are taken out of: what `_reader` of a queue is.

    `multiprocessing.connection.wait()` takes it. Its file descriptor costs every put into an empty
    queue a system call from the first `fileno()` on.
    """

    readable = True

    def __reduce__(self) -> tuple[type[Reader], tuple[Ring]]:
        return Reader, (self.ring,)

    def fileno(self) -> int:
        """A file descriptor that is ready to be read as long as there is an item."""
        return self._open().watch()

    def poll(self, timeout: float | None = 0.0) -> bool:
        """Whether there is an item, or comes within `timeout` seconds; None waits for one."""
        native = self._open()
        return not native.is_empty() if timeout == 0.0 else native.poll(timeout)

    def recv(self) -> Any:
        """Waits for an item, and returns it."""
        return load(self._open().get())

    def recv_bytes(self, maxlength: int | None = None) -> bytes:
        """Waits for an item, and returns its pickle.

        OSError if that is longer than `maxlength`; the item is gone then.
        """
        item = self._open().get()
        pickled: bytes = pickle.dumps(item[0]) if type(item) is tuple else item
        if maxlength is not None and len(pickled) > maxlength:
            raise OSError("bad message length")
        return pickled


class Writer(_End):
    """The end that items are put into: what `_writer` of a queue is."""

    writable = True

    def __reduce__(self) -> tuple[type[Writer], tuple[Ring]]:
        return Writer, (self.ring,)

    def fileno(self) -> int:
        """The file descriptor of the queue's memory, on which there is nothing to wait for."""
        return self._open().fd

    def send(self, obj: Any) -> None:
        """Puts an object in, waiting until there is room."""
        self._put(self._open().try_put(obj))

    def send_bytes(self, buf: Any, offset: int = 0, size: int | None = None) -> None:
        """Puts the object in whose pickle is in `buf`, waiting until there is room."""
        view = memoryview(buf).cast("B")[offset:]
        self._put((0, bytes(view if size is None else view[:size])))

    def _put(self, left: tuple[int, Any] | None) -> None:
        if left is not None and not self.ring.native.put(left):
            raise BrokenPipeError("the queue is closed")

    def close(self) -> None:
        """Closes this process's end. What waits for an item in a process that puts none itself
        ends when its parent has ended: EOFError.
        """
        super().close()
        parent: Any = process.parent_process()
        if parent is not None:
            self.ring.native.end_with_parent(parent._sentinel or -1)
