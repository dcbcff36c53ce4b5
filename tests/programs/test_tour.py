"""The tour tells whether outputs are the same, and is not fooled by the order of threads."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from tour.__main__ import main
from tour.catalog import PROGRAMS, Program
from tour.run import LIMIT_S, Comparison, compare, run_once

Tour = Callable[..., tuple[int, str]]


@pytest.fixture
def tour(tmp_path: Path) -> Tour:
    """A function that gives the tour of one program, whose text it gets; exit code and output."""

    def give(text: str, *arguments: str, **options: bool | str) -> tuple[int, str]:
        (tmp_path / "program.py").write_text(text)
        output = io.StringIO()
        code = main(
            ["--rounds", "1", *arguments],
            programs=[Program("program.py", **options)],  # type: ignore[arg-type]
            folder=tmp_path,
            console=Console(file=output, width=200),
        )
        return code, output.getvalue()

    return give


def row(output: str) -> str:
    return next(line for line in output.splitlines() if "program.py" in line)


def test_same_output(tour: Tour) -> None:
    code, output = tour("print('same')")
    assert code == 0
    assert " yes " in row(output)
    assert "1 of 1 programs gave the same output" in output


@pytest.mark.parametrize(
    ("statement", "explanation"),
    [
        ("print(on_tress)", "stdout on tress: 'True' instead of 'False'"),
        ("print('one\\ntwo' if on_tress else 'one')", "stdout on tress: 2 lines instead of 1"),
        ("print(on_tress, file=sys.stderr)", "stderr on tress: 'True' instead of 'False'"),
        ("sys.exit(on_tress)", "exit code 0 at first, then on tress exit code 1"),
        ("assert not on_tress, 'reason'", "(AssertionError: reason)"),
        ("assert on_tress, 'reason'", "plain Python fails: exit code 1 (AssertionError: reason)"),
    ],
)
def test_other_output(statement: str, explanation: str, tour: Tour) -> None:
    code, output = tour(
        "import sys, threading, tress\non_tress = 'threads' in tress.installed()\n" + statement
    )
    assert code == 1
    assert " NO " in row(output)
    assert f"program.py: {explanation}" in output or explanation in output
    assert "0 of 1 programs gave the same output" in output


def test_lines_in_any_order() -> None:
    program = Program("p", any_order=True)
    assert program.settle("b\na\n") == program.settle("a\nb\n")
    assert program.settle("a\na\nb\n") != program.settle("a\nb\nb\n")
    assert Program("p").settle("b\na\n") != Program("p").settle("a\nb\n")


def test_pieces_of_lines() -> None:
    program = Program("p", pieces=r"<\d>")
    assert program.settle("<1><2>\n\n") == program.settle("<2>\n<1>\n")
    assert program.settle("<1><2>\n") != program.settle("<2>\n<1>\n")
    assert program.settle("<1>\n<1>\n") != program.settle("<1>\n<2>\n")
    assert program.settle("<1\n<2>\n>") != program.settle("<1>\n<2>\n")


def test_sides_take_turns(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import pathlib, tress\n"
        "with pathlib.Path(__file__).with_name('log').open('a') as log:\n"
        "    print('tress' if tress.installed() else 'plain', file=log)\n"
    )
    comparison = compare(Program("program.py"), folder=tmp_path, rounds=3)
    assert isinstance(comparison, Comparison)
    assert comparison.difference is None
    assert set(comparison.seconds) == {"plain", "tress"}
    order = ["plain", "tress", "tress", "plain", "plain", "tress"]
    assert (tmp_path / "log").read_text().split() == order


def test_program_that_hangs_is_killed(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import signal\nprint('here', flush=True)\nsignal.pause()")
    outcome = run_once(Program("program.py"), "plain", folder=tmp_path, limit_s=1.0)
    assert outcome.code is None
    assert outcome.seconds < LIMIT_S


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--only", "nowhere"], ["program.py"]])
def test_bad_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main(arguments, programs=PROGRAMS)
    assert ending.value.code == 2
    assert "usage: python -m tour" in capsys.readouterr().err
