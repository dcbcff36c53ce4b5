"""The two libraries that most tests here are run with, side by side."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import tress
import tress.threading
from tests.threads.futures_of import Gate


@pytest.fixture(params=["standard", "tress"])
def library(request: pytest.FixtureRequest) -> ModuleType:
    """The standard `threading`, and tress's: a test that takes it states what both must do."""
    return threading if request.param == "standard" else tress.threading


@pytest.fixture(autouse=True)
def deadlock_mode() -> Iterator[Any]:
    """Every test begins and ends with deadlocks raised."""
    tress.deadlock("raise")
    yield tress.deadlock
    tress.deadlock("raise")


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A gate that the test leaves open."""
    made = Gate()
    yield made
    made.open()
