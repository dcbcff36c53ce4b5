"""The suites: which of CPython's test modules they are, and which of their tests belong here."""

from __future__ import annotations

import importlib.util
import unittest
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from types import ModuleType


@dataclass(frozen=True)
class Suite:
    """One of CPython's own suites.

    `parts` names the submodules to load where the suite is a package; on the Pythons where it is
    one module, the module is loaded whole.
    """

    name: str
    parts: tuple[str, ...] = ()
    # All of its tests start processes.
    of_processes: bool = False
    # The standard package that it is about, if only what is in place of that proves anything: a
    # test of an event loop may use tress's threads as well.
    about: str = ""
    # Parts that CPython ships and that are not run, with the reason.
    left_out: tuple[tuple[str, str], ...] = ()
    # The module to load where CPython ships these tests, but not the suite: what has the tests, and
    # what makes the suite of them.
    made_of: str = ""
    made_by: str = ""

    @property
    def module(self) -> str:
        return f"test.{self.name}"

    def module_names(self) -> list[str]:
        """The modules to load on the running Python; empty where it ships none of them."""
        spec = _find(self.module)
        if spec is None:
            return [self.made_by] if self.made_by and _find(self.made_of) else []
        if spec.submodule_search_locations is None:
            return [self.module]
        names = [f"{self.module}.{part}" for part in self.parts]
        return [name for name in names if importlib.util.find_spec(name) is not None]


def _find(module: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None


def _of_multiprocessing(method: str) -> Suite:
    return Suite(
        f"test_multiprocessing_{method}",
        ("test_processes", "test_threads", "test_manager", "test_misc"),
        of_processes=True,
        made_of="test._test_multiprocessing",
        made_by=f"conformance.harness.multiprocessing_{method}",
    )


SUITES = (
    Suite("test_thread"),
    Suite("test_threading"),
    Suite("test_threading_local"),
    Suite("test_threadsignals"),
    Suite("test_queue"),
    Suite(
        "test_concurrent_futures",
        (
            "test_thread_pool",
            "test_process_pool",
            "test_deadlock",
            "test_as_completed",
            "test_wait",
            "test_shutdown",
            "test_init",
            "test_future",
        ),
    ),
    Suite(
        "test_asyncio",
        (
            "test_buffered_proto",
            "test_context",
            "test_eager_task_factory",
            "test_events",
            "test_free_threading",
            "test_futures",
            "test_futures2",
            "test_graph",
            "test_locks",
            "test_pep492",
            "test_protocols",
            "test_queues",
            "test_runners",
            "test_sendfile",
            "test_server",
            "test_sock_lowlevel",
            "test_ssl",
            "test_staggered",
            "test_streams",
            "test_subprocess",
            "test_taskgroups",
            "test_tasks",
            "test_threads",
            "test_timeouts",
            "test_tools",
            "test_transports",
            "test_waitfor",
        ),
        about="asyncio",
        left_out=(
            ("test_base_events", "the inside of BaseEventLoop: its queue of handles, its heap"),
            ("test_selector_events", "the inside of the standard selector loop and its transports"),
            ("test_unix_events", "the inside of the standard Unix loop, and its child watchers"),
            ("test_sslproto", "the inside of SSLProtocol, which stays the standard library's"),
            ("test_proactor_events", "the inside of a loop of another system"),
            ("test_windows_events", "a loop of another system"),
            ("test_windows_utils", "another system"),
        ),
    ),
    Suite("test_multiprocessing_main_handling", of_processes=True),
    *(_of_multiprocessing(method) for method in ("fork", "spawn", "forkserver")),
)

# Modules that the suites above keep tests or test objects in. Their source is watched too.
SHARED_MODULES = (
    "test.lock_tests",
    "test.test_concurrent_futures.util",
    "test.test_concurrent_futures.executor",
    "test._test_multiprocessing",
    "test.test_asyncio.functional",
    "test.test_asyncio.utils",
)

# Suites that name `_thread` directly for the locks they test. There, and only there, the locks
# of `_thread` are the object under test and tress's take their place.
SUITES_OF_LOW_LEVEL_LOCKS = ("test.test_thread", "test.test_threadsignals")


def suite_named(name: str) -> Suite:
    for suite in SUITES:
        if suite.name == name:
            return suite
    known = ", ".join(suite.name for suite in SUITES)
    raise ValueError(f"no suite is named {name!r}; there are {known}")


def flatten(tests: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for test in tests:
        if isinstance(test, unittest.TestSuite):
            yield from flatten(test)
        else:
            yield test


def belongs(test: unittest.TestCase) -> bool:
    """Whether a test is about threads, processes or futures, rather than interpreters.

    A class that runs on an executor says which one by `executor_type`.
    """
    executor = getattr(type(test), "executor_type", None)
    return executor is None or executor.__name__ in ("ThreadPoolExecutor", "ProcessPoolExecutor")


def of_processes(suite: Suite, test: unittest.TestCase) -> bool:
    """Whether a test runs on processes."""
    executor = getattr(type(test), "executor_type", None)
    return suite.of_processes or getattr(executor, "__name__", "") == "ProcessPoolExecutor"


def load(suite: Suite, modules: list[ModuleType]) -> dict[str, unittest.TestCase]:
    """All tests of the suite's modules that belong here, by name, in the loader's order.

    Where several tests say they have the same name (doctests do), the later ones get a number.
    """
    loader = unittest.TestLoader()
    tests: dict[str, unittest.TestCase] = {}
    for module in modules:
        for test in flatten(loader.loadTestsFromModule(module)):
            if not belongs(test):
                continue
            plain = name = test.id()
            for prefix in (suite.module, suite.made_by):
                plain = name = name.removeprefix(f"{prefix}.")
            number = 1
            while name in tests:
                number += 1
                name = f"{plain} #{number}"
            tests[name] = test
    return tests
