"""Runs suites in processes of their own, and gets through them whatever those processes do.

A test that hangs, or that takes its process down, ends that process: it gets the stacks of all
threads as its result, and a new process goes on with the tests after it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.harness import protocol
from conformance.harness.environment import Environment, variables
from conformance.harness.protocol import Outcome
from conformance.harness.start import WORKER
from conformance.harness.suites import suite_named

# Processes that one suite may use up before the rest of it is given up.
_MOST_PROCESSES = 40
# Between looks at the file of events.
_LOOK_SECONDS = 0.05
# For the stacks to be written, once asked for.
_DUMP_SECONDS = 10.0
_DETAIL_CHARACTERS = 12_000

# The end of the process that ran a suite, which is a result like that of a test: an interpreter
# that hangs or crashes as it exits has failed. A suite that is run in parts has one for each.
EXIT = "(exit of the interpreter)"


def is_exit(test: str) -> bool:
    return test.startswith(EXIT)


@dataclass
class SuiteRun:
    """What one suite gave on one side."""

    suite: str
    side: str
    shipped: bool = True
    python: str = ""
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    # The names of all its tests that were asked for, run or not, once its end was reached.
    tests: list[str] = field(default_factory=list)
    seconds: float = 0.0
    # Why the suite could not be run to its end, if it could not.
    broken: str | None = None

    def absorb(self, part: SuiteRun) -> None:
        """Take over the run of one of its parts."""
        self.python = part.python or self.python
        self.shipped = self.shipped or part.shipped
        self.outcomes.update(part.outcomes)
        self.tests += part.tests
        self.seconds += part.seconds
        if part.broken is not None:
            self.broken = part.broken if self.broken is None else f"{self.broken}; {part.broken}"


@dataclass
class _Process:
    """One process that runs (the rest of) a suite."""

    popen: subprocess.Popen[bytes]
    events: Path
    log: Path

    def _tail(self) -> str:
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return text[-_DETAIL_CHARACTERS:]

    def follow(self, limit: float) -> tuple[str | None, str]:
        """Wait for the end, and say how it came: (None, "") in good order, (status, log) if not.

        `limit` is the time in seconds within which something must happen: the next test must
        start, or the running one end.
        """
        seen = -1
        deadline = time.monotonic() + limit
        while self.popen.poll() is None:
            size = self.events.stat().st_size if self.events.exists() else 0
            if size != seen:
                seen = size
                deadline = time.monotonic() + limit
            if time.monotonic() > deadline:
                self._dump_stacks()
                return (protocol.HUNG, f"no end within {limit:g} s\n{self._tail()}")
            time.sleep(_LOOK_SECONDS)
        self._kill_group()
        code = self.popen.returncode
        if code == 0:
            return (None, "")
        if code < 0:
            name = signal.Signals(-code).name
            return (protocol.CRASHED, f"ended by {name}\n{self._tail()}")
        return (protocol.CRASHED, f"ended with exit code {code}\n{self._tail()}")

    def _dump_stacks(self) -> None:
        # faulthandler, enabled there, writes the stacks of all threads on this signal.
        self.popen.send_signal(signal.SIGABRT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(_DUMP_SECONDS)
        self._kill_group()
        self.popen.wait()

    def _kill_group(self) -> None:
        # What the tests started and left behind is in the process group of this process.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)


def _start(environment: Environment, order: protocol.Order, folder: Path) -> _Process:
    order_file = folder / "order.json"
    order.write(order_file)
    log = folder / "log"
    work = folder / "work"
    work.mkdir()
    with log.open("wb") as output:
        popen = subprocess.Popen(
            [
                str(environment.python),
                "-W",
                "default",
                "-m",
                WORKER,
                str(order_file),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=work,
            env=variables(),
            start_new_session=True,
        )
    return _Process(popen, Path(order.events), log)


def _absorb(run: SuiteRun, events: list[dict[str, Any]]) -> str | None:
    """Take over what a process got done, and say which test it was in."""
    current: str | None = None
    for event in events:
        if event["event"] == "loaded":
            run.shipped = event["shipped"]
            run.python = event["python"]
        elif event["event"] == "start":
            current = event["test"]
        elif event["event"] == "end":
            outcome = Outcome(**event["outcome"])
            run.outcomes[outcome.test] = outcome
            current = None
        elif event["event"] == "complete":
            run.tests = event["tests"]
    return current


def run_suite(
    environment: Environment,
    side: str,
    suite: str,
    *,
    limit: float,
    scope: list[str] | None = None,
    only: list[str] | None = None,
    plain: list[str] | None = None,
    module: str | None = None,
    without_processes: bool = False,
) -> SuiteRun:
    """Run one suite, or one test module of it, on one side, in as many processes as it takes."""
    began = time.monotonic()
    run = _run(
        environment,
        side,
        suite,
        limit=limit,
        scope=scope or [],
        only=only or [],
        plain=plain or [],
        modules=[] if module is None else [module],
        without_processes=without_processes,
    )
    run.seconds = time.monotonic() - began
    return run


def _run(
    environment: Environment,
    side: str,
    suite: str,
    *,
    limit: float,
    scope: list[str],
    only: list[str],
    plain: list[str],
    modules: list[str],
    without_processes: bool,
) -> SuiteRun:
    run = SuiteRun(suite, side)
    whole = suite_named(suite).module
    end = " ".join(
        [EXIT, *(module.removeprefix(f"{whole}.") for module in modules if module != whole)]
    )
    for _ in range(_MOST_PROCESSES):
        with tempfile.TemporaryDirectory(
            dir=environment.reports, ignore_cleanup_errors=True
        ) as name:
            folder = Path(name)
            order = protocol.Order(
                side=side,
                suite=suite,
                reports=str(environment.reports),
                events=str(folder / "events"),
                modules=modules,
                scope=scope,
                only=only,
                done=list(run.outcomes),
                plain=plain,
                without_processes=without_processes,
            )
            process = _start(environment, order, folder)
            try:
                status, detail = process.follow(limit)
            finally:
                process._kill_group()
            events = protocol.read_events(folder / "events")
            current = _absorb(run, events)
        complete = bool(events) and events[-1]["event"] == "complete"
        if complete:
            if run.outcomes:
                run.outcomes[end] = Outcome(end, status or protocol.PASSED, detail=detail)
            return run
        if current is None:
            run.broken = detail or "ended in good order without having run its tests"
            return run
        run.outcomes[current] = Outcome(current, status or protocol.CRASHED, detail=detail)
    run.broken = f"given up after {_MOST_PROCESSES} processes"
    return run
