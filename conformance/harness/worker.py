"""Runs one suite on one side, in a process of its own, and writes an event for each step."""

from __future__ import annotations

import _thread
import faulthandler
import fnmatch
import gc
import importlib
import json
import os
import signal
import sys
import threading
import time
import traceback
import unittest
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from conformance.harness import proof, protocol, seen, sources, start, subjects, suites

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def matches(test: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(test, pattern) for pattern in patterns)


class Events:
    """The file of events. Only the process that opened it may write there."""

    def __init__(self, path: str) -> None:
        self._pid = os.getpid()
        self._file = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115

    def write(self, kind: str, **values: Any) -> None:
        if os.getpid() != self._pid:
            # A test forked, and its child came back here instead of ending.
            os._exit(70)
        self._file.write(json.dumps({"event": kind, **values}) + "\n")


class Interpreters:
    """Follows the interpreters that the running test starts: those whose program says `about`."""

    def __init__(self, reports: str, about: str = "") -> None:
        self._about = about
        self._log = Path(start.start_log(reports, os.getpid()))
        self._plain = Path(start.plain_marker(reports, os.getpid()))
        self._offset = 0
        self._started: list[proof.Child] = []
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "subprocess.Popen":
            return
        command = [os.fsdecode(part) for part in arguments[1]]
        if command and command[0] == sys.executable:
            code = command[command.index("-c") + 1] if "-c" in command[:-1] else ""
            flags = [part for part in command[1:] if part != code]
            if self._about in code:
                self._started.append(proof.Child(flags, code))

    def leave_tress_out(self, yes: bool) -> None:
        if yes:
            self._plain.touch()
        else:
            self._plain.unlink(missing_ok=True)

    def next(self) -> tuple[list[proof.Child], dict[int, list[str]]]:
        """The interpreters started since the last call, and what each had replaced."""
        started, self._started = self._started, []
        replaced: dict[int, list[str]] = {}
        if self._log.exists():
            with self._log.open("rb") as log:
                log.seek(self._offset)
                for line in log.read().splitlines():
                    record = json.loads(line)
                    # Only the first line of a process is that of its main interpreter.
                    replaced.setdefault(record["pid"], record["replaced"])
                self._offset = log.tell()
        return started, replaced


def _threads() -> tuple[int, int]:
    """How many threads run, and how many thread objects there are."""
    return (_thread._count(), len(list(threading._dangling)))  # type: ignore[attr-defined]


class Result(unittest.TestResult):
    """Turns what happens to each test into one event."""

    def __init__(
        self,
        tests: dict[str, unittest.TestCase],
        events: Events,
        interpreters: Interpreters,
        observer: seen.Observer | None,
        plain: list[str],
        about: str = "",
    ) -> None:
        super().__init__()
        self._names = {id(test): name for name, test in tests.items()}
        self._events = events
        self._interpreters = interpreters
        self._observer = observer
        self._plain = plain
        self._about = about
        self._outcome = protocol.Outcome("", protocol.PASSED)
        self._began = 0.0
        self._support: Any = importlib.import_module("test.support")
        # What CPython's own runner would show of a test that leaves something behind.
        self._warnings: list[str] = []
        self._threads_before = (0, 0)
        setattr(self._support, "print_warning", self._warnings.append)  # noqa: B010
        self._tress_modules = frozenset(
            module for name, module in sys.modules.items() if name.split(".")[0] == "tress"
        )

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        name = self._names[id(test)]
        self._events.write("start", test=name)
        self._outcome = protocol.Outcome(name, protocol.PASSED)
        self._interpreters.leave_tress_out(matches(name, self._plain))
        self._interpreters.next()
        if self._observer is not None:
            self._observer.next()
        self._support.environment_altered = False
        self._warnings.clear()
        self._threads_before = _threads()
        self._began = time.monotonic()

    def stopTest(self, test: unittest.TestCase) -> None:
        outcome = self._outcome
        outcome.seconds = round(time.monotonic() - self._began, 3)
        outcome.untidy = bool(self._support.environment_altered) and not self._tidied_up()
        if outcome.untidy and not outcome.detail:
            outcome.detail = "\n".join(self._warnings)
        if self._observer is not None:
            self._judge(test, self._observer)
        super().stopTest(test)
        self._events.write("end", outcome=vars(outcome))

    def _tidied_up(self) -> bool:
        """Whether the threads that the test was still found with are gone a moment later.

        Later versions of the tests give a thread a second; the older ones complain at once, and of
        objects that the next collection would free.
        """
        if any("reap_children" in warning for warning in self._warnings):
            return False
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            gc.collect()
            threads, objects = _threads()
            if threads <= self._threads_before[0] and objects <= self._threads_before[1]:
                return True
            time.sleep(0.01)
        return False

    def _judge(self, test: unittest.TestCase, observer: seen.Observer) -> None:
        children, replaced = self._interpreters.next()
        evidence = proof.Evidence(observer.next(), children, replaced, self._about)
        self._outcome.used = proof.summary(evidence)
        foreign = proof.foreign_subjects(
            subjects.subjects(type(test)), observer, self._tress_modules
        )
        self._outcome.doubt = "; ".join(foreign) if foreign else proof.doubt(evidence)

    def _mark(self, status: str, test: Any, detail: str) -> None:
        if not isinstance(test, unittest.TestCase):
            # A class or module could not be set up: it stands for all its tests.
            outcome = protocol.Outcome(str(test.id()), status, detail=detail)
            self._events.write("end", outcome=vars(outcome))
            return
        # The worst of a test and its subtests counts.
        if self._outcome.status != protocol.ERROR:
            self._outcome.status = status
        self._outcome.detail += detail

    def _describe(self, error: _ExcInfo) -> str:
        return "".join(traceback.format_exception(*error))

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        self._mark(protocol.ERROR, test, self._describe(err))

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        self._mark(protocol.FAILED, test, self._describe(err))

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        # Python 3.12.1 does not start what it skips whole.
        if self._names.get(id(test), self._outcome.test) != self._outcome.test:
            self.startTest(test)
        # A test of which only some subtests were skipped ran.
        if id(test) in self._names or not isinstance(test, unittest.TestCase):
            self._mark(protocol.SKIPPED, test, reason)

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        if err is not None:
            failed = issubclass(err[0], test.failureException)
            text = f"{subtest.id()}\n{self._describe(err)}"
            self._mark(protocol.FAILED if failed else protocol.ERROR, test, text)

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        self._mark(protocol.FAILED, test, "passed, and was expected to fail")


