"""The command: runs what was asked for on one side or both, compares, reports, and says so."""

from __future__ import annotations

import argparse
import fnmatch
import glob
import importlib.metadata
import itertools
import platform
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from conformance.harness import lists, report, verdict
from conformance.harness.drive import SuiteRun, run_suite
from conformance.harness.environment import (
    CONFORMANCE,
    Environment,
    EnvironmentUnavailable,
    make,
    tress_location,
)
from conformance.harness.suites import SUITES, suite_named
from conformance.harness.verdict import Verdict

KNOWN_DIFFERENCES = CONFORMANCE / "known_differences.toml"
STANDARD_LIBRARYS_OWN = CONFORMANCE / "standard_library_own.toml"
# Of a hundred tests, as many may be known differences.
MOST_KNOWN_IN_100 = 2


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="conformance/run.py",
        description="Run CPython's own tests of threads, queues and futures, as installed with "
        "this interpreter, against the standard library and against tress.",
    )
    parser.add_argument(
        "--suite",
        action="append",
        metavar="PATTERN",
        help="run only suites whose name, such as test_queue, matches this shell-style pattern "
        "(may be given again)",
    )
    parser.add_argument(
        "--test",
        action="append",
        metavar="PATTERN",
        help="run only tests whose name, such as ThreadTests.test_name, matches this "
        "shell-style pattern (may be given again)",
    )
    parser.add_argument(
        "--side",
        choices=["as-needed", "both", "standard", "tress"],
        default="as-needed",
        help="run on tress, and on the standard library what does not pass there (default); or "
        "everything on both; or on one only",
    )
    parser.add_argument(
        "--without-processes", action="store_true", help="leave out the tests of processes"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="test modules at a time")
    parser.add_argument(
        "--durations", type=int, default=0, metavar="N", help="list the N slowest tests"
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="time for a single test before it counts as hung (default: %(default)g)",
    )
    parser.add_argument("--no-retry", action="store_true", help="do not run failed tests again")
    parser.add_argument(
        "--own", action="store_true", help="list the tests of what is the standard library's own"
    )
    parser.add_argument(
        "--traceback", action="store_true", help="show the whole of each failure on tress"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results to FILE")
    arguments = parser.parse_args(argv)
    for pattern in arguments.suite or ():
        if not fnmatch.filter([suite.name for suite in SUITES], pattern):
            names = ", ".join(suite.name for suite in SUITES)
            parser.error(f"argument --suite: no suite is named {pattern!r}; there are {names}")
    if arguments.jobs < 1:
        parser.error(f"argument --jobs: must be at least 1, not {arguments.jobs}")
    if not arguments.limit > 0:
        parser.error(f"argument --limit: must be more than 0, not {arguments.limit:g}")
    if arguments.durations < 0:
        parser.error(f"argument --durations: must be at least 0, not {arguments.durations}")
    return arguments


class _Run:
    """One run of the command: the environments, the lists and what came of the suites so far."""

    def __init__(self, arguments: argparse.Namespace, folder: Path, python: str) -> None:
        self.arguments = arguments
        compares = arguments.side in ("as-needed", "both")
        sides = ["standard", "tress"] if compares else [arguments.side]
        self.environments: dict[str, Environment] = {side: make(folder, side) for side in sides}
        replaced = frozenset[str]().union(*(one.replaced for one in self.environments.values()))
        self.own = lists.read(
            STANDARD_LIBRARYS_OWN, "own", python, patterns=True, replaced=replaced
        )
        self.known = lists.read(KNOWN_DIFFERENCES, "difference", python, patterns=False)
        self.suites = [
            suite.name
            for suite in SUITES
            if arguments.suite is None
            or any(fnmatch.fnmatchcase(suite.name, pattern) for pattern in arguments.suite)
            if not (suite.of_processes and arguments.without_processes)
        ]
        self.sides: dict[str, dict[str, SuiteRun]] = {
            side: {suite: SuiteRun(suite, side, shipped=False) for suite in self.suites}
            for side in sides
        }
        # For each suite, what needs no run on the standard library.
        self.spared: dict[str, set[str]] = {suite: set() for suite in self.suites}
        self.verdicts: dict[str, list[Verdict]] = {}
        self.problems: list[str] = []

    def _one(
        self, side: str, suite: str, only: list[str] | None = None, module: str | None = None
    ) -> SuiteRun:
        plain = [
            entry.test
            for entry in self.own
            if fnmatch.fnmatchcase(suite, entry.suite) and entry.without_tress
        ]
        return run_suite(
            self.environments[side],
            side,
            suite,
            limit=self.arguments.limit,
            scope=self.arguments.test,
            only=only,
            plain=plain,
            module=module,
            without_processes=self.arguments.without_processes,
        )

    def run(self) -> None:
        """Run all suites, a test module at a time, on the sides that are asked for."""
        modules = [
            (name, module) for name in self.suites for module in suite_named(name).module_names()
        ]
        # Those of processes take longest, and come last: begun first, they end with the others.
        modules.reverse()
        with ThreadPoolExecutor(self.arguments.jobs) as pool:
            runs = list(pool.map(lambda pair: self._module(*pair), modules))
        for side, part in itertools.chain.from_iterable(reversed(runs)):
            self.sides[side][part.suite].absorb(part)
            if part.broken is not None:
                self.problems.append(f"{part.suite} on {side}: {part.broken}")

    def _module(self, suite: str, module: str) -> list[tuple[str, SuiteRun]]:
        if self.arguments.side != "as-needed":
            return [(side, self._one(side, suite, module=module)) for side in self.sides]
        tress = self._one("tress", suite, module=module)
        needed = verdict.in_need(tress)
        # A pattern that no test matches lists the tests that there are.
        only = None if needed is None else needed or [""]
        standard = self._one("standard", suite, only, module)
        self.spared[suite].update(set(standard.tests) - set(standard.outcomes))
        return [("standard", standard), ("tress", tress)]

    def compare(self) -> None:
        """Judge every suite, after a second chance for the tests that failed."""
        standard, tress = self.sides["standard"], self.sides["tress"]
        for suite in self.suites:
            sides = (standard[suite], tress[suite], self.own, self.known)
            verdicts = verdict.compare(*sides, self.spared[suite])
            flaky = set()
            if not self.arguments.no_retry:
                flaky = self._retry(suite, verdict.to_retry(verdicts))
            if flaky:
                verdicts = verdict.compare(*sides, self.spared[suite])
                for one in verdicts:
                    one.flaky = one.test in flaky
            self.verdicts[suite] = verdicts

    def _retry(self, suite: str, failed: list[Verdict]) -> set[str]:
        flaky = set()
        for one in failed:
            for side, runs in self.sides.items():
                again = self._one(side, suite, [glob.escape(one.test)])
                outcomes = runs[suite].outcomes
                outcome, better = verdict.after_retry(
                    outcomes.get(one.test), again.outcomes.get(one.test)
                )
                if outcome is not None:
                    outcomes[one.test] = outcome
                if better:
                    flaky.add(one.test)
        return flaky

    def check_lists(self) -> None:
        """On a run of everything: each known difference exists, and they are few."""
        asked = self.arguments
        if asked.suite is not None or asked.test is not None or asked.without_processes:
            return
        tress = self.sides["tress"]
        for entry in self.known:
            runs = [
                run
                for suite, run in tress.items()
                if fnmatch.fnmatchcase(suite, entry.suite) and run.shipped
            ]
            if runs and not any(entry.test in run.outcomes for run in runs):
                self.problems.append(
                    f"known difference {entry.suite}: {entry.test}: there is no such test"
                )
        ran = sum(report.counts(run)["ran"] for run in tress.values())
        known = sum(one.kind is verdict.Kind.KNOWN for one in self.all_verdicts())
        if known * 100 > ran * MOST_KNOWN_IN_100:
            self.problems.append(
                f"{known} known differences among {ran} tests: at most "
                f"{MOST_KNOWN_IN_100} in 100 are accepted"
            )

    def check_that_something_ran(self) -> None:
        """A pattern that no test matches is a mistake, not a success."""
        shipped = [run for runs in self.sides.values() for run in runs.values() if run.shipped]
        if shipped and not any(run.tests for run in shipped) and not self.problems:
            self.problems.append("no test has such a name")

    def all_verdicts(self) -> list[Verdict]:
        return [one for verdicts in self.verdicts.values() for one in verdicts]


def _version_of_tress() -> str:
    try:
        return importlib.metadata.version("tress")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed as a package)"


