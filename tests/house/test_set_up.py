"""The set-up scripts of `ci/`: what they say of a missing tool, and how they find a Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 50.0
VERSION = "{}.{}".format(*sys.version_info)

# What the scripts use besides the tools they check for.
PLAIN_TOOLS = (
    *("bash", "env", "dirname", "basename", "realpath", "readlink", "sed", "awk", "grep", "sort"),
    *("head", "cat", "mktemp", "rm", "mkdir", "flock", "find", "id", "paste"),
)

Check = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    """Programs that can be the whole PATH: everyday tools, but no Python, Rust or cc."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in PLAIN_TOOLS:
        found = shutil.which(tool)
        if found is not None:
            folder.joinpath(tool).symlink_to(found)
    return folder


def put(folder: Path, name: str, output: str) -> None:
    """A program that prints one line, whatever it is asked."""
    script = folder / name
    script.write_text(f"#!/bin/sh\necho '{output}'\n")
    script.chmod(0o755)


def run(command: list[str], path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("HOME", "TMPDIR") if name in os.environ}
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**kept, "PATH": str(path), **environment},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


@pytest.fixture
def check(bin_folder: Path) -> Check:
    """Runs one of the checks of `ci/common.sh`."""

    def check_one(function: str) -> subprocess.CompletedProcess[str]:
        script = f'source ci/common.sh; {function}; echo "nothing to say"'
        return run(["bash", "-c", script], bin_folder)

    return check_one


def test_no_python(check: Check) -> None:
    done = check("need_python")
    assert done.returncode == 1
    assert done.stderr == (
        "tress: no python3 here: tress needs CPython 3.11 or newer"
        " (make PYTHON=/path/to/python3 chooses one)\n"
    )


@pytest.mark.parametrize(
    ("about", "complaint"),
    [
        ("linux cpython 3.10.13", "python3 is Python 3.10.13: tress needs 3.11 or newer"),
        ("linux cpython 3.9.1", "python3 is Python 3.9.1: tress needs 3.11 or newer"),
        ("linux pypy 3.11.2", "tress needs CPython, and python3 is pypy"),
        ("darwin cpython 3.13.1", "tress runs on Linux, and this is darwin"),
    ],
)
def test_a_python_that_does_not_do(
    check: Check, bin_folder: Path, about: str, complaint: str
) -> None:
    put(bin_folder, "python3", about)
    done = check("need_python")
    assert done.returncode == 1
    assert complaint in done.stderr


def test_a_python_without_venv(check: Check, bin_folder: Path) -> None:
    script = bin_folder / "python3"
    script.write_text(
        '#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; *) echo linux cpython 3.12.1;; esac\n'
    )
    script.chmod(0o755)
    done = check("need_python")
    assert done.returncode == 1
    assert "on Debian: python3.12-venv" in done.stderr


def test_no_rust(check: Check) -> None:
    done = check("need_rust")
    assert done.returncode == 1
    assert done.stderr == "tress: no cargo here: tress needs a Rust toolchain, 1.85 or newer\n"


@pytest.mark.parametrize(
    ("version", "enough"),
    [
        ("rustc 1.84.1 (e71f9a9a9 2025-01-27)", False),
        ("rustc 1.9.0", False),
        ("rustc 1.85.0 (4d91de4e4 2025-02-17)", True),
        ("rustc 1.100.0-nightly (4d91de4e4 2027-02-17)", True),
        ("rustc 2.0.0", True),
    ],
)
def test_the_age_of_rust(check: Check, bin_folder: Path, version: str, enough: bool) -> None:
    put(bin_folder, "cargo", "cargo")
    put(bin_folder, "rustc", version)
    done = check("need_rust")
    assert (done.returncode == 0) is enough
    assert enough or f"rustc is {version.split()[1]}: tress needs 1.85 or newer" in done.stderr


def test_no_c_compiler(check: Check) -> None:
    done = check("need_cc")
    assert done.returncode == 1
    assert "no C compiler here (cc)" in done.stderr


def test_a_c_compiler_that_cannot_link(check: Check, bin_folder: Path) -> None:
    (bin_folder / "cc").symlink_to("/bin/false")
    done = check("need_cc")
    assert done.returncode == 1
    assert "cc cannot link a program" in done.stderr


