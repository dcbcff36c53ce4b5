"""`docs/coverage.md` is true of the running Python."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import tress.asyncio

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "coverage.md"
MODULES = (
    "threading",
    "queue",
    "concurrent.futures",
    "multiprocessing",
    "multiprocessing.connection",
    "multiprocessing.managers",
    "multiprocessing.shared_memory",
    "multiprocessing.queues",
    "multiprocessing.synchronize",
    "multiprocessing.pool",
    "multiprocessing.dummy",
    "asyncio",
)
LOOP = "asyncio.SelectorEventLoop"
BESIDE = "Beside `__all__`"
SUPPORTED = [(3, minor) for minor in range(11, 16)]


class Row(NamedTuple):
    """One line of a table."""

    section: str
    name: str
    pythons: str
    """Either "all", or the first Python that has the name, or the last: "3.13+", "to 3.13"."""
    kind: str
    reason: str

    def holds_on(self, version: tuple[int, int]) -> bool:
        """Tell whether that Python has the name."""
        if self.pythons == "all":
            return True
        major, minor = self.pythons.removesuffix("+").removeprefix("to ").split(".")
        there = (int(major), int(minor))
        return version <= there if self.pythons.startswith("to ") else version >= there


def _read() -> Iterator[Row]:
    section = ""
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            name, pythons, kind, reason = cells
            yield Row(section, name.strip("`"), pythons, kind, reason)


ROWS = list(_read())
HERE = (sys.version_info.major, sys.version_info.minor)


def rows_of(section: str) -> list[Row]:
    return [row for row in ROWS if row.section == section]


def named(row: Row) -> str:
    return f"{row.section}.{row.name}"


def test_the_document_was_understood() -> None:
    assert {row.section for row in ROWS} == {*MODULES, LOOP, BESIDE}
    for section, version in itertools.product((*MODULES, LOOP, BESIDE), SUPPORTED):
        names = [row.name for row in rows_of(section) if row.holds_on(version)]
        assert len(names) == len(set(names)), f"a name has two lines in {section} for {version}"


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_line_says_what_it_should(row: Row) -> None:
    if row.pythons != "all":
        first = [f"{major}.{minor}+" for major, minor in SUPPORTED[1:]]
        last = [f"to {major}.{minor}" for major, minor in SUPPORTED[:-1]]
        assert row.pythons in first + last
    if row.section == BESIDE:
        assert row.kind in {"replaced", "kept"}
    else:
        assert row.kind in {"tress", "standard", "absent"}
    assert row.reason or row.kind == "replaced"


@pytest.mark.parametrize("module", MODULES)
def test_every_name_of_this_python_has_a_line(module: str) -> None:
    standard = set(importlib.import_module(module).__all__)
    listed = {row.name for row in rows_of(module) if row.holds_on(HERE)}
    assert listed == standard


WHOSE = """
import importlib, json, sys

def unbound(value):
    return getattr(value, "__func__", value)

def whose(module, name):
    standard, ours = (importlib.import_module(prefix + module) for prefix in ("", "tress."))
    if not hasattr(ours, name):
        return "not listed" if name in ours.__all__ else "absent"
    if name not in ours.__all__:
        return "not in __all__"
    if unbound(getattr(ours, name)) is unbound(getattr(standard, name)):
        return "standard"
    return getattr(ours, name).__module__.partition(".")[0]

print(json.dumps([whose(module, name) for module, name in json.loads(sys.argv[1])]))
"""


def test_each_name_is_what_its_line_says() -> None:
    rows = [row for module in MODULES for row in rows_of(module) if row.holds_on(HERE)]
    found = _fresh(WHOSE, [(row.section, row.name) for row in rows])
    assert dict(zip(map(named, rows), found, strict=True)) == {named(row): row.kind for row in rows}


@pytest.mark.parametrize("module", MODULES)
def test_what_tress_adds_is_new_or_from_a_later_python(module: str) -> None:
    ours = importlib.import_module(f"tress.{module}")
    assert len(ours.__all__) == len(set(ours.__all__))
    later = {row.name for row in rows_of(module) if not row.holds_on(HERE)}
    extra = set(ours.__all__) - set(importlib.import_module(module).__all__)
    assert extra <= later, "not in the standard module of any supported Python"
    assert all(hasattr(ours, name) for name in extra)


def test_each_method_of_the_loop_is_what_its_line_says() -> None:
    standard, ours = asyncio.SelectorEventLoop, tress.asyncio.EventLoop
    found = {}
    for name in (name for name in {*dir(standard), *dir(ours)} if not name.startswith("_")):
        owner = next(base for base in ours.__mro__ if name in vars(base))
        found[name] = "tress" if owner.__module__.startswith("tress") else "standard"
    assert found == {row.name: row.kind for row in rows_of(LOOP) if row.holds_on(HERE)}


LOOK_WHILE_INSTALLED = """
import importlib, json, sys

def look():
    found = {}
    for path in json.loads(sys.argv[1]):
        module, _, name = path.rpartition(".")
        found[path] = getattr(importlib.import_module(module), name)
    return found

before = look()
import tress
tress.install()
after = look()
print(json.dumps({path: "kept" if after[path] is before[path] else "replaced" for path in before}))
"""


def test_install_replaces_and_keeps_what_the_document_says() -> None:
    expected = {row.name: row.kind for row in rows_of(BESIDE) if row.holds_on(HERE)}
    assert _fresh(LOOK_WHILE_INSTALLED, sorted(expected)) == expected


def _fresh(program: str, argument: object) -> Any:
    """Run a program where nobody, such as pytest, has touched the standard library before."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, json.dumps(argument)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
