"""Every test of `install()` begins and ends with the standard library as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import tress


@pytest.fixture(autouse=True)
def _leaves_nothing_installed() -> Iterator[None]:
    assert tress.installed() == {}
    yield
    tress.uninstall()
