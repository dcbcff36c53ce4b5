"""Thread, beside the standard library's, and what tress's has more."""

from __future__ import annotations

import contextvars
import gc
import os
import sys
import threading
import weakref
from types import ModuleType
from typing import Any

import pytest

import tress.threading
from tests.threads.ordering import BOUND_S, Attempt, is_ours, outcome, until

LATER = 0.01


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is reported to `excepthook`, instead of printed."""
    reported: list[Any] = []
    monkeypatch.setattr(
        threading, "excepthook", lambda args: reported.append((args.exc_type, args.thread.name))
    )
    return reported


def test_runs_its_target_with_its_arguments(library: ModuleType) -> None:
    seen: list[Any] = []

    def target(*args: Any, **kwargs: Any) -> None:
        seen.append((args, kwargs, threading.current_thread(), threading.get_ident()))

    thread = library.Thread(None, target, "named", (1, 2), {"three": 3})
    assert thread.start() is None
    assert thread.join() is None
    assert seen == [((1, 2), {"three": 3}, thread, thread.ident)]
    assert thread.name == "named"


def test_states(library: ModuleType) -> None:
    go_on = library.Event()
    thread = library.Thread(target=go_on.wait)
    assert (thread.is_alive(), thread.ident, thread.native_id) == (False, None, None)
    assert "initial" in repr(thread)
    before = threading.active_count()
    thread.start()
    assert thread.is_alive()
    assert thread.ident is not None
    assert isinstance(thread.native_id, int)
    assert os.path.exists(f"/proc/self/task/{thread.native_id}")
    assert "started" in repr(thread)
    assert str(thread.ident) in repr(thread)
    assert threading.active_count() == before + 1
    assert thread in threading.enumerate()
    go_on.set()
    thread.join()
    assert not thread.is_alive()
    assert "stopped" in repr(thread)
    assert thread not in threading.enumerate()
    assert threading.active_count() == before


def test_join_with_a_timeout(library: ModuleType) -> None:
    go_on = library.Event()
    thread = library.Thread(target=go_on.wait)
    thread.start()
    assert thread.join(LATER) is None
    assert thread.join(0) is None
    assert thread.join(timeout=-1) is None
    assert thread.is_alive()
    go_on.set()
    thread.join(BOUND_S)
    assert not thread.is_alive()
    thread.join()
    thread.join(LATER)


def test_many_join_one(library: ModuleType) -> None:
    go_on = library.Event()
    thread = library.Thread(target=go_on.wait)
    thread.start()
    joiners = [library.Thread(target=thread.join) for _ in range(5)]
    for joiner in joiners:
        joiner.start()
    go_on.set()
    for joiner in joiners:
        joiner.join(BOUND_S)
        assert not joiner.is_alive()


ATTEMPTS: list[Attempt] = [
    lambda library: library.Thread(1),
    lambda library: library.Thread(target=1) and None,
    lambda library: library.Thread(name=1).name,
    lambda library: library.Thread(name="").name.startswith("Thread-"),
    lambda library: library.Thread(target=print).name.endswith(" (print)"),
    lambda library: library.Thread(None, None, None, (), {}, True),
    lambda library: library.Thread(daemons=True),
    lambda library: library.Thread(daemon=True).daemon,
    lambda library: library.Thread(daemon=None).daemon,
    lambda library: library.Thread().join(),
    lambda library: library.Thread().join("1"),
    lambda library: library.Thread().is_alive(),
    lambda library: library.current_thread().join(),
    lambda library: setattr(library.Thread(), "ident", 1),
    lambda library: setattr(library.Thread(), "native_id", 1),
    lambda library: setattr(library.Thread(), "extra", 1),
    lambda library: library.Thread.__new__(library.Thread).start(),
    lambda library: library.Thread.__new__(library.Thread).join(),
    lambda library: library.Thread.__new__(library.Thread).is_alive(),
    lambda library: library.Thread.__new__(library.Thread).name,
]


@pytest.mark.parametrize(
    "attempt", ATTEMPTS, ids=lambda attempt: str(attempt.__code__.co_firstlineno)
)
def test_calls_come_to_the_same(attempt: Attempt) -> None:
    assert outcome(attempt, tress.threading) == outcome(attempt, threading)


@pytest.mark.parametrize(
    ("attempt", "text"),
    [
        (lambda library: library.Thread().join(), "cannot join thread before it is started"),
        (lambda library: library.current_thread().join(), "cannot join current thread"),
        (lambda library: library.Thread.__new__(library.Thread).start(), "not called"),
    ],
)
def test_errors_say_the_same(library: ModuleType, attempt: Attempt, text: str) -> None:
    with pytest.raises(RuntimeError, match=text):
        attempt(library)


def test_a_thread_starts_once(library: ModuleType) -> None:
    go_on = library.Event()
    thread = library.Thread(target=go_on.wait)
    thread.start()
    with pytest.raises(RuntimeError, match="threads can only be started once"):
        thread.start()
    go_on.set()
    thread.join()
    with pytest.raises(RuntimeError, match="threads can only be started once"):
        thread.start()


def test_a_thread_cannot_join_itself(library: ModuleType) -> None:
    raised: list[BaseException] = []

    def join() -> None:
        try:
            thread.join()
        except RuntimeError as error:
            raised.append(error)

    thread = library.Thread(target=join)
    thread.start()
    thread.join()
    assert str(raised[0]) == "cannot join current thread"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_daemon_and_name(library: ModuleType) -> None:
    thread = library.Thread()
    thread.daemon = True
    assert thread.daemon is True
    assert thread.isDaemon() is True
    thread.setDaemon(False)
    assert thread.daemon is False
    thread.name = "other"
    assert thread.getName() == "other"
    thread.setName(7)
    assert thread.name == "7"
    go_on = library.Event()
    running = library.Thread(target=go_on.wait)
    running.start()
    with pytest.raises(RuntimeError, match="cannot set daemon status of active thread"):
        running.daemon = True
    running.name = "renamed"
    assert "renamed" in repr(running)
    go_on.set()
    running.join()


def test_daemon_is_inherited(library: ModuleType) -> None:
    seen: list[bool] = []
    parent = library.Thread(target=lambda: seen.append(library.Thread().daemon), daemon=True)
    parent.start()
    parent.join()
    assert seen == [True]


def test_subclass_with_run(library: ModuleType) -> None:
    class Counting(library.Thread):  # type: ignore[name-defined, misc]
        def __init__(self, count: int) -> None:
            super().__init__(name="counting")
            self.count = count

        def run(self) -> int:
            self.total = sum(range(self.count))
            return self.total

    thread = Counting(10)
    thread.start()
    thread.join()
    assert thread.total == 45
    assert isinstance(thread, threading.Thread)
    if is_ours(library):
        assert thread.result() == 45


def test_attributes_of_a_run_are_gone_after_it(library: ModuleType) -> None:
    class Thing:
        pass

    thing = Thing()
    reference = weakref.ref(thing)
    thread = library.Thread(target=lambda thing: None, args=(thing,))
    del thing
    thread.start()
    thread.join()
    assert reference() is None


def test_excepthook(library: ModuleType, quiet: list[Any]) -> None:
    thread = library.Thread(target=lambda: 1 / 0, name="failing")
    thread.start()
    thread.join()
    assert quiet == [(ZeroDivisionError, "failing")]


def test_excepthook_is_set_in_the_module_that_the_program_imports(
    library: Any, quiet: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Any] = []
    monkeypatch.setattr(library, "excepthook", lambda args: heard.append(args.exc_type))
    thread = library.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    assert (heard, quiet) == ([ZeroDivisionError], [])
    assert threading.excepthook is library.excepthook
    assert library.__excepthook__ is threading.__excepthook__


def test_system_exit_is_silent(
    library: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # pytest has a hook of its own.
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    thread = library.Thread(target=sys.exit)
    thread.start()
    thread.join()
    assert capsys.readouterr().err == ""


def test_an_unhandled_exception_is_printed(
    library: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # pytest has a hook of its own.
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    thread = library.Thread(target=lambda: 1 / 0, name="failing")
    thread.start()
    thread.join()
    printed = capsys.readouterr().err
    assert printed.startswith("Exception in thread failing:\nTraceback")
    assert printed.endswith("ZeroDivisionError: division by zero\n")


def test_trace_and_profile(library: ModuleType) -> None:
    events: list[str] = []

    def traced() -> None:
        pass

    def trace(frame: Any, event: str, arg: object) -> None:
        if frame.f_code is traced.__code__:
            events.append(event)

    for setter in (library.settrace, library.setprofile):
        events.clear()
        setter(trace)
        try:
            thread = library.Thread(target=traced)
            thread.start()
            thread.join()
        finally:
            setter(None)
        assert events[0] == "call"
    assert library.gettrace() is None
    assert library.getprofile() is None


@pytest.mark.skipif(sys.version_info < (3, 14), reason="Thread(context=) came with 3.14")
def test_context(library: ModuleType) -> None:
    variable = contextvars.ContextVar("variable", default=0)
    context = contextvars.copy_context()
    context.run(variable.set, 5)
    seen: list[int] = []
    thread = library.Thread(target=lambda: seen.append(variable.get()), context=context)
    thread.start()
    thread.join()
    variable.set(7)
    plain = library.Thread(target=lambda: seen.append(variable.get()))
    plain.start()
    plain.join()
    inherits = getattr(sys.flags, "thread_inherit_context", False)
    assert seen == [5, 7 if inherits else 0]


def test_a_start_that_fails_leaves_no_trace(
    library: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("can't start new thread")

    name = "_start_joinable_thread" if sys.version_info >= (3, 13) else "_start_new_thread"
    thread = library.Thread()
    before = threading.enumerate()
    with monkeypatch.context() as patch:
        patch.setattr(threading, name, fail)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            thread.start()
    assert threading.enumerate() == before
    assert not thread.is_alive()
    thread.start()
    thread.join()


def test_thousands(library: ModuleType) -> None:
    ran: list[int] = []
    for _ in range(20):
        threads = [library.Thread(target=ran.append, args=(n,)) for n in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(ran) == 1000


def test_weak_references(library: ModuleType) -> None:
    thread = library.Thread(target=lambda: None)
    thread.start()
    thread.join()
    reference = weakref.ref(thread)
    del thread
    until(lambda: reference() is None, "the thread is gone")


class TestResult:
    """What tress's Thread has more."""

    def test_returns_what_run_returned(self) -> None:
        thread = tress.threading.Thread(target=divmod, args=(7, 2))
        thread.start()
        assert thread.result() == (3, 1)
        assert thread.result(0) == (3, 1)
        assert thread.result(timeout=None) == (3, 1)

    def test_none_is_a_result(self) -> None:
        thread = tress.threading.Thread()
        thread.start()
        assert thread.result() is None

    def test_raises_what_run_raised(self, quiet: list[Any]) -> None:
        thread = tress.threading.Thread(target=lambda: 1 / 0)
        thread.start()
        for _ in range(2):
            with pytest.raises(ZeroDivisionError, match="division by zero") as raised:
                thread.result()
        assert any(entry.name == "<lambda>" for entry in raised.traceback)
        assert [kind for kind, _ in quiet] == [ZeroDivisionError]

    def test_raises_system_exit(self, quiet: list[Any]) -> None:
        thread = tress.threading.Thread(target=sys.exit, args=(3,))
        thread.start()
        with pytest.raises(SystemExit) as raised:
            thread.result()
        assert raised.value.code == 3

    def test_times_out_and_may_be_repeated(self) -> None:
        go_on = tress.threading.Event()
        thread = tress.threading.Thread(target=go_on.wait, name="slow")
        thread.start()
        with pytest.raises(TimeoutError, match=r"slow has not ended after 0.001 s"):
            thread.result(0.001)
        with pytest.raises(TimeoutError):
            thread.result(0)
        go_on.set()
        assert thread.result(BOUND_S) is True

    def test_of_a_thread_that_was_not_started(self) -> None:
        with pytest.raises(RuntimeError, match="before it is started"):
            tress.threading.Thread().result()

    def test_of_the_calling_thread(self) -> None:
        thread = tress.threading.Thread(target=lambda: thread.result())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(threading, "excepthook", lambda args: None)
            thread.start()
            thread.join()
        with pytest.raises(RuntimeError, match="cannot join current thread"):
            thread.result()

    def test_a_failure_keeps_no_locals_alive(self, quiet: list[Any]) -> None:
        class Thing:
            pass

        reference: Any = None

        def fail() -> None:
            nonlocal reference
            thing = Thing()
            reference = weakref.ref(thing)
            raise ValueError

        thread = tress.threading.Thread(target=fail)
        thread.start()
        thread.join()
        gc.collect()
        assert reference() is None
        with pytest.raises(ValueError):  # noqa: PT011
            thread.result()


