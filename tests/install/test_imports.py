"""What importing tress costs a process, each of which does it anew: the modules that it loads."""

from __future__ import annotations

import subprocess
import sys

import pytest

LONG = {"ast", "dataclasses", "dis", "inspect", "json", "logging", "re", "subprocess", "typing"}

LOADED = """
import sys
import {module}
print(*sys.modules)
"""


def loaded(module: str) -> set[str]:
    """The modules that are there in an interpreter that has imported `module`."""
    ran = subprocess.run(
        [sys.executable, "-c", LOADED.format(module=module)],
        check=True,
        capture_output=True,
        text=True,
        timeout=50,
    )
    return set(ran.stdout.split())


@pytest.mark.parametrize(
    ("module", "standard"),
    [
        ("multiprocessing", "multiprocessing"),
        ("multiprocessing.pool", "multiprocessing.pool, concurrent.futures.process"),
        ("concurrent.futures.process", "concurrent.futures.process"),
        ("threading", "threading"),
        ("queue", "queue"),
    ],
)
def test_nothing_is_loaded_that_takes_long(module: str, standard: str) -> None:
    more = loaded(f"tress.{module}") - loaded(standard)
    assert f"tress.{module}" in more
    assert more.isdisjoint(LONG), more & LONG
