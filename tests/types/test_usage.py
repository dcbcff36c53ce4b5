"""The types as a user's checker sees them, and the same programs run."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PROGRAMS = sorted(path.stem for path in HERE.glob("usage_*.py"))


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_program_runs(program: str) -> None:
    importlib.import_module(f"tests.types.{program}").main()


@pytest.mark.bound(300)
@pytest.mark.parametrize("version", ["3.11", "3.13", "3.15"])
def test_a_strict_checker_agrees(tmp_path: Path, version: str) -> None:
    """As in a user's project: none of our settings, and tress found where it is installed.

    Whatever Python runs this, the checker can look at the types as any supported one has them.
    """
    pytest.importorskip("mypy")
    files = [str(HERE / f"{name}.py") for name in (*PROGRAMS, "misuse")]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-incremental"),
            *("--python-version", version, "--python-executable", sys.executable, *files),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
