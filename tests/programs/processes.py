"""Running programs in processes of their own, on plain Python and on tress."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

LIMIT_S = 25.0
"""A program that runs longer hangs; its process is then killed and the test fails."""

PLAIN = (sys.executable,)
TRESS = (sys.executable, "-m", "tress")


class Outcome(NamedTuple):
    """All that a shell sees of a program."""

    stdout: str
    stderr: str
    code: int


def run_process(
    command: Sequence[str],
    *,
    cwd: Path,
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
) -> Outcome:
    """Run a command to its end, with the streams decoded as UTF-8."""
    done = subprocess.run(
        command,
        cwd=cwd,
        input=stdin.encode(),
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
        env={**os.environ, "PYTHONUTF8": "1", **(environment or {})},
    )
    return Outcome(done.stdout.decode(), done.stderr.decode(), done.returncode)


def wait_until_asleep(pid: int) -> None:
    """Wait until the main thread of a process sleeps in the kernel."""
    stat = Path(f"/proc/{pid}/stat")
    deadline = time.monotonic() + LIMIT_S
    while stat.read_text().rpartition(")")[2].split()[0] != "S":
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {pid} has not gone to sleep for {LIMIT_S} s")
        os.sched_yield()
