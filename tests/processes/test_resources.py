"""Not enough of something: an error that says so, nothing left behind, and all works afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tress.multiprocessing.shared_memory import SharedMemory

ROOT = Path(__file__).resolve().parents[2]
BOUND_S = 110.0

LONG = pytest.mark.nightly("starts many processes")

# What it is that there is not enough of, and the errors that may come of it.
ERRORS = {
    "memory": {"OSError EFBIG"},
    "processes": {"BlockingIOError EAGAIN"},
}
OF_DESCRIPTORS = {"OSError EMFILE", "EOFError", "BrokenProcessPool"}


def scarce(method: str, *limits: str) -> list[list[str]]:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.processes.scarce", method, ",".join(limits)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=BOUND_S,
    )
    assert ran.returncode == 0, ran.stderr
    return [line.split("|") for line in ran.stdout.splitlines() if line.count("|") == 4]


@pytest.mark.bound(120)
@pytest.mark.parametrize(
    ("method", "limits"),
    [
        ("fork", ("processes", "memory", "0", "2", "3", "5", "8", "11")),
        pytest.param("forkserver", ("memory", "0", "3", "6", "9", "12"), marks=LONG),
        pytest.param("spawn", ("memory", "3", "11"), marks=LONG),
    ],
)
def test_what_there_is_not_enough_of(method: str, limits: tuple[str, ...]) -> None:
    found = scarce(method, *limits)
    assert len(found) == 7 * len(limits)
    for limit, thing, came, left, afterwards in found:
        allowed = {"ok", *ERRORS.get(limit, OF_DESCRIPTORS)}
        assert came in allowed, (limit, thing, came)
        assert left == "[[], []]", (limit, thing, came, left)
        assert afterwards == "ok", (limit, thing, came, afterwards)
    came_of = {(limit, thing): came for limit, thing, came, _, _ in found}
    assert came_of["memory", "pool"] == came_of["memory", "queue"] == "OSError EFBIG"
    if method == "fork":
        assert came_of["0", "pipe"] == "OSError EMFILE"
        assert came_of["processes", "process"] == "BlockingIOError EAGAIN"


def test_shared_memory_larger_than_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    there = os.statvfs("/dev/shm")
    before = set(os.listdir("/dev/shm"))
    too_much = there.f_frsize * there.f_blocks + (1 << 30)
    with pytest.raises(OSError, match="bytes of shared memory") as caught:
        SharedMemory(create=True, size=too_much)
    assert caught.value.errno == 28  # ENOSPC
    name = f"tress_{os.getpid()}_full"
    with pytest.raises(OSError, match="bytes of shared memory"):
        SharedMemory(name, create=True, size=too_much)
    assert name not in set(os.listdir("/dev/shm")) - before
    block: Any = SharedMemory(create=True, size=1000)
    block.buf[999] = 1
    block.close()
    block.unlink()
