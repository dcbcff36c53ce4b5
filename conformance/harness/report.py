"""Turns verdicts into what is printed and what is written as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from conformance.harness import protocol
from conformance.harness.drive import SuiteRun, is_exit
from conformance.harness.verdict import Kind, Verdict

_COUNTS = ("ran", "passed", "failed", "errors", "skipped")
_SECONDS = "seconds"


def counts(run: SuiteRun) -> Counter[str]:
    """How the tests of a suite ended on one side, whatever they proved."""
    total: Counter[str] = Counter()
    for name, outcome in run.outcomes.items():
        if is_exit(name):
            continue
        total["ran"] += 1
        if outcome.status in {protocol.PASSED, protocol.FAILED, protocol.SKIPPED}:
            total[outcome.status] += 1
        else:
            total["errors"] += 1
    return total


def tress_counts(run: SuiteRun, verdicts: Iterable[Verdict]) -> Counter[str]:
    """The same for tress: what passed is only what was proved; the rest has its own columns."""
    total: Counter[str] = Counter()
    for verdict in verdicts:
        if is_exit(verdict.test) or verdict.tress is None:
            continue
        total["ran"] += 1
        status = verdict.tress.status
        if verdict.kind is Kind.OWN:
            total["own"] += 1
        elif verdict.tress.bad:
            total["failed" if status == protocol.FAILED else "errors"] += 1
        elif status == protocol.SKIPPED:
            total["skipped"] += 1
        elif verdict.tress.doubt is not None:
            total["unproved"] += 1
        else:
            total["passed"] += 1
    return total


def _row(name: str, columns: Iterable[object]) -> str:
    return f"{name:<26}" + "".join(f"{column!s:>9}" for column in columns)


def table(sides: dict[str, dict[str, SuiteRun]], verdicts: dict[str, list[Verdict]]) -> list[str]:
    """The counts, a line for each suite and side."""
    lines = []
    for side, runs in sides.items():
        tress = side == "tress" and verdicts
        columns = (*_COUNTS, *(("own", "unproved") if tress else ()), _SECONDS)
        title = "tress" if side == "tress" else "standard library"
        lines.append(_row(title, columns))
        total: Counter[str] = Counter()
        for suite, run in runs.items():
            if not run.shipped:
                lines.append(f"{suite:<26}  not shipped with this Python")
                continue
            count = tress_counts(run, verdicts[suite]) if tress else counts(run)
            count[_SECONDS] = round(run.seconds)
            total.update(count)
            lines.append(_row(suite, (count[column] for column in columns)))
        lines.append(_row("total", (total[column] for column in columns)))
        lines.append("")
    return lines


def _listed(title: str, verdicts: list[Verdict]) -> list[str]:
    if not verdicts:
        return []
    lines = [f"{title}: {len(verdicts)}"]
    for verdict in verdicts:
        lines.append(f"  {verdict.suite}: {verdict.test}")
        if verdict.why:
            lines.append(f"      {verdict.why}")
    return [*lines, ""]


def details(verdicts: list[Verdict], *, own: bool) -> list[str]:
    """The tests that are not plainly passed, by what they come to."""
    lines: list[str] = []
    for kind in (Kind.FAILED, Kind.STALE, Kind.UNPROVED, Kind.BOTH, Kind.KNOWN):
        lines += _listed(kind.value, [v for v in verdicts if v.kind is kind])
    lines += _listed("flaky, but passed alone", [v for v in verdicts if v.flaky])
    of_standard = [v for v in verdicts if v.kind is Kind.OWN]
    if own:
        lines += _listed(Kind.OWN.value, of_standard)
    elif of_standard:
        lines.append(
            f"{Kind.OWN.value}: {len(of_standard)} (run beside tress with the same outcome as "
            "without it; counted for neither; --own lists them)"
        )
        for reason, number in Counter(v.why for v in of_standard).most_common():
            lines.append(f"  {number:>4}  {reason}")
        lines.append("")
    return lines


def with_tress_in_place(verdicts: list[Verdict]) -> list[str]:
    """How many of the tests that pass without tress pass with it, whatever they test."""
    here = [v for v in verdicts if v.tress and v.tress.status == protocol.PASSED]
    spared = [v for v in here if v.standard is None]
    usual = [v for v in verdicts if v.standard and v.standard.status == protocol.PASSED]
    still = [v for v in usual if v.tress and v.tress.status == protocol.PASSED]
    proved = sum(v.kind is Kind.PASSED for v in (*still, *spared))
    lines = []
    if spared:
        lines.append(f"{len(spared)} tests pass with tress in place, and were run there only.")
    lines.append(
        f"Of {len(usual)} {'others' if spared else 'tests'} that pass on the standard library, "
        f"{len(still)} pass with tress in place."
    )
    return [*lines, f"{proved} of these passes are proved to test tress.", ""]


def slowest(sides: dict[str, dict[str, SuiteRun]], number: int) -> list[str]:
    """The `number` tests that took longest, whichever side they were run on."""
    took = [
        (outcome.seconds, side, suite, outcome.test)
        for side, runs in sides.items()
        for suite, run in runs.items()
        for outcome in run.outcomes.values()
    ]
    took.sort(reverse=True)
    return [
        f"{seconds:7.1f} s  {side}: {suite}: {test}" for seconds, side, suite, test in took[:number]
    ]


def closing(verdicts: list[Verdict], problems: int) -> str:
    """The last line."""
    passed = sum(v.kind is Kind.PASSED for v in verdicts)
    failed = sum(v.kind.fails_the_run for v in verdicts) + problems
    skipped = sum(v.kind is Kind.SKIPPED for v in verdicts)
    return f"{passed} passed, {failed} failed, {skipped} skipped"


def closing_of_one_side(runs: Iterable[SuiteRun], problems: int) -> str:
    total: Counter[str] = Counter()
    for run in runs:
        total.update(counts(run))
    failed = total["failed"] + total["errors"] + problems
    return f"{total['passed']} passed, {failed} failed, {total['skipped']} skipped"


def _plain(verdict: Verdict) -> dict[str, Any]:
    return {
        "suite": verdict.suite,
        "test": verdict.test,
        "verdict": verdict.kind.name.lower(),
        "why": verdict.why,
        "flaky": verdict.flaky,
        "standard": None if verdict.standard is None else asdict(verdict.standard),
        "tress": None if verdict.tress is None else asdict(verdict.tress),
    }


def write_json(
    path: Path,
    python: str,
    tress: str,
    sides: dict[str, dict[str, SuiteRun]],
    verdicts: dict[str, list[Verdict]],
    problems: list[str],
) -> None:
    """Everything that is known of the run."""
    suites: dict[str, Any] = {}
    for side, runs in sides.items():
        for name, run in runs.items():
            entry = suites.setdefault(name, {"shipped": run.shipped})
            if side == "tress" and verdicts:
                entry[side] = dict(tress_counts(run, verdicts[name]))
            else:
                entry[side] = dict(counts(run))
            if not verdicts:
                entry["tests"] = [asdict(outcome) for outcome in run.outcomes.values()]
    content = {
        "python": python,
        "tress": tress,
        "suites": suites,
        "tests": [_plain(verdict) for found in verdicts.values() for verdict in found],
        "problems": problems,
    }
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
