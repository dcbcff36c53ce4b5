"""Fixtures of the tests of frameworks, which are `ci/frameworks`'s to run.

They need packages that the other tests do not have beside them, and servers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.frameworks import servers

collect_ignore_glob = [] if "TRESS_REDIS" in os.environ else ["test_*.py"]


@pytest.fixture(scope="session")
def redis() -> Iterator[dict[str, str]]:
    """The environment in which a program finds a Redis."""
    with servers.redis() as environment:
        yield environment


@pytest.fixture(scope="session")
def postgresql() -> Iterator[dict[str, str]]:
    """The environment in which a program finds a PostgreSQL."""
    with servers.postgresql() as environment:
        yield environment
