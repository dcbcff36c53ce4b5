"""Blocks of shared memory with names: the names of the standard `multiprocessing.shared_memory`.

The classes are subclasses of the standard ones. What is tress's is who removes a block: the process
that made it, or whoever is told to, and not one that has merely looked into it.
"""

from __future__ import annotations

import errno
import mmap
import multiprocessing.shared_memory as _std
import os
import sys
import types
from multiprocessing import resource_tracker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["ShareableList", "SharedMemory"]

_KIND = "shared_memory"
_any_std: Any = _std
_posixshmem: Any = _any_std._posixshmem
_tracker: Any = resource_tracker


class SharedMemory(_std.SharedMemory):
    """A block of shared memory, as `multiprocessing.shared_memory.SharedMemory`.

    `track` is whether the resource tracker of this process removes the block, if nobody else has,
    when this process and those that it has started have ended. By default it does for a block that
    is made here, and does not for one that is only opened: another process may go on using it.
    OSError when a block is made that is larger than what is free.
    """

    _tracked: bool | None = None

    def __init__(
        self,
        name: str | None = None,
        create: bool = False,
        size: int = 0,
        *,
        track: bool | None = None,
    ) -> None:
        tracked = create if track is None else bool(track)
        if sys.version_info >= (3, 13):
            super().__init__(name, create, size, track=tracked)
        elif tracked:
            super().__init__(name, create, size)
        elif create:
            self._make_untracked(name, size)
        else:
            self._open_untracked(name)
        self._tracked = None if track is None and not create else tracked
        if create:
            self._check_room()

    def _check_room(self) -> None:
        """OSError if there is less memory than was asked for: to write to the block would be a bus
        error, as memory is taken when it is first written to.
        """
        system = os.fstatvfs(self._fd)
        free = system.f_bavail * system.f_frsize
        if system.f_blocks and free < self.size:
            self.close()
            self.unlink()
            raise OSError(
                errno.ENOSPC, f"{self.size} bytes of shared memory are wanted, and {free} are free"
            )

    _fd: int

    if sys.version_info < (3, 13):
        _name: str | None
        _mmap: mmap.mmap | None
        _buf: memoryview | None
        _size: int

        def _make_untracked(self, name: str | None, size: int) -> None:
            """What the standard class does, for which the tracker need not know of it."""
            if not size >= 0:
                raise ValueError("'size' must be a positive integer")
            if size == 0:
                raise ValueError("'size' must be a positive number different from zero")
            flags = os.O_CREAT | os.O_EXCL | os.O_RDWR
            while True:
                full = _any_std._make_filename() if name is None else "/" + name
                try:
                    self._fd = _posixshmem.shm_open(full, flags, mode=0o600)
                except FileExistsError:
                    if name is not None:
                        raise
                    continue
                break
            self._name = full
            try:
                os.ftruncate(self._fd, size)
                self._map()
            except OSError:
                _posixshmem.shm_unlink(full)
                raise

        def _open_untracked(self, name: str | None) -> None:
            if name is None:
                raise ValueError("'name' can only be None if create=True")
            self._fd = _posixshmem.shm_open("/" + name, os.O_RDWR, mode=0o600)
            self._name = "/" + name
            self._map()

        def _map(self) -> None:
            self._size = os.fstat(self._fd).st_size
            self._mmap = mmap.mmap(self._fd, self._size)
            self._buf = memoryview(self._mmap)

    def unlink(self) -> None:
        """Removes the block: it is gone when the last process has closed it."""
        if self._tracked or not self._name:
            super().unlink()
            return
        full: str = self._name
        _posixshmem.shm_unlink(full)
        if self._tracked is None:
            # The process that made it may have the same tracker, which is to forget it; another
            # one would complain of a block that it does not know.
            _tracker.register(full, _KIND)
            _tracker.unregister(full, _KIND)


class ShareableList(_any_std.ShareableList):  # type: ignore[misc]
    """A list of numbers and short texts in shared memory, as
    `multiprocessing.shared_memory.ShareableList`.

    The block of one that is opened by its name is not removed by this process.
    """

    # The standard method, with the class above where it names SharedMemory.
    __init__ = types.FunctionType(
        _any_std.ShareableList.__init__.__code__,
        {**vars(_std), "SharedMemory": SharedMemory},
        "__init__",
        _any_std.ShareableList.__init__.__defaults__,
        _any_std.ShareableList.__init__.__closure__,
    )
    __init__.__kwdefaults__ = _any_std.ShareableList.__init__.__kwdefaults__


def __getattr__(name: str) -> object:
    value: object = getattr(_std, name)
    return value
