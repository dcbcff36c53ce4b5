"""How much memory of its own the process has, and how it is kept from growing by huge pages."""

from __future__ import annotations

import ctypes
import gc

_PR_SET_THP_DISABLE = 41


def without_huge_pages() -> None:
    """From now on: they would be counted whole."""
    ctypes.CDLL(None).prctl(_PR_SET_THP_DISABLE, 1, 0, 0, 0)


def anonymous_bytes() -> int:
    """Anonymous resident memory, native memory included."""
    with open("/proc/self/smaps_rollup", encoding="ascii") as rollup:
        for line in rollup:
            if line.startswith("Anonymous:"):
                return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/smaps_rollup has no Anonymous line")


def trim() -> None:
    """Collect, and give back what earlier work left free."""
    gc.collect()
    libc = ctypes.CDLL(None)
    malloc_trim = getattr(libc, "malloc_trim", None)  # glibc's own
    if malloc_trim is not None:
        malloc_trim(0)
