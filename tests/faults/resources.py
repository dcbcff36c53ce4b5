"""What this process uses: memory and descriptors."""

from __future__ import annotations

import os
from pathlib import Path


def resident_bytes() -> int:
    """How much memory of this process is in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> dict[int, str]:
    """The open descriptors of this process, and what each is of."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # the one of the listing itself
            continue
    return found