def _tracebacks(verdicts: list[Verdict]) -> list[str]:
    lines = []
    for one in verdicts:
        if one.tress is not None and one.tress.bad:
            lines += [f"== {one.suite}: {one.test}", one.tress.detail.rstrip(), ""]
    return lines


def _report(run: _Run, python: str, tress: str) -> int:
    verdicts = run.all_verdicts()
    for line in report.table(run.sides, run.verdicts):
        print(line)
    if run.arguments.traceback:
        print("\n".join(_tracebacks(verdicts)))
    for line in report.details(verdicts, own=run.arguments.own):
        print(line)
    if verdicts:
        print("\n".join(report.with_tress_in_place(verdicts)))
    for line in report.slowest(run.sides, run.arguments.durations):
        print(line)
    for problem in run.problems:
        print(f"problem: {problem}")
    if run.arguments.json is not None:
        report.write_json(run.arguments.json, python, tress, run.sides, run.verdicts, run.problems)
    if run.verdicts:
        failed = bool(run.problems) or any(one.kind.fails_the_run for one in verdicts)
        print(report.closing(verdicts, len(run.problems)))
        return 1 if failed else 0
    runs = [one for runs in run.sides.values() for one in runs.values()]
    failed = bool(run.problems) or any(
        outcome.bad for one in runs for outcome in one.outcomes.values()
    )
    print(report.closing_of_one_side(runs, len(run.problems)))
    return 1 if failed else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. 0: as it should be; 1: something fails; 2: it could not be run."""
    arguments = _arguments(argv)
    python = platform.python_version()
    short = ".".join(python.split(".")[:2])
    try:
        if arguments.side != "standard":
            tress_location()
        with tempfile.TemporaryDirectory(prefix="conformance-", ignore_cleanup_errors=True) as name:
            run = _Run(arguments, Path(name).resolve(), short)
            tress = _version_of_tress()
            print(f"{platform.python_implementation()} {python} against tress {tress}\n")
            run.run()
            if len(run.sides) == 2:
                run.compare()
                run.check_lists()
            run.check_that_something_ran()
            return _report(run, python, tress)
    except (EnvironmentUnavailable, lists.BadList) as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2
