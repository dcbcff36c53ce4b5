"""`.ci/run`: what it begins, what it says of it, and where a failure's output is found."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 50.0

SCRIPT = """#!/usr/bin/env bash
echo "$(basename "$0") $*" >>"$RAN"
seq --format="$(basename "$0") $* says %g" 200
until [[ $0 == *make || -z $HELD || -e $HELD ]]; do sleep 0.02; done
case "$(basename "$0") $*" in
    $FAILS) exit 3 ;;
    $MISSING) exit 2 ;;
esac
"""
SCRIPTS = ("lint", "loom", "run-tour", "wheel", "conformance", "matrix", "frameworks")


class Check:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ran = folder / "ran"
        for name in (".ci", "ci", "bin"):
            folder.joinpath(name).mkdir()
        shutil.copy(ROOT / ".ci" / "run", folder / ".ci" / "run")
        for script in (*(f"ci/{name}" for name in SCRIPTS), "bin/make"):
            folder.joinpath(script).write_text(SCRIPT)
            folder.joinpath(script).chmod(0o755)

    def start(self, fails: str = "", missing: str = "", held: str = "") -> subprocess.Popen[str]:
        """Start it; all but `make` wait until there is a file named `held`."""
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        more = {"PATH": path, "RAN": str(self.ran), "FAILS": fails, "MISSING": missing}
        return subprocess.Popen(
            [str(self.folder / ".ci" / "run")],
            env={**os.environ, **more, "HELD": held},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, fails: str = "", missing: str = "") -> tuple[int, str]:
        with self.start(fails, missing) as started:
            out, _ = started.communicate(timeout=LIMIT_S)
        return started.returncode, out

    def what_ran(self) -> list[str]:
        return self.ran.read_text().splitlines()


@pytest.fixture
def check(tmp_path: Path) -> Check:
    return Check(tmp_path)


def last_line(out: str) -> str:
    return out.splitlines()[-1]


def test_every_step_is_run_once_the_readme_s_first(check: Check) -> None:
    code, out = check.run()
    assert code == 0, out
    ran = check.what_ran()
    assert sorted(ran) == sorted(set(ran))
    assert "make test" in ran[:2]  # two begin together
    for version in ("3.12", "3.13", "3.14", "3.15"):
        for part in ("tests", "conformance", "wheel"):
            assert any(one.startswith(f"matrix {version} {part}") for one in ran), (version, part)
    assert {one.split()[0] for one in ran} == {"make", *SCRIPTS}
    assert last_line(out) == f"{len(ran)} passed, 0 failed, 0 skipped"


def test_the_output_of_what_failed_stands_again_before_the_summary(check: Check) -> None:
    code, out = check.run(fails="matrix 3.14 tests")
    assert code == 1
    assert re.fullmatch(r"\d+ passed, 1 failed, 0 skipped", last_line(out))
    end, summary = out.split("FAILED; the end of what it printed:\n")[1].split(
        "\n######## summary\n"
    )
    lines = end.splitlines()
    assert lines[-1] == "matrix 3.14 tests says 200"
    assert 20 < len(lines) < 200
    assert re.search(r"ci/matrix 3.14 tests +FAILED \(3\)\n", summary)
    assert "ci/matrix 3.15 tests" in summary


def test_nothing_more_is_begun_where_the_readme_s_command_fails(check: Check) -> None:
    held = check.folder / "goes on"
    with check.start(fails="make test", held=str(held)) as started:
        assert started.stdout is not None
        while not re.search(r"make test +FAILED", started.stdout.readline()):
            assert started.poll() is None
        held.touch()
        rest, _ = started.communicate(timeout=LIMIT_S)
    assert started.returncode == 1
    assert "make test says 200\n\n######## summary" in rest
    # What the other lane had begun already comes to its end.
    assert len(check.what_ran()) == 2
    assert last_line(rest) == "1 passed, 1 failed, 0 skipped"


def test_a_python_that_is_not_to_be_had_is_no_failure(check: Check) -> None:
    code, out = check.run(missing="matrix 3.15*")
    assert code == 0
    assert "skipped: Python 3.15 is not available" in out
    assert re.fullmatch(r"\d+ passed, 0 failed, 3 skipped", last_line(out))
    code, out = check.run(missing="frameworks 3.14")
    assert code == 0
    assert re.search(r"ci/frameworks 3.14 +skipped: Python 3.14 is not available", out)
