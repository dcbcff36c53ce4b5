"""tress-load, the compiled load generator: where it is, how it is built, and what it reports."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

ROOT = Path(__file__).resolve().parent.parent


class Report(TypedDict):
    """What it prints of a run; the names say the units."""

    requests: int
    bytes: int
    connections: int
    errors: int
    cpu: int | None
    elapsed_ns: int
    cpu_ns: int
    """Its own processor time: near the time that passed, it was the generator that was slow."""
    requests_per_s: float
    bytes_per_s: float
    latency_ns: dict[str, int]


def program() -> Path:
    """Where `build` puts it."""
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    return target / "release" / "tress-load"


def build() -> None:
    """Build it, unless it is up to date; `CalledProcessError` when that fails."""
    command = ("cargo", "build", "--quiet", "--locked", "--release", "--package", "tress-load")
    subprocess.run(command, check=True, cwd=ROOT)


def run(arguments: Sequence[str]) -> Report:
    """Run it; `RuntimeError` when it could not, or when an answer was wrong or missing."""
    done = subprocess.run(
        [str(program()), *arguments],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(f"tress-load {' '.join(arguments)}: {done.stderr.strip()}")
    report: Report = json.loads(done.stdout)
    return report
