"""Large data is copied once, into shared memory, and read where it lies; the memory returns."""

from __future__ import annotations

import gc
import os
import time
import tracemalloc
from typing import Any

import pytest

import tress.multiprocessing as mp
from tests.processes.jobs import BOUND_S
from tress.concurrent.futures import ProcessPoolExecutor

pytestmark = [
    pytest.mark.bound(120),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

SIZE = 32 << 20
LITTLE = SIZE // 32
"""What a call may allocate beside the data."""


class Buffer:
    """Bytes that pickle's protocol 5 hands out as they are, as NumPy's arrays do."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> tuple[type[Buffer], tuple[Any]]:
        from pickle import PickleBuffer

        return Buffer, (PickleBuffer(self.data),)


def mapping_of(data: Any) -> str:
    """The file behind the memory in which a buffer lies."""
    import ctypes

    view = memoryview(data)
    if view.readonly:
        # ctypes wants one that can be written to; the address is in the buffer all the same.
        held = ctypes.py_object(view.obj)
        address = ctypes.c_void_p()
        length = ctypes.c_ssize_t()
        ctypes.pythonapi.PyObject_AsReadBuffer(held, ctypes.byref(address), ctypes.byref(length))
        where = address.value or 0
    else:
        where = ctypes.addressof(ctypes.c_char.from_buffer(view))
    with open("/proc/self/maps") as maps:
        for line in maps:
            first, last = (int(number, 16) for number in line.split()[0].split("-"))
            if first <= where < last:
                return line.split(maxsplit=5)[-1].strip()
    return "nowhere"


def trace() -> None:
    tracemalloc.start()


def look(buffer: Buffer) -> tuple[str, int, int]:
    """Where the argument lies, what has been allocated since `trace`, and a sum of its bytes."""
    return mapping_of(buffer.data), tracemalloc.get_traced_memory()[1], sum(buffer.data[::4096])


def make(size: int) -> Buffer:
    return Buffer(bytearray(b"\x01") * size)


def lent(executor: ProcessPoolExecutor) -> int:
    return int(executor.statistics()["lent_bytes"])


def in_use() -> int:
    """The bytes of tress's shared memory that take up memory, other tests' among them."""
    gc.collect()
    total = 0
    for fd in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{fd}").startswith("/memfd:tress"):
                total += os.fstat(int(fd)).st_blocks * 512
        except OSError:
            pass  # the one of the listing
    return total


def test_an_argument() -> None:
    data = bytearray(b"\x01") * SIZE
    before = in_use()
    with ProcessPoolExecutor(1, mp_context=mp.get_context("forkserver")) as executor:
        executor.submit(trace).result(BOUND_S)
        trace()
        try:
            where, allocated_there, total = executor.submit(look, Buffer(data)).result(BOUND_S)
            allocated_here = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert where.startswith("/memfd:tress")
        assert total == SIZE // 4096
        assert allocated_here < LITTLE
        assert allocated_there < LITTLE
        # The worker has let go of it, and the pool gives the memory back when it has been idle.
        until = time.monotonic() + BOUND_S
        while (lent(executor) or in_use() > before + LITTLE) and time.monotonic() < until:
            time.sleep(0.01)
        assert lent(executor) == 0
        assert in_use() <= before + LITTLE


def test_a_result() -> None:
    before = in_use()
    with ProcessPoolExecutor(1, mp_context=mp.get_context("forkserver")) as executor:
        executor.submit(os.getpid).result(BOUND_S)
        trace()
        try:
            result = executor.submit(make, SIZE).result(BOUND_S)
            allocated = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert mapping_of(result.data).startswith("/memfd:tress")
        assert sum(result.data[::4096]) == SIZE // 4096
        assert allocated < LITTLE
        assert in_use() >= before + SIZE // 2
        del result
        until = time.monotonic() + BOUND_S
        while in_use() > before + LITTLE and time.monotonic() < until:
            time.sleep(0.01)
        assert in_use() <= before + LITTLE
