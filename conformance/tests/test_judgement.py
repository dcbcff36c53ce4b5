"""The lists, the proof and the comparison, without running any suite."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

import pytest

from conformance.harness import command, lists, proof, sources, suites, verdict, worker
from conformance.harness.drive import EXIT, SuiteRun
from conformance.harness.protocol import CRASHED, ERROR, PASSED, SKIPPED, Outcome, read_events
from conformance.harness.seen import Observer, Sightings, catalogue
from conformance.harness.verdict import Kind

ENTRY = lists.Entry("test_queue", "C.test_a", lists.PYTHONS, "because")


def judged(own: lists.Entry, tress: Outcome) -> Kind:
    return verdict.judge(
        "test_queue", "C.test_a", Outcome("C.test_a", PASSED), tress, own, None
    ).kind


def test_of_a_pattern_those_are_the_standard_librarys_that_use_nothing_of_tress() -> None:
    own = lists.Entry("test_queue", "C.*", lists.PYTHONS, "because", uses_neither=True)
    assert judged(own, Outcome("C.test_a", PASSED, doubt=proof.NOTHING)) is Kind.OWN
    assert judged(own, Outcome("C.test_a", PASSED)) is Kind.PASSED
    used_another = Outcome("C.test_a", PASSED, doubt="used the standard library's Queue")
    assert judged(own, used_another) is Kind.UNPROVED


def written(folder: Path, text: str) -> Path:
    path = folder / "list.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("python", lists.PYTHONS)
def test_the_lists_of_the_project_are_well_formed(python: str) -> None:
    lists.read(command.KNOWN_DIFFERENCES, "difference", python, patterns=False)
    lists.read(command.STANDARD_LIBRARYS_OWN, "own", python, patterns=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[difference]]\nsuite = "test_queue"\ntest = "a"', "reason must be a string"),
        ('[[difference]]\nsuite = "x"\ntest = "a"\nreason = "b"', "no suite is named 'x'"),
        ('[[difference]]\nsuite = "test_queue"\ntest = "a*"\nreason = "b"', "is a pattern"),
        ('[[difference]]\nsuite = "test_queue"\nwhy = "b"', "unknown key test|unknown key why"),
        ('[[other]]\nsuite = "test_queue"', "only .*difference"),
        ("[[difference", "list.toml"),
        (
            '[[difference]]\nsuite = "test_queue"\ntest = "a"\nreason = "b"\npythons = ["2.7"]',
            "pythons must be a list out of",
        ),
    ],
)
def test_a_bad_list_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(lists.BadList, match=message):
        lists.read(written(tmp_path, text), "difference", "3.13", patterns=False)


def test_an_entry_holds_for_its_pythons_only(tmp_path: Path) -> None:
    text = '[[difference]]\nsuite = "test_queue"\ntest = "a"\nreason = "b"\npythons = ["3.12"]'
    path = written(tmp_path, text)
    assert len(lists.read(path, "difference", "3.12", patterns=False)) == 1
    assert lists.read(path, "difference", "3.13", patterns=False) == []


@pytest.mark.parametrize(("replaced", "count"), [(set(), 1), ({"m.Pool"}, 0), ({"m.Queue"}, 1)])
def test_an_entry_may_hold_while_something_is_standard(
    tmp_path: Path, replaced: set[str], count: int
) -> None:
    text = """
