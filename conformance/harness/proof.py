"""Decides whether a test that ran was a test of tress.

It was, if
- every object that its class names as the one under test is tress's, and
- it used an object of tress's, in its own source or in that of an interpreter it started, and
- it used none of the standard objects that tress replaces, and
- tress was in place in every interpreter it started.
"""

from __future__ import annotations

import ast
import textwrap
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from conformance.harness.seen import Observer, Sightings

NOTHING = "used no object of tress's"

# What makes the loops stays the standard library's own, and makes tress's once this is replaced.
_LOOP = "asyncio.SelectorEventLoop"
_MAKERS_OF_LOOPS = frozenset({"asyncio.Runner", "asyncio.new_event_loop", "asyncio.run"})


@dataclass
class Child:
    """An interpreter that a test started: the code it was given, and what it reported."""

    arguments: list[str]
    code: str


@dataclass
class Evidence:
    """What is known of one test's run."""

    sightings: Sightings
    children: list[Child] = field(default_factory=list)
    # Process id -> the standard names that tress had replaced as that process started.
    replaced_in: dict[int, list[str]] = field(default_factory=dict)
    # The standard package of which alone names count.
    about: str = ""

    @property
    def used_in_children(self) -> set[str]:
        """The names of tress's objects that the programs of the started interpreters read."""
        replaced = {name for names in self.replaced_in.values() for name in names}
        if _LOOP in replaced:
            replaced |= _MAKERS_OF_LOOPS
        read = {name for child in self.children for name in names_used(child.code)}
        return {name for name in read & replaced if name.startswith(self.about)}


def names_used(code: str) -> set[str]:
    """The dotted names of standard modules that a program reads, as far as its text says."""
    try:
        tree = ast.parse(textwrap.dedent(code))
    except SyntaxError:
        return set()
    modules: dict[str, str] = {}
    used: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname is not None:
                    modules[alias.asname] = alias.name
                else:
                    modules[alias.name.split(".")[0]] = alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                used.add(f"{node.module}.{alias.name}")
                modules[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            parts = [node.attr]
            inner: ast.expr = node.value
            while isinstance(inner, ast.Attribute):
                parts.append(inner.attr)
                inner = inner.value
            if isinstance(inner, ast.Name) and inner.id in modules:
                used.add(".".join([modules[inner.id], *reversed(parts)]))
    return used


def _of_tress(value: Any, observer: Observer, tress_modules: frozenset[ModuleType]) -> bool:
    if isinstance(value, ModuleType):
        return value in tress_modules
    found = observer.classify(value)
    return found is not None and found[0] == "ours"


def foreign_subjects(
    subjects: dict[str, Any], observer: Observer, tress_modules: frozenset[ModuleType]
) -> list[str]:
    """The objects under test, as their class names them, that are not tress's."""
    return [
        f"{name} is {value!r}"
        for name, value in subjects.items()
        if not _of_tress(value, observer, tress_modules)
    ]


def doubt(evidence: Evidence) -> str | None:
    """Why this run does not show that tress was what was tested; None if it does."""
    if evidence.sightings.standard:
        return "used the standard library's " + ", ".join(sorted(evidence.sightings.standard))
    bare = [pid for pid, names in evidence.replaced_in.items() if not names]
    missing = len(evidence.children) - len(evidence.replaced_in)
    if bare or missing > 0:
        flags = sorted({" ".join(child.arguments) for child in evidence.children})
        return f"started an interpreter without tress (flags: {'; '.join(flags)})"
    if evidence.sightings.ours or evidence.used_in_children:
        return None
    return NOTHING


def summary(evidence: Evidence) -> list[str]:
    """The names of tress's objects that the run used, those in started interpreters included."""
    in_children = {f"{name} (child)" for name in evidence.used_in_children}
    return sorted(evidence.sightings.ours | in_children)
