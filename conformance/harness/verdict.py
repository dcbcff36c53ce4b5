"""Compares the two sides, test by test."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum

from conformance.harness import lists, proof, protocol
from conformance.harness.drive import SuiteRun, is_exit
from conformance.harness.lists import Entry
from conformance.harness.protocol import Outcome


class Kind(Enum):
    """What a test's two outcomes come to. The value is what a reader is told."""

    PASSED = "passed on tress, and proved to have tested it"
    SKIPPED = "skipped on both sides"
    OWN = "the standard library's own"
    KNOWN = "known difference"
    BOTH = "passes on neither side"
    FAILED = "passes on the standard library and not on tress"
    UNPROVED = "passed, but not proved to have tested tress"
    STALE = "on a list that it does not belong on"

    @property
    def fails_the_run(self) -> bool:
        return self in {Kind.FAILED, Kind.UNPROVED, Kind.STALE}


@dataclass
class Verdict:
    """One test: its outcome on each side, and what that comes to."""

    suite: str
    test: str
    kind: Kind
    standard: Outcome | None
    tress: Outcome | None
    why: str = ""
    flaky: bool = False


def _unlike(standard: Outcome, tress: Outcome) -> str | None:
    """How the outcome on tress falls short of that on the standard library; None if it does not."""
    if tress.bad:
        return f"{tress.status}: {tress.message}"
    if standard.status == protocol.PASSED:
        if tress.status == protocol.SKIPPED:
            return f"skipped: {tress.detail}"
        if tress.untidy and not standard.untidy:
            return f"passed, but left something behind: {tress.message}"
    return None


def judge(
    suite: str,
    test: str,
    standard: Outcome | None,
    tress: Outcome | None,
    own: Entry | None,
    known: Entry | None,
    *,
    spared: bool = False,
) -> Verdict:
    """What one test comes to.

    `spared` says that it is among the standard library's tests, but was not run there: it passed on
    tress, and what is asked is whether all that passes there does so here.
    """

    def verdict(kind: Kind, why: str = "") -> Verdict:
        return Verdict(suite, test, kind, standard, tress, why)

    usual = Outcome(test, protocol.PASSED) if standard is None and spared else standard
    if usual is None:
        return verdict(Kind.FAILED, "not among the tests of the standard library's side")
    if tress is None:
        if usual.bad:
            return verdict(Kind.BOTH)
        return verdict(Kind.FAILED, "not run on tress")
    short = _unlike(usual, tress)
    if known is not None:
        if usual.status != protocol.PASSED:
            return verdict(Kind.STALE, "a known difference that is none: " + usual.message)
        if short is None:
            return verdict(Kind.STALE, "a known difference that passes")
        return verdict(Kind.KNOWN, known.reason)
    if short is not None:
        return verdict(Kind.BOTH if usual.bad else Kind.FAILED, short)
    if own is not None and not (own.uses_neither and tress.doubt != proof.NOTHING):
        tests_tress = tress.status == protocol.PASSED and tress.doubt is None
        if tests_tress and not own.uses_tress:
            return verdict(
                Kind.STALE,
                "listed as the standard library's own, but used tress's " + ", ".join(tress.used),
            )
        return verdict(Kind.OWN, own.reason)
    if tress.status == protocol.SKIPPED:
        return verdict(Kind.SKIPPED, tress.detail)
    if tress.doubt is not None:
        return verdict(Kind.UNPROVED, tress.doubt)
    return verdict(Kind.PASSED)


def compare(
    standard: SuiteRun,
    tress: SuiteRun,
    own: list[Entry],
    known: list[Entry],
    spared: Collection[str] = (),
) -> list[Verdict]:
    """What each test of a suite comes to, the end of its process included.

    `spared` names the tests that needed no run on the standard library.
    """
    names = dict.fromkeys([*standard.outcomes, *tress.outcomes, *spared])
    verdicts = []
    for name in names:
        if is_exit(name):
            continue
        verdicts.append(
            judge(
                standard.suite,
                name,
                standard.outcomes.get(name),
                tress.outcomes.get(name),
                lists.find(own, standard.suite, name),
                lists.find(known, standard.suite, name),
                spared=name in spared,
            )
        )
    for name in filter(is_exit, tress.outcomes):
        end, standard_end = tress.outcomes[name], standard.outcomes.get(name)
        if end.bad and not (standard_end is not None and standard_end.bad):
            why = f"{end.status}: {end.message}"
            verdicts.append(Verdict(tress.suite, name, Kind.FAILED, standard_end, end, why))
    return verdicts


def in_need(tress: SuiteRun) -> list[str] | None:
    """The tests whose outcome on the standard library matters, after tress's; None for all."""
    if tress.broken is not None or any(
        outcome.bad for name, outcome in tress.outcomes.items() if is_exit(name)
    ):
        return None
    return [
        name
        for name in tress.tests
        if name not in tress.outcomes
        or tress.outcomes[name].status != protocol.PASSED
        or tress.outcomes[name].untidy
    ]


def to_retry(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Those that a second run, alone, could come out otherwise."""
    return [
        verdict
        for verdict in verdicts
        if not is_exit(verdict.test)
        and (verdict.kind is Kind.FAILED or (verdict.standard is not None and verdict.standard.bad))
    ]


def after_retry(first: Outcome | None, second: Outcome | None) -> tuple[Outcome | None, bool]:
    """The outcome that counts of two, and whether the two differ for the better."""
    if second is None or first is None:
        return (first if second is None else second), False
    better = (
        (first.bad and not second.bad)
        or (first.untidy and not second.untidy)
        # What a test is skipped for may be what the test before it has left behind.
        or (first.status == protocol.SKIPPED and second.status == protocol.PASSED)
    )
    return (second, True) if better else (first, False)
