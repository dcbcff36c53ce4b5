"""What holds for every test: it has a bound, and leaves neither threads nor an install() behind.

The bound is kept by the interpreter's own watchdog, a C thread that needs neither the GIL nor a
signal: so a test that hangs in native code, with every lock taken, still ends, with the stack of
each thread on standard error.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

import pytest

import tress

DEFAULT_BOUND_S = 120.0
"""For each of set-up, call and tear-down; `@pytest.mark.bound(seconds)` says otherwise."""

GRACE_S = 10.0
"""How long threads that a test left may take to end, once what they belong to is collected."""

_stderr = -1
"""The real standard error: while a test runs, file descriptor 2 is pytest's."""


def pytest_configure() -> None:
    global _stderr
    _stderr = os.dup(sys.__stderr__.fileno() if sys.__stderr__ else 2)
    # A shell starts what runs in its background with Ctrl-C ignored, and programs inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure() -> None:
    """The interpreter's own exit is bounded as well: it joins threads and runs exit handlers."""
    faulthandler.dump_traceback_later(DEFAULT_BOUND_S, exit=True, file=_stderr)


def _bounded(item: pytest.Item) -> Iterator[None]:
    marker = item.get_closest_marker("bound")
    bound_s = float(marker.args[0]) if marker else DEFAULT_BOUND_S
    faulthandler.dump_traceback_later(bound_s, exit=True, file=_stderr)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what is for `make nightly`, which sets TRESS_NIGHTLY."""
    if os.environ.get("TRESS_NIGHTLY"):
        return
    for item in items:
        marker = item.get_closest_marker("nightly")
        if marker is not None:
            item.add_marker(pytest.mark.skip(f"for TRESS_NIGHTLY=1: {marker.args[0]}"))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    yield from _bounded(item)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    yield from _bounded(item)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    yield from _bounded(item)


def _non_daemons() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if not thread.daemon}


@pytest.fixture(autouse=True)
def _leaves_no_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that ends with a non-daemon thread more than it began with."""
    before = _non_daemons()
    yield
    if request.node.get_closest_marker("leaves_threads"):
        return
    left = _non_daemons() - before
    if left:
        gc.collect()  # an executor that nobody holds any longer ends its workers
        deadline = time.monotonic() + GRACE_S
        for thread in left:
            thread.join(max(0.0, deadline - time.monotonic()))
        left = {thread for thread in left if thread.is_alive()}
    if left:
        names = ", ".join(sorted(repr(thread) for thread in left))
        pytest.fail(f"the test left {len(left)} non-daemon thread(s) running: {names}")


@pytest.fixture(autouse=True)
def _leaves_the_standard_library(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that called `install()` and left it so, and undoes it."""
    yield
    if tress.installed():
        tress.uninstall()
        pytest.fail("the test left tress installed in the standard library's modules")
