"""The harness itself, against packages that are good or broken in a known way."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conformance.tests import stand_in

RUN = Path(__file__).resolve().parent.parent / "run.py"

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("test.test_threading") is None,
    reason="this Python comes without its test package",
)


class Outcome:
    def __init__(self, done: subprocess.CompletedProcess[str], results: Path) -> None:
        self.code = done.returncode
        self.out = done.stdout
        self.err = done.stderr
        self.tests: dict[str, dict[str, Any]] = {}
        if results.exists():
            content = json.loads(results.read_text())
            self.tests = {test["test"]: test for test in content["tests"]}
            self.problems: list[str] = content["problems"]

    def verdict(self, test: str) -> str:
        verdict = self.tests[test]["verdict"]
        assert isinstance(verdict, str)
        return verdict

    @property
    def last_line(self) -> str:
        return self.out.splitlines()[-1]


def run(folder: Path, *options: str) -> Outcome:
    results = folder / "results.json"
    done = subprocess.run(
        [sys.executable, str(RUN), "--json", str(results), *options],
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Outcome(done, results)


def events(*tests: str) -> list[str]:
    options = ["--suite", "test_threading"]
    for test in tests:
        options += ["--test", test]
    return options


def test_a_good_package_is_proved_and_passes(tmp_path: Path) -> None:
    outcome = run(
        stand_in.write(tmp_path), *events("EventTests.test_[ins]*", "PyRLockTests.test_w*")
    )
    assert outcome.code == 0, outcome.out
    assert outcome.verdict("EventTests.test_is_set") == "passed"
    assert outcome.tests["EventTests.test_is_set"]["tress"]["used"] == ["Event"]
    assert outcome.verdict("PyRLockTests.test_with") == "own"
    passed = sum(test["verdict"] == "passed" for test in outcome.tests.values())
    assert outcome.last_line == f"{passed} passed, 0 failed, 0 skipped"


def test_what_is_not_replaced_is_not_proved(tmp_path: Path) -> None:
    outcome = run(stand_in.write(tmp_path, left_out=("Event",)), *events("EventTests.test_is_set"))
    assert outcome.code == 1
    assert outcome.verdict("EventTests.test_is_set") == "unproved"
    assert outcome.last_line == "0 passed, 1 failed, 0 skipped"


def test_a_module_imported_afresh_is_replaced_too(tmp_path: Path) -> None:
    folder = stand_in.write(tmp_path)
    outcome = run(folder, "--suite", "test_queue", "--test", "*.test_basic")
    assert outcome.code == 0, outcome.out
    assert outcome.verdict("CQueueTest.test_basic") == "passed"
    assert outcome.verdict("PyQueueTest.test_basic") == "own"


def test_interpreters_that_a_test_starts_have_tress(tmp_path: Path) -> None:
    test = "ThreadTests.test_join_nondaemon_on_shutdown"
    outcome = run(stand_in.write(tmp_path), *events(test))
    assert outcome.code == 0, outcome.out
    assert outcome.tests[test]["tress"]["used"] == ["threading.Thread (child)"]


def test_a_package_that_replaces_nothing_is_refused(tmp_path: Path) -> None:
    folder = stand_in.write(tmp_path)
    (folder / "tress" / "__init__.py").write_text("def install():\n    pass\n")
    outcome = run(folder, *events("EventTests.*"))
    assert outcome.code == 2
    assert "replaced nothing" in outcome.err


def test_a_failure_is_found_and_explained(tmp_path: Path) -> None:
    broken = {"class Event(standard.Event):\n    pass": "class Event(standard.Event):\n    set = 1"}
    outcome = run(stand_in.write(tmp_path, changes=broken), *events("EventTests.test_is_set"))
    assert outcome.code == 1
    assert outcome.verdict("EventTests.test_is_set") == "failed"
    assert (
        "TypeError: 'int' object is not callable" in outcome.tests["EventTests.test_is_set"]["why"]
    )


def test_a_hang_ends_with_stacks_and_the_rest_goes_on(tmp_path: Path) -> None:
    hangs = {
        "class Event(standard.Event):\n    pass": (
            "class Event(standard.Event):\n    def is_set(self):\n        standard.Event.wait(self)"
        )
    }
    folder = stand_in.write(tmp_path, changes=hangs)
    options = events("EventTests.test_is_set", "SemaphoreTests.test_with")
    outcome = run(folder, "--limit", "3", "--no-retry", *options)
    assert outcome.code == 1
    hung = outcome.tests["EventTests.test_is_set"]["tress"]
    assert hung["status"] == "hung"
    assert "in is_set" in hung["detail"]
    assert outcome.verdict("SemaphoreTests.test_with") == "passed"


def test_a_crash_is_one_failure_and_the_rest_goes_on(tmp_path: Path) -> None:
    crashes = {
        "class Event(standard.Event):\n    pass": (
            "class Event(standard.Event):\n"
            "    def is_set(self):\n"
            "        import faulthandler; faulthandler._sigsegv()"
        )
    }
    folder = stand_in.write(tmp_path, changes=crashes)
    options = events("EventTests.test_is_set", "SemaphoreTests.test_with")
    outcome = run(folder, "--no-retry", *options)
    assert outcome.code == 1
    crashed = outcome.tests["EventTests.test_is_set"]["tress"]
    assert crashed["status"] == "crashed"
    assert "SIGSEGV" in crashed["detail"]
    assert outcome.verdict("SemaphoreTests.test_with") == "passed"


def test_a_crash_at_exit_fails_the_run(tmp_path: Path) -> None:
    folder = stand_in.write(tmp_path)
    with (folder / "tress" / "threading.py").open("a") as module:
        module.write(
            "import atexit, os, sys\n"
            "atexit.register(lambda: 'test.support' in sys.modules and os._exit(3))\n"
        )
    outcome = run(folder, *events("EventTests.test_is_set"))
    assert outcome.verdict("EventTests.test_is_set") == "passed"
    assert outcome.verdict("(exit of the interpreter)") == "failed"
    assert outcome.code == 1


def test_a_thread_left_behind_is_a_failure(tmp_path: Path) -> None:
    test = "SemaphoreTests.test_release_unacquired"
    leaves = {
        "class Semaphore(standard.Semaphore):\n    pass": (
            "class Semaphore(standard.Semaphore):\n"
            "    def release(self, n=1):\n"
            "        forever = _thread.allocate_lock()\n"
            "        forever.acquire()\n"
            "        Thread(target=forever.acquire, daemon=True).start()\n"
            "        super().release(n)"
        )
    }
    outcome = run(stand_in.write(tmp_path, changes=leaves), "--no-retry", *events(test))
    assert outcome.code == 1
    assert outcome.verdict(test) == "failed"
    assert "left something behind" in outcome.tests[test]["why"]


def test_a_test_that_passes_alone_is_flaky_and_no_failure(tmp_path: Path) -> None:
    marker = tmp_path / "was here"
    wrong_once = (
        "class Event(standard.Event):\n"
        "    def is_set(self):\n"
        "        import pathlib\n"
        f"        marker = pathlib.Path({str(marker)!r})\n"
        "        if not marker.exists():\n"
        "            marker.touch()\n"
        "            return True\n"
        "        return super().is_set()"
    )
    changes = {"class Event(standard.Event):\n    pass": wrong_once}
    outcome = run(stand_in.write(tmp_path, changes=changes), *events("EventTests.test_is_set"))
    assert outcome.code == 0, outcome.out
    assert outcome.tests["EventTests.test_is_set"]["flaky"] is True
    assert "flaky, but passed alone: 1" in outcome.out


def test_what_passes_on_tress_is_spared_the_other_side(tmp_path: Path) -> None:
    broken = {"class Event(standard.Event):\n    pass": "class Event(standard.Event):\n    set = 1"}
    folder = stand_in.write(tmp_path, changes=broken)
    options = events("EventTests.test_is_set", "SemaphoreTests.test_with")
    outcome = run(folder, "--no-retry", *options)
    assert outcome.code == 1
    assert outcome.tests["SemaphoreTests.test_with"]["standard"] is None
    assert outcome.verdict("SemaphoreTests.test_with") == "passed"
    assert outcome.tests["EventTests.test_is_set"]["standard"]["status"] == "passed"
    assert outcome.verdict("EventTests.test_is_set") == "failed"
    assert "1 tests pass with tress in place, and were run there only" in outcome.out

    both = run(folder, "--no-retry", "--side", "both", *options)
    assert both.tests["SemaphoreTests.test_with"]["standard"]["status"] == "passed"
    assert {name: test["verdict"] for name, test in both.tests.items()} == {
        name: test["verdict"] for name, test in outcome.tests.items()
    }


def test_processes_can_be_left_out(tmp_path: Path) -> None:
    outcome = run(
        stand_in.write(tmp_path), "--without-processes", *events("SemaphoreTests.test_w*")
    )
    assert outcome.code == 0, outcome.out
    assert outcome.verdict("SemaphoreTests.test_with") == "passed"


@pytest.mark.parametrize("side", ["standard", "tress"])
def test_one_side_alone_gives_its_counts(tmp_path: Path, side: str) -> None:
    folder = stand_in.write(tmp_path)
    outcome = run(folder, "--side", side, *events("EventTests.test_is_set"))
    assert outcome.code == 0, outcome.out
    assert outcome.last_line == "1 passed, 0 failed, 0 skipped"


def test_a_pattern_that_matches_nothing_is_a_mistake(tmp_path: Path) -> None:
    outcome = run(stand_in.write(tmp_path), *events("EventTests.test_no_such_thing"))
    assert outcome.code == 1
    assert "no test has such a name" in outcome.out


@pytest.mark.parametrize("option", ["--jobs=0", "--limit=0", "--suite=test_nothing"])
def test_a_bad_option_is_refused(tmp_path: Path, option: str) -> None:
    outcome = run(stand_in.write(tmp_path), option)
    assert outcome.code == 2
    assert option.split("=")[0] in outcome.err
