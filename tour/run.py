"""Running one program on one side, and both sides in turn."""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import tress
from tour.catalog import Program

SIDES = {"plain": (sys.executable,), "tress": (sys.executable, "-m", "tress")}
"""The two sides: what stands before the program on the command line."""

LIMIT_S = 60.0
"""A program that runs longer is taken to hang."""


class Outcome(NamedTuple):
    """What one run of a program gave."""

    stdout: str
    stderr: str
    code: int | None
    """The exit code; None when the program did not end and was killed."""
    seconds: float


class Comparison(NamedTuple):
    """What all runs of a program on both sides gave."""

    program: Program
    difference: str | None
    """What differs between two runs, for a person to read; None when all are the same."""
    seconds: dict[str, float]
    """For each side the time of its fastest run, interpreter start included."""


def run_once(program: Program, side: str, *, folder: Path, limit_s: float = LIMIT_S) -> Outcome:
    """Run a program to its end, or kill it after `limit_s` seconds."""
    command = [*SIDES[side], str(folder / program.path), *program.arguments]
    return _run_command(command, limit_s)


def _run_command(command: Sequence[str], limit_s: float) -> Outcome:
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    with process:
        try:
            stdout, stderr = process.communicate(timeout=limit_s)
            code: int | None = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            stdout, stderr = process.communicate()
            code = None
    return Outcome(stdout, stderr, code, time.perf_counter() - began)


def compare(program: Program, *, folder: Path, rounds: int) -> Comparison:
    """Run a program on each side, in turn, and compare every run with the first.

    Each side gets `rounds` runs, or as many as the program is given at most.
    """
    fastest: dict[str, float] = {}
    first: Outcome | None = None
    difference = None
    for turn in range(min(rounds, program.most_rounds)):
        # Each side goes first every other time: whatever the one leaves warm serves the other.
        sides = list(SIDES) if turn % 2 == 0 else list(reversed(SIDES))
        for side in sides:
            outcome = run_once(program, side, folder=folder)
            fastest[side] = min(outcome.seconds, fastest.get(side, outcome.seconds))
            if first is None:
                first = outcome
                if outcome.code != 0:
                    difference = f"plain Python fails: {_ending(outcome)}"
            difference = difference or _difference(program, first, outcome, side)
    return Comparison(program, difference, fastest)


def compile_package() -> None:
    """Write tress's bytecode files, as installing a package does and its sources may lack."""
    compileall.compile_dir(str(Path(tress.__file__).parent), quiet=2)


def start_up(rounds: int) -> dict[str, float]:
    """Measure what a program that does nothing takes on each side, in seconds."""
    fastest: dict[str, float] = {}
    for _ in range(rounds):
        for side, runner in SIDES.items():
            seconds = _run_command([*runner, "-c", "pass"], LIMIT_S).seconds
            fastest[side] = min(seconds, fastest.get(side, seconds))
    return fastest


def _difference(program: Program, first: Outcome, other: Outcome, side: str) -> str | None:
    if first.code != other.code:
        return f"exit code {first.code} at first, then on {side} {_ending(other)}"
    for stream in ("stdout", "stderr"):
        before = program.settle(getattr(first, stream))
        after = program.settle(getattr(other, stream))
        if before != after:
            return f"{stream} on {side}: {_first_unlike(before, after)}"
    return None


def _ending(outcome: Outcome) -> str:
    ending = "no end" if outcome.code is None else f"exit code {outcome.code}"
    last_line = outcome.stderr.strip().rpartition("\n")[2]
    return f"{ending} ({last_line})" if last_line else ending


def _first_unlike(before: list[str], after: list[str]) -> str:
    for expected, line in zip(before, after, strict=False):
        if expected != line:
            return f"{line!r} instead of {expected!r}"
    return f"{len(after)} lines instead of {len(before)}"
