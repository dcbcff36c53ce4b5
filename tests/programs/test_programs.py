"""Every program of `programs/` prints what it should, on plain Python and on tress."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.programs.loops import LOOPS, SIDES, run_and_tell_loops
from tests.programs.processes import Outcome, run_process
from tour.catalog import DEADLOCK, OF_COROUTINES, PROGRAMS, PROGRAMS_FOLDER, Program

EXPECTED_FOLDER = Path(__file__).with_name("expected")

NO_PROGRAMS = {"futures/_stand_in.py", "processes/_start_method.py", "workload/web_site.py"}
"""Files that are parts of a program."""


def run(program: Program, side: str, cwd: Path) -> Outcome:
    path = str(PROGRAMS_FOLDER / program.path)
    return run_process([*SIDES[side], path, *program.arguments], cwd=cwd)


def test_catalog_has_every_program() -> None:
    files = {str(path.relative_to(PROGRAMS_FOLDER)) for path in PROGRAMS_FOLDER.rglob("*.py")}
    files = {path for path in files if not path.startswith("frameworks/")}  # tests/frameworks
    shown = [program.path for program in (*PROGRAMS, DEADLOCK)]
    assert set(shown) == files - NO_PROGRAMS
    every = [program.name for program in (*PROGRAMS, DEADLOCK)]
    assert len(every) == len(set(every))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_output(program: Program, side: str, tmp_path: Path) -> None:
    expected = (EXPECTED_FOLDER / program.path).with_suffix(".txt").read_text("utf-8")
    outcome = run(program, side, tmp_path)
    assert program.settle(outcome.stdout) == program.settle(expected)
    assert outcome.code == 0
    if program.path == "threads/daemon.py":
        assert len(re.findall("^.*DeprecationWarning: ", outcome.stderr, re.MULTILINE)) == 3
    else:
        assert outcome.stderr == ""


@pytest.mark.parametrize(
    ("program", "side"),
    [(OF_COROUTINES[0], "plain"), *((program, "tress") for program in OF_COROUTINES)],
    ids=lambda value: getattr(value, "name", value),
)
def test_loop(program: Program, side: str, tmp_path: Path) -> None:
    outcome = run_and_tell_loops(PROGRAMS_FOLDER / program.path, side, cwd=tmp_path)
    assert outcome == (outcome.stdout, f"{LOOPS[side]}\n", 0)
    assert outcome.stdout


def test_deadlock_of_the_notes_raises(tmp_path: Path) -> None:
    outcome = run(DEADLOCK, "tress", tmp_path)
    assert outcome.code == 0
    assert outcome.stdout == "got both locks\n程序结束\n"
    assert re.search(r"^Exception in thread [AB]:$", outcome.stderr, re.MULTILINE)
    assert "tress.DeadlockError: " in outcome.stderr
    # The line that holds and the line that wants, of both threads.
    for line in ("with a:", "with b:"):
        assert outcome.stderr.count(line) >= 2
