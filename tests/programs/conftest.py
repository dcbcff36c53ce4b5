"""Fixtures of the tests of programs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from tests.programs.processes import Outcome, run_process

Same = Callable[..., Outcome]


@pytest.fixture
def same(tmp_path: Path) -> Same:
    """A function that runs arguments on both, in `tmp_path`, and insists on the same outcome.

    `flags` are options of the interpreter. The common outcome is returned, so that a test can also
    say what it must be.
    """

    def run_same(
        *arguments: str,
        flags: Sequence[str] = (),
        stdin: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> Outcome:
        plain, tress = (
            run_process(
                [sys.executable, *flags, *runner, *arguments],
                cwd=tmp_path,
                stdin=stdin,
                environment=environment,
            )
            for runner in ((), ("-m", "tress"))
        )
        assert tress == plain
        return plain

    return run_same
