"""The JSON file of a run: its shape, and the figures that follow from the rounds."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import TypedDict

from bench.machine import Machine
from bench.measure import Round
from bench.sides import STD, TRESS

SCHEMA = 2
UNPINNED = "unpinned"
PINNED = "pinned"
P99 = "p99"


class SideResult(TypedDict):
    """One side of one case: the figures of an operation, and every round."""

    best: float
    """Nanoseconds (or bytes) an operation in the best round."""
    median: float
    cpu_ns: float
    """User and system time an operation, threads and ended children too, where it was least."""
    switches: float
    """Voluntary context switches an operation, in the round with fewest."""
    latency_ns: dict[str, float]
    """Percentiles of the time from a request to its answer, each the median of the rounds'."""
    generator_busy: float
    """The part of the time in which the load generator was on its CPU, in the best round."""
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
    rivals: list[str]
    """The sides that tress is compared with, where they are installed."""
    best_rival: str | None
    """The one with the best best."""
    ratio: float | None
    """That rival's best over tress's best."""
    median_ratio: float | None
    """The best of the rivals' medians over tress's median."""
    cpu_ratio: float | None
    """The least of the rivals' processor times over tress's."""
    latency_ratio: float | None
    """The least of the rivals' p99 over tress's p99."""
    floor: str | None
    """The side beyond which nobody is expected to get."""
    floor_target: float | None
    floor_ratio: float | None
    """Its best over tress's best."""
    met: bool | None
    """Both targets, as far as there are figures; None where there is no target."""
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
        generator_busy=_generator_busy(min(rounds, key=lambda one: one["total"])),
        latency_ns={
            name: median(one["latency_ns"][name] for one in rounds)
            for name in rounds[0]["latency_ns"]
        },
        rounds=list(rounds),
    )


def _generator_busy(one: Round) -> float:
    return one["generator_ns"] / one["total"] if one["total"] > 0 else 0.0


def ratio_to(base: SideResult | None, side: SideResult | None) -> float | None:
    """The one's best over the other's; None where one of them is missing."""
    if base is None or side is None or side["best"] <= 0:
        return None
    return base["best"] / side["best"]


def ratio_to_std(result: CaseResult, side: str) -> float | None:
    """The standard library's best over the side's; None where one of them is missing."""
    return ratio_to(result["sides"].get(STD), result["sides"].get(side))


def judge(result: CaseResult) -> None:
    """Fill in the ratios and whether the targets are met."""
    found = result["sides"]
    ours = found.get(TRESS)
    rivals = {name: found[name] for name in result["rivals"] if name in found}
    if ours is None or not rivals:
        return
    best = min(rivals, key=lambda name: rivals[name]["best"])
    result["best_rival"] = best
    result["ratio"] = ratio_to(rivals[best], ours)

    def least(figure: Callable[[SideResult], float]) -> float | None:
        return min(map(figure, rivals.values())) / figure(ours) if figure(ours) > 0 else None

    result["median_ratio"] = least(lambda side: side["median"])
    result["cpu_ratio"] = least(lambda side: side["cpu_ns"])
    result["latency_ratio"] = least(lambda side: side["latency_ns"].get(P99, 0.0))
    if result["floor"] is not None:
        result["floor_ratio"] = ratio_to(found.get(result["floor"]), ours)
    judged = (
        (result["ratio"], result["target"]),
        (result["floor_ratio"], result["floor_target"]),
    )
    met = [ratio >= asked for ratio, asked in judged if ratio is not None and asked is not None]
    result["met"] = all(met) if met else None


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