FETCH = "ci/pythons/fetch"


@pytest.mark.parametrize("arguments", [[], ["3.10"], ["3.13", "3.14"], ["--fast", "3.13"]])
def test_fetch_says_how_it_is_used(bin_folder: Path, arguments: list[str]) -> None:
    done = run([FETCH, *arguments], bin_folder)
    assert done.returncode == 1
    assert "3.11 3.12 3.13 3.14 3.15" in done.stderr
    assert done.stdout == ""


def test_fetch_finds_what_is_on_path(bin_folder: Path, tmp_path: Path) -> None:
    (bin_folder / f"python{VERSION}").symlink_to(os.path.realpath(sys.executable))
    nowhere = str(tmp_path / "cache")
    done = run([FETCH, VERSION], bin_folder, TRESS_CACHE=nowhere, PYENV_ROOT=nowhere)
    assert done.returncode == 0, done.stderr
    found = done.stdout.rstrip("\n")
    says = subprocess.check_output([found, "-c", "import sys; print(*sys.version_info[:2])"])
    assert says.decode().split() == VERSION.split(".")


def test_fetch_does_not_take_a_half_made_folder(bin_folder: Path, tmp_path: Path) -> None:
    made = tmp_path / "cache" / "pythons" / VERSION / "usr" / "bin" / f"python{VERSION}"
    made.parent.mkdir(parents=True)
    made.symlink_to(os.path.realpath(sys.executable))
    environment = {"TRESS_CACHE": str(tmp_path / "cache"), "PYENV_ROOT": str(tmp_path)}

    done = run([FETCH, VERSION], bin_folder, **environment)
    assert done.returncode == 2, "without apt, what it cannot make anew is not to be had"
    assert "no apt-get here" in done.stderr

    made.parents[2].joinpath("complete").touch()
    assert run([FETCH, VERSION], bin_folder, **environment).returncode == 0


def test_fetch_does_not_take_another_version_for_the_one_asked(
    bin_folder: Path, tmp_path: Path
) -> None:
    other = "3.12" if VERSION != "3.12" else "3.13"
    (bin_folder / f"python{other}").symlink_to(os.path.realpath(sys.executable))
    nowhere = str(tmp_path / "cache")
    done = run([FETCH, other], bin_folder, TRESS_CACHE=nowhere, PYENV_ROOT=nowhere)
    assert done.returncode == 2
    assert done.stdout == ""


FETCH_SERVER = "ci/servers/fetch"


@pytest.mark.parametrize("arguments", [[], ["mysql"], ["redis", "postgresql"]])
def test_fetch_of_a_server_says_how_it_is_used(bin_folder: Path, arguments: list[str]) -> None:
    done = run([FETCH_SERVER, *arguments], bin_folder)
    assert done.returncode == 1
    assert done.stderr == "servers: usage: fetch redis | postgresql\n"
    assert done.stdout == ""


def test_fetch_of_a_server_finds_what_is_on_path(bin_folder: Path, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    put(programs, "redis-server", "version 7")
    (bin_folder / "redis-server").symlink_to(programs / "redis-server")
    done = run([FETCH_SERVER, "redis"], bin_folder, TRESS_CACHE=str(tmp_path / "cache"))
    assert (done.returncode, done.stdout) == (0, f"{programs}\n"), done.stderr


def test_fetch_of_a_server_takes_neither_what_fails_nor_a_half_made_folder(
    bin_folder: Path, tmp_path: Path
) -> None:
    (bin_folder / "redis-server").symlink_to("/bin/false")
    made = tmp_path / "cache" / "servers" / "redis" / "usr" / "bin"
    made.mkdir(parents=True)
    put(made, "redis-server", "version 7")
    done = run([FETCH_SERVER, "redis"], bin_folder, TRESS_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 2, "without apt, what it cannot make anew is not to be had"
    assert "no apt-get here: redis cannot be fetched; put redis-server on PATH" in done.stderr

    made.parents[1].joinpath("complete").touch()
    done = run([FETCH_SERVER, "redis"], bin_folder, TRESS_CACHE=str(tmp_path / "cache"))
    assert (done.returncode, done.stdout) == (0, f"{made}\n"), done.stderr
