"""The JSON file of a run: its shape, and the figures that follow from the rounds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TypedDict

from bench.machine import Machine
from bench.measure import Round
from bench.sides import STD, TRESS

SCHEMA = 1
UNPINNED = "unpinned"
PINNED = "pinned"


class SideResult(TypedDict):
    """One side of one case: the figures of an operation, and every round."""

    best: float
    """Nanoseconds (or bytes) an operation in the best round."""
    median: float
    cpu_ns: float
    """User and system time an operation, threads and ended children too, where it was least."""
    switches: float
    """Voluntary context switches an operation, in the round with fewest."""
    rounds: list[Round]


class CaseResult(TypedDict):
    """One case in one placement."""

    name: str
    title: str
    unit: str
    placement: str
    target: float | None
    operations: int
    empty_loop_ns: float
    sides: dict[str, SideResult]
    ratio: float | None
    """The standard library's best over tress's best."""
    median_ratio: float | None
    met: bool | None
    not_offered: list[str]
    error: str | None


class Run(TypedDict):
    """One run of the suite."""

    schema: int
    machine: Machine
    rounds: int
    quick: bool
    cases: list[CaseResult]


def side_result(rounds: Sequence[Round], operations: int) -> SideResult:
    """The figures of one side from its rounds."""
    totals = [one["total"] for one in rounds]
    return SideResult(
        best=min(totals) / operations,
        median=median(totals) / operations,
        cpu_ns=min(one["user_ns"] + one["system_ns"] for one in rounds) / operations,
        switches=min(one["voluntary_switches"] for one in rounds) / operations,
        rounds=list(rounds),
    )


def ratio_to_std(result: CaseResult, side: str, figure: str = "best") -> float | None:
    """The standard library's figure over the side's; None where one of them is missing."""
    found = result["sides"]
    if STD not in found or side not in found:
        return None
    ours = found[side]["best"] if figure == "best" else found[side]["median"]
    theirs = found[STD]["best"] if figure == "best" else found[STD]["median"]
    return theirs / ours if ours > 0 else None


def judge(result: CaseResult) -> None:
    """Fill in the ratios and whether the target is met."""
    result["ratio"] = ratio_to_std(result, TRESS)
    result["median_ratio"] = ratio_to_std(result, TRESS, "median")
    if result["ratio"] is not None and result["target"] is not None:
        result["met"] = result["ratio"] >= result["target"]


def save(run: Run, path: Path) -> None:
    """Write one run."""
    path.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def load(path: Path) -> Run:
    """Read one run; `ValueError` when the file is none."""
    run: Run = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(run, dict) or run.get("schema") != SCHEMA:
        raise ValueError(f"{path}: not a bench result of schema {SCHEMA}")
    return run


def by_placement(run: Run, placement: str) -> dict[str, CaseResult]:
    """The cases of one placement, by name."""
    return {case["name"]: case for case in run["cases"] if case["placement"] == placement}