def test_the_module_has_the_standard_functions(library: ModuleType) -> None:
    assert library.main_thread() is threading.main_thread()
    assert library.current_thread() is threading.current_thread()
    assert library.get_ident() == threading.get_ident()
    assert library.get_native_id() == threading.get_native_id()
    assert library.active_count() == len(library.enumerate())
    assert library.TIMEOUT_MAX == threading.TIMEOUT_MAX
    assert library.stack_size() == 0
    assert library.ExceptHookArgs is threading.ExceptHookArgs
    assert library.ThreadError is RuntimeError


def test_stack_size(library: ModuleType) -> None:
    library.stack_size(256 * 1024)
    try:
        thread = library.Thread(target=lambda: None)
        thread.start()
        thread.join()
        assert threading.stack_size(256 * 1024) == 256 * 1024
        with pytest.raises(ValueError, match="size"):
            library.stack_size(100)
    finally:
        library.stack_size(0)


def test_a_foreign_thread_is_a_thread_too(library: ModuleType) -> None:
    import _thread

    seen: list[Any] = []
    done = library.Event()

    def run() -> None:
        seen.append(library.current_thread())
        done.set()

    _thread.start_new_thread(run, ())
    assert done.wait(BOUND_S)
    assert seen[0].name.startswith("Dummy-")
    assert isinstance(seen[0], threading.Thread)
