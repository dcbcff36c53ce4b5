"""What the run and the process that runs a suite tell each other."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

PASSED = "passed"
FAILED = "failed"
ERROR = "error"
SKIPPED = "skipped"
HUNG = "hung"
CRASHED = "crashed"


@dataclass(frozen=True)
class Order:
    """One suite to run on one side."""

    side: str
    suite: str
    reports: str
    events: str
    # The test modules to run; empty means all that the suite has.
    modules: list[str] = field(default_factory=list)
    # Shell-style patterns of what the run is about, and the tests or patterns of these that are to
    # be run; empty means all.
    scope: list[str] = field(default_factory=list)
    only: list[str] = field(default_factory=list)
    # Tests that a process before this one got through.
    done: list[str] = field(default_factory=list)
    # Patterns of the tests whose interpreters are to be started without tress.
    plain: list[str] = field(default_factory=list)
    # Leaves out the tests that start processes through what they test.
    without_processes: bool = False

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Order:
        return cls(**json.loads(path.read_text(encoding="utf-8")))


@dataclass
class Outcome:
    """How one test ended on one side."""

    test: str
    status: str
    seconds: float = 0.0
    # A traceback, or the reason of a skip.
    detail: str = ""
    # On tress's side: what of tress's the test used, and why that proves nothing (None: it does).
    used: list[str] = field(default_factory=list)
    doubt: str | None = None
    # Threads or processes were left behind.
    untidy: bool = False

    @property
    def bad(self) -> bool:
        return self.status in {FAILED, ERROR, HUNG, CRASHED}

    @property
    def message(self) -> str:
        """The line of the detail that says most: the last that is more than punctuation."""
        lines = [line.strip() for line in self.detail.splitlines()]
        return next((line for line in reversed(lines) if line.strip("-=_ ")), self.status)


def read_events(path: Path) -> list[dict[str, Any]]:
    """The complete events written so far."""
    if not path.exists():
        return []
    events = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            events.append(json.loads(line))
    return events
