"""Reads the two lists: known differences, and tests of what stays the standard library's own."""

from __future__ import annotations

import fnmatch
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.harness.suites import SUITES

PYTHONS = ("3.11", "3.12", "3.13", "3.14", "3.15")


_FLAGS = ("without_tress", "uses_tress", "uses_neither")


class BadList(Exception):
    """A list is not what it must be; the message says where."""


@dataclass(frozen=True)
class Entry:
    """One test, or a pattern of tests, with the reason it is listed."""

    suite: str
    test: str
    pythons: tuple[str, ...]
    reason: str
    # For a test of the standard library's own: start its interpreters without tress.
    without_tress: bool = False
    # For the same: tress's objects are among its helpers.
    uses_tress: bool = False
    # For the same: of the tests that it names, those that use nothing that tress replaces.
    uses_neither: bool = False
    # For the same: it holds as long as tress does not replace this standard name.
    while_standard: str = ""

    def covers(self, suite: str, test: str) -> bool:
        return fnmatch.fnmatchcase(suite, self.suite) and fnmatch.fnmatchcase(test, self.test)


def _entry(path: Path, table: dict[str, Any], number: int, keys: set[str]) -> Entry:
    where = f"{path.name}, entry {number}"
    unknown = set(table) - keys
    if unknown:
        raise BadList(f"{where}: unknown key {', '.join(sorted(unknown))}")
    for key in ("suite", "test", "reason"):
        value = table.get(key)
        if not isinstance(value, str) or not value.strip():
            raise BadList(f"{where}: {key} must be a string that says something, not {value!r}")
    if not any(fnmatch.fnmatchcase(suite.name, table["suite"]) for suite in SUITES):
        raise BadList(f"{where}: no suite is named {table['suite']!r}")
    while_standard = table.get("while_standard", "")
    if not isinstance(while_standard, str):
        raise BadList(f"{where}: while_standard must be a string, not {while_standard!r}")
    pythons = table.get("pythons", list(PYTHONS))
    if not isinstance(pythons, list) or not pythons or not set(pythons) <= set(PYTHONS):
        raise BadList(f"{where}: pythons must be a list out of {', '.join(PYTHONS)}")
    flags = {key: table.get(key, False) for key in _FLAGS}
    for key, value in flags.items():
        if not isinstance(value, bool):
            raise BadList(f"{where}: {key} must be true or false, not {value!r}")
    return Entry(
        suite=table["suite"],
        test=table["test"],
        pythons=tuple(pythons),
        reason=" ".join(table["reason"].split()),
        while_standard=while_standard,
        **flags,
    )


def read(
    path: Path,
    kind: str,
    python: str,
    *,
    patterns: bool,
    replaced: frozenset[str] = frozenset(),
) -> list[Entry]:
    """The entries of `kind` in a file that hold for one version of Python, such as "3.14".

    `replaced` are the standard names that tress replaces.
    """
    with path.open("rb") as file:
        try:
            content = tomllib.load(file)
        except tomllib.TOMLDecodeError as error:
            raise BadList(f"{path.name}: {error}") from error
    if set(content) - {kind}:
        raise BadList(f"{path.name}: only [[{kind}]] entries are known")
    keys = {"suite", "test", "pythons", "reason"}
    if patterns:
        keys |= {*_FLAGS, "while_standard"}
    entries = [
        _entry(path, table, number, keys)
        for number, table in enumerate(content.get(kind, []), start=1)
    ]
    for entry in entries:
        if not patterns and set(entry.test) & set("*?["):
            raise BadList(f"{path.name}: {entry.test!r} is a pattern; name each test")
    return [
        entry
        for entry in entries
        if python in entry.pythons and entry.while_standard not in replaced
    ]


def find(entries: list[Entry], suite: str, test: str) -> Entry | None:
    return next((entry for entry in entries if entry.covers(suite, test)), None)
