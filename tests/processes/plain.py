"""Programs of plain Python at the other end: run in interpreters of their own, without tress."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.processes.jobs import BOUND_S


@contextmanager
def program(text: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Runs a program with pipes to its input and from its output; it fails with the program."""
    guard = "\nimport sys\nassert not any(name.startswith('tress') for name in sys.modules)\n"
    with subprocess.Popen(
        [sys.executable, "-c", text + guard, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
            out, _ = running.communicate(timeout=BOUND_S)
            assert running.returncode == 0, out
        finally:
            running.kill()


def line(running: subprocess.Popen[str]) -> str:
    """The next line that a program prints."""
    assert running.stdout is not None
    return running.stdout.readline().rstrip("\n")
