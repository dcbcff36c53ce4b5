"""Scratch environments: one for each side, made anew for each run and thrown away after it.

Most tests that start an interpreter start it isolated (`-I`), so neither PYTHONPATH nor any other
variable can put tress into it. What such an interpreter still reads are the `.pth` files of its
own environment: hence an environment of the run's own, with one such file on tress's side.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from conformance.harness.start import WORKER

CONFORMANCE = Path(__file__).resolve().parent.parent

# What the environment of a run must not inherit: it would reach one side's interpreters or both.
_PYTHON_VARIABLES = ("PYTHON", "VIRTUAL_ENV", "TRESS")


class EnvironmentUnavailable(Exception):
    """The harness cannot run on this interpreter; the message says why."""


@dataclass(frozen=True)
class Environment:
    """An interpreter, and the folder in which the interpreters started from it report."""

    python: Path
    reports: Path
    # The standard names that tress replaces there, with their modules.
    replaced: frozenset[str] = frozenset()


def tress_location() -> Path:
    """The folder that must be on `sys.path` for `import tress`."""
    spec = importlib.util.find_spec("tress")
    if spec is None or spec.origin is None:
        raise EnvironmentUnavailable(
            "tress is not installed in this interpreter: run this with the interpreter of the "
            "environment that tress was built into"
        )
    return Path(spec.origin).resolve().parent.parent


def variables() -> dict[str, str]:
    """The environment variables a suite runs with."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_PYTHON_VARIABLES) and name not in {"LC_ALL", "LANG"}
    }
    kept["LC_ALL"] = "C.UTF-8"
    kept["NO_COLOR"] = "1"
    return kept


def make(directory: Path, side: str) -> Environment:
    """Make the scratch environment of one side below `directory`."""
    try:
        import venv
    except ImportError as error:
        raise EnvironmentUnavailable(f"this Python has no venv module: {error}") from error
    root = directory / side
    reports = directory / f"{side}-reports"
    reports.mkdir()
    venv.EnvBuilder(symlinks=True, with_pip=False).create(root)
    site = Path(sysconfig.get_path("purelib", "venv", vars={"base": str(root)}))
    lines = [str(CONFORMANCE.parent)]
    if side == "tress":
        location = tress_location()
        # First, in case a folder named tress lies beside this one.
        lines.insert(0, str(location))
        lines.append(
            f"import conformance.harness.start; conformance.harness.start.begin({str(reports)!r})"
        )
    python = root / "bin" / "python"
    (site / "tress_conformance.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
    replaced = _check_that_it_starts(python, location) if side == "tress" else frozenset()
    return Environment(python, reports, replaced)


_CHECK = """
import json, pathlib, sys, tress
import conformance.harness.start as start
found = str(pathlib.Path(tress.__file__).resolve().parent.parent)
if found != sys.argv[1]:
    sys.exit(f"tress was to be taken from {sys.argv[1]}, and comes from {found}")
if not start.originals:
    sys.exit("tress.install() replaced nothing")
print(json.dumps([".".join(key) for key in start.originals]))
"""


def _check_that_it_starts(python: Path, location: Path) -> frozenset[str]:
    done = subprocess.run(
        # As a worker it has all the modules loaded in which something is replaced.
        [str(python), "-I", "-c", _CHECK, str(location), WORKER],
        env=variables(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0 or done.stderr:
        raise EnvironmentUnavailable(
            f"an interpreter with tress in place does not start:\n{done.stderr.strip()}"
        )
    return frozenset(json.loads(done.stdout))
