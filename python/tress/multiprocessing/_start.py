"""What the start methods have in common that start a process by telling it what to do."""

from __future__ import annotations

import io
import os
from multiprocessing import reduction, resource_tracker, spawn, util
from multiprocessing.context import set_spawning_popen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess
    from typing import Any


def pickled(popen: Any, process_obj: BaseProcess) -> bytes:
    """What a new process reads: how to prepare itself, and the process object.

    File descriptors that are pickled on the way are added to those that `popen` passes on.
    """
    buffer = io.BytesIO()
    preparation = spawn.get_preparation_data(process_obj.name)
    set_spawning_popen(popen)
    try:
        reduction.dump(preparation, buffer)
        reduction.dump(process_obj, buffer)
    finally:
        set_spawning_popen(None)
    return buffer.getvalue()


def start_interpreter(arguments: list[str], fds: list[int]) -> int:
    """Start the executable of new processes, which inherits `fds`; returns its process id."""
    executable = os.fsencode(spawn.get_executable())
    return util.spawnv_passfds(executable, [os.fsencode(each) for each in arguments], fds)


def tracker_fd() -> int:
    """The pipe to the resource tracker, which runs from now on."""
    fd = resource_tracker.getfd()
    assert fd is not None
    return fd


def new_pipe(opened: list[int]) -> tuple[int, int]:
    """A pipe, whose ends are added to `opened`."""
    pair = os.pipe()
    opened += pair
    return pair


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data`, or as much of it as the process at the other end lives to read."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(fd, rest) :]
    except BrokenPipeError:
        pass  # how it ended is told by its exit code