def _observer(side: str, about: str) -> seen.Observer | None:
    if side != "tress":
        if "tress" in sys.modules:
            raise RuntimeError("tress is loaded on the standard library's side")
        return None
    if not start.originals:
        tress = importlib.import_module("tress")  # Raises what kept it from being put in place.
        raise RuntimeError(f"tress.install() of {tress.__file__} replaced nothing")
    named = [(".".join(key), value) for key, value in subjects.replaced(about).items()]
    if not named:
        raise RuntimeError(f"tress.install() replaced nothing of {about}")
    return seen.Observer(seen.catalogue(subjects.objects_of_tress(about), named))


def _unchanged(value: Any) -> Any:
    return value


def _watch_loops(observer: seen.Observer) -> None:
    """Note every event loop that begins to run: a test may leave the making of it to others.

    tress's shows that the test is of tress, a standard one that it is not, and a loop of the
    test's own neither.
    """
    events: Any = importlib.import_module("asyncio.events")
    begin = events._set_running_loop

    def note(loop: Any) -> None:
        observer.see(loop)
        begin(loop)

    events._set_running_loop = note


def run(order: protocol.Order) -> None:
    """Run the tests of an order; what happens is in its file of events."""
    events = Events(order.events)
    suite = suites.suite_named(order.suite)
    observer = _observer(order.side, suite.about)
    # The standard library's side loads the same watched sources, so that the two compare.
    sources.Finder(
        watched=(*suite.module_names(), *suites.SHARED_MODULES),
        low_level=suites.SUITES_OF_LOW_LEVEL_LOCKS,
        see=_unchanged if observer is None else observer.see,
        low_level_module=_unchanged if observer is None else subjects.LowLevelThreads,
    ).install()
    support: Any = importlib.import_module("test.support")
    support.verbose = 0
    if observer is not None and suite.about == "asyncio":
        _watch_loops(observer)
    modules: list[ModuleType] = []
    for name in order.modules or suite.module_names():
        module = importlib.import_module(name)
        if observer is not None:
            subjects.put_in_place(module)
        modules.append(module)
    events.write("loaded", python=sys.version.split()[0], shipped=bool(modules), pid=os.getpid())
    tests = suites.load(suite, modules)
    if order.without_processes:
        tests = {name: test for name, test in tests.items() if not suites.of_processes(suite, test)}
    chosen = {
        name: test
        for name, test in tests.items()
        if (not order.scope or matches(name, order.scope))
        and (not order.only or name in order.only or matches(name, order.only))
        and name not in order.done
    }
    interpreters = Interpreters(order.reports, suite.about)
    result = Result(chosen, events, interpreters, observer, order.plain, suite.about)
    # The suites of asyncio collect garbage at each test's end: what is loaded by now stays.
    gc.freeze()
    unittest.TestSuite(chosen.values()).run(result)
    # Those of the order's patterns: that is what the two sides must have in common.
    asked = [name for name in tests if not order.scope or matches(name, order.scope)]
    events.write("complete", tests=asked)


def main() -> None:
    faulthandler.enable()
    # A shell starts what runs in its background with Ctrl-C ignored, and programs inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    order = protocol.Order.read(Path(sys.argv[1]))
    run(order)


if __name__ == "__main__":
    main()