[[own]]
suite = "test_multiprocessing_*"
test = "*Pool.*"
reason = "pools"
while_standard = "m.Pool"
"""
    path = written(tmp_path, text)
    entries = lists.read(path, "own", "3.13", patterns=True, replaced=frozenset(replaced))
    assert len(entries) == count
    for entry in entries:
        assert entry.covers("test_multiprocessing_spawn", "WithProcessesTestPool.test_map")
        assert not entry.covers("test_queue", "WithProcessesTestPool.test_map")


def outcome(status: str, doubt: str | None = None, *, untidy: bool = False) -> Outcome:
    return Outcome("C.test_a", status, doubt=doubt, used=["Event"], untidy=untidy)


@pytest.mark.parametrize(
    ("standard", "tress", "listed", "expected"),
    [
        (outcome(PASSED), outcome(PASSED), None, Kind.PASSED),
        (outcome(PASSED), outcome(PASSED, "used nothing"), None, Kind.UNPROVED),
        (outcome(PASSED), outcome(ERROR), None, Kind.FAILED),
        (outcome(PASSED), outcome(SKIPPED), None, Kind.FAILED),
        (outcome(PASSED), outcome(PASSED, untidy=True), None, Kind.FAILED),
        (outcome(PASSED), None, None, Kind.FAILED),
        (None, outcome(PASSED), None, Kind.FAILED),
        (outcome(SKIPPED), outcome(SKIPPED), None, Kind.SKIPPED),
        (outcome(ERROR), outcome(ERROR), None, Kind.BOTH),
        (outcome(PASSED), outcome(ERROR), "known", Kind.KNOWN),
        (outcome(PASSED), outcome(PASSED), "known", Kind.STALE),
        (outcome(ERROR), outcome(ERROR), "known", Kind.STALE),
        (outcome(PASSED), outcome(PASSED, "used nothing"), "own", Kind.OWN),
        (outcome(PASSED), outcome(PASSED), "own", Kind.STALE),
        (outcome(PASSED), outcome(ERROR), "own", Kind.FAILED),
    ],
)
def test_what_two_outcomes_come_to(
    standard: Outcome | None, tress: Outcome | None, listed: str | None, expected: Kind
) -> None:
    own = ENTRY if listed == "own" else None
    known = ENTRY if listed == "known" else None
    assert verdict.judge("test_queue", "C.test_a", standard, tress, own, known).kind is expected


@pytest.mark.parametrize(
    ("tress", "listed", "expected"),
    [
        (outcome(PASSED), None, Kind.PASSED),
        (outcome(PASSED, "used nothing"), None, Kind.UNPROVED),
        (outcome(PASSED, "used nothing"), "own", Kind.OWN),
        (outcome(PASSED), "own", Kind.STALE),
        (outcome(PASSED), "known", Kind.STALE),
        (None, None, Kind.FAILED),
    ],
)
def test_what_passed_on_tress_alone_comes_to(
    tress: Outcome | None, listed: str | None, expected: Kind
) -> None:
    own = ENTRY if listed == "own" else None
    known = ENTRY if listed == "known" else None
    result = verdict.judge("test_queue", "C.test_a", None, tress, own, known, spared=True)
    assert result.kind is expected


def suite_run(*outcomes: Outcome, tests: list[str]) -> SuiteRun:
    run = SuiteRun("test_queue", "tress", tests=tests)
    run.outcomes = {one.test: one for one in outcomes}
    return run


def test_what_did_not_pass_on_tress_needs_the_standard_library() -> None:
    run = suite_run(
        Outcome("C.passed", PASSED),
        Outcome("C.failed", ERROR),
        Outcome("C.skipped", SKIPPED),
        Outcome("C.untidy", PASSED, untidy=True),
        tests=["C.passed", "C.failed", "C.skipped", "C.untidy", "C.was_not_run"],
    )
    assert verdict.in_need(run) == ["C.failed", "C.skipped", "C.untidy", "C.was_not_run"]


def test_all_of_it_is_needed_after_a_bad_exit() -> None:
    run = suite_run(
        Outcome("C.passed", PASSED), Outcome(f"{EXIT} part", CRASHED), tests=["C.passed"]
    )
    assert verdict.in_need(run) is None
    run.outcomes[f"{EXIT} part"].status = PASSED
    assert verdict.in_need(run) == []
    run.broken = "no end"
    assert verdict.in_need(run) is None


class ProcessPoolExecutor:
    pass


class ThreadPoolExecutor:
    pass


@pytest.mark.parametrize(
    ("suite", "executor", "expected"),
    [
        ("test_concurrent_futures", ProcessPoolExecutor, True),
        ("test_concurrent_futures", ThreadPoolExecutor, False),
        ("test_concurrent_futures", None, False),
        ("test_queue", None, False),
    ],
)
def test_which_tests_are_of_processes(
    suite: str, executor: type[object] | None, expected: bool
) -> None:
    class Test(unittest.TestCase):
        executor_type = executor

    assert suites.of_processes(suites.suite_named(suite), Test()) is expected


class Standard:
    pass


class Ours(Standard):
    def method(self) -> None:
        pass


class BaseContext:
    pass


class Context(BaseContext):
    def Lock(self) -> Ours:
        return Ours()


BaseContext.__module__ = "multiprocessing.context"


def function() -> None:
    pass


@pytest.fixture
def observer() -> Observer:
    return Observer(catalogue([Ours, Context, function], [("m.Standard", Standard)]))


def test_objects_are_told_apart_by_what_they_are_made_of(observer: Observer) -> None:
    class UsersOwn(Ours):
        pass

    assert observer.classify(Ours) == ("ours", "Ours")
    assert observer.classify(UsersOwn()) == ("ours", "Ours")
    assert observer.classify(function) == ("ours", "function")
    assert observer.classify(staticmethod(function)) == ("ours", "function")
    assert observer.classify(Ours().method) == ("ours", "Ours")
    assert observer.classify(Standard) == ("standard", f"{__name__}.Standard")
    assert observer.classify(Standard()) == ("standard", f"{__name__}.Standard")
    # What makes an object says nothing about that object.
    assert observer.classify(Context().Lock) is None
    assert observer.classify(3) is None
    assert observer.classify(len) is None


def test_the_watched_source_does_what_the_source_does() -> None:
    text = """
class Base:
    def method(self, *, key):
        return key

class Derived(Base):
    def method(self, *, key):
        match self.size:
            case sys.maxsize:
                return None
        with self.entered as value, contextlib.nullcontext(3.5):
            self.size += value
        return super().method(key=key) + self.size

    size = 1
    entered = contextlib.nullcontext(2)
result = Derived().method(key=size)
"""
    seen: list[object] = []

    def see(value: object) -> object:
        seen.append(value)
        return value

    import ast
    import contextlib

    names = {sources.SEE: see, "sys": sys, "contextlib": contextlib, "size": 10}
    tree = sources._Watched(low_level_locks=False).visit(ast.parse(text))
    exec(compile(tree, "watched", "exec"), names)  # noqa: S102 - the text above
    assert names["result"] == 13
    assert 10 in seen
    assert contextlib.nullcontext in seen


def test_names_that_a_program_reads_are_found() -> None:
    code = """
        import threading as t, queue
        from concurrent.futures import ThreadPoolExecutor
        import concurrent.futures
        t.Thread(target=queue.Queue().get)
        concurrent.futures.wait([])
        nothing.Thread
        """
    used = proof.names_used(code)
    assert {
        "threading.Thread",
        "queue.Queue",
        "concurrent.futures.ThreadPoolExecutor",
        "concurrent.futures.wait",
    } <= used
    assert not any(name.startswith("nothing") for name in used)


CHILD = proof.Child(["-I", "-c"], "import threading\nthreading.Event()")


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        (proof.Evidence(Sightings({"Event"}, set())), None),
        (proof.Evidence(Sightings()), "used no object"),
        (proof.Evidence(Sightings({"Event"}, {"threading.Lock"})), "used the standard library's"),
        (proof.Evidence(Sightings(), [CHILD], {7: ["threading.Event"]}), None),
        (proof.Evidence(Sightings(), [CHILD], {7: ["threading.Lock"]}), "used no object"),
        (proof.Evidence(Sightings({"Event"}), [CHILD], {7: []}), "without tress"),
        (proof.Evidence(Sightings({"Event"}), [CHILD], {}), "without tress"),
    ],
)
def test_what_proves_a_test(evidence: proof.Evidence, expected: str | None) -> None:
    doubt = proof.doubt(evidence)
    if expected is None:
        assert doubt is None
    else:
        assert doubt is not None
        assert expected in doubt


def test_what_is_skipped_without_having_been_started_is_no_part_of_the_test_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    support = pytest.importorskip("test.support")
    monkeypatch.setattr(support, "print_warning", support.print_warning)
    monkeypatch.setattr(sys, "addaudithook", lambda hook: None)
    tests = {"C.ran": unittest.TestCase(), "C.skipped": unittest.TestCase()}
    ran, skipped = tests.values()
    path = tmp_path / "events"
    interpreters = worker.Interpreters(str(tmp_path))
    result = worker.Result(tests, worker.Events(str(path)), interpreters, None, [])
    result.startTest(ran)
    result.stopTest(ran)
    result.addSkip(skipped, "because")
    result.stopTest(skipped)
    ends = [event["outcome"] for event in read_events(path) if event["event"] == "end"]
    assert [(end["test"], end["status"]) for end in ends] == [
        ("C.ran", PASSED),
        ("C.skipped", SKIPPED),
    ]
