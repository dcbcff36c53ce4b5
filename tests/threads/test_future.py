"""Future: what it does alone, beside the standard library's."""

from __future__ import annotations

import concurrent.futures
import copy
import gc
import io
import logging
import pickle
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from types import GenericAlias, ModuleType
from typing import Any

import pytest

import tress
from tests.threads.futures_of import LIBRARIES, future_in
from tests.threads.ordering import BOUND_S, blocked, until, waiters
from tress.concurrent.futures import (
    CancelledError,
    Future,
    InvalidStateError,
)

STATES = ("PENDING", "RUNNING", "CANCELLED", "CANCELLED_AND_NOTIFIED", "FINISHED")


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> ModuleType:
    """The standard `concurrent.futures`, and tress's."""
    name: str = request.param
    return LIBRARIES[name]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the logger of futures is told."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("concurrent.futures")
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)


def test_it_is_a_future_of_the_standard_library() -> None:
    future: Future[int] = Future()
    assert isinstance(future, concurrent.futures.Future)
    assert Future.__mro__[-2] is concurrent.futures.Future
    assert isinstance(Future[int], GenericAlias)


@pytest.mark.parametrize("state", STATES)
def test_states(library: ModuleType, state: str) -> None:
    future = future_in(library, state)
    assert future._state == state
    assert future.done() is (state not in ("PENDING", "RUNNING"))
    assert future.running() is (state == "RUNNING")
    assert future.cancelled() is state.startswith("CANCELLED")


@pytest.mark.parametrize("state", STATES)
def test_cancel(library: ModuleType, state: str) -> None:
    future = future_in(library, state)
    can = state not in ("RUNNING", "FINISHED")
    assert future.cancel() is can
    assert future.cancelled() is can
    assert future._state == ("CANCELLED" if state == "PENDING" else state)


@pytest.mark.parametrize("state", STATES)
def test_beginning(library: ModuleType, state: str, log: io.StringIO) -> None:
    future = future_in(library, state)
    if state == "PENDING":
        assert future.set_running_or_notify_cancel() is True
        assert future._state == "RUNNING"
    elif state == "CANCELLED":
        assert future.set_running_or_notify_cancel() is False
        assert future._state == "CANCELLED_AND_NOTIFIED"
    else:
        with pytest.raises(RuntimeError, match=r"^Future in unexpected state$"):
            future.set_running_or_notify_cancel()
        assert log.getvalue() == f"Future {id(future)} in unexpected state: {state}\n"
        assert future._state == state


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("method", ["set_result", "set_exception"])
def test_ending(library: ModuleType, state: str, method: str) -> None:
    future = future_in(library, state)
    end = getattr(future, method)
    value = 1 if method == "set_result" else ValueError("x")
    if state in ("PENDING", "RUNNING"):
        assert end(value) is None
        assert future._state == "FINISHED"
        assert (future._result if method == "set_result" else future._exception) is value
    else:
        with pytest.raises(library.InvalidStateError) as raised:
            end(value)
        assert str(raised.value) == f"{state}: {future!r}"


def test_reprs(library: ModuleType) -> None:
    def told(future: Any) -> str:
        text = repr(future)
        assert text.startswith(f"<Future at {id(future):#x} state=")
        return text.partition("state=")[2]

    assert [told(future_in(library, state)) for state in STATES] == [
        "pending>",
        "running>",
        "cancelled>",
        "cancelled>",
        "finished returned NoneType>",
    ]
    assert told(future_in(library, "FINISHED", result=1.5)) == "finished returned float>"
    assert told(future_in(library, "FINISHED", exception=OSError())) == "finished raised OSError>"

    class Own(library.Future):  # type: ignore[name-defined, misc]
        pass

    assert repr(Own()).startswith("<Own at 0x")


def test_result_and_exception_of_ended_futures(library: ModuleType) -> None:
    future = library.Future()
    future.set_result(42)
    assert (future.result(), future.result(0), future.exception()) == (42, 42, None)
    error = OSError("x")
    future = library.Future()
    future.set_exception(error)
    assert future.exception(0) is error
    with pytest.raises(OSError, match="x") as raised:
        future.result()
    assert raised.value is error
    future = library.Future()
    future.cancel()
    for method in (future.result, future.exception):
        with pytest.raises(CancelledError):
            method()


@pytest.mark.parametrize("timeout", [0, 0.0, -1, 0.001])
@pytest.mark.parametrize("state", ["PENDING", "RUNNING"])
def test_timeouts(library: ModuleType, timeout: float, state: str) -> None:
    future = future_in(library, state)
    for method in (future.result, future.exception):
        with pytest.raises(TimeoutError):
            method(timeout)
        with pytest.raises(TimeoutError):
            method(timeout=timeout)
    assert future._state == state


def test_an_exception_that_is_a_class_is_instantiated(library: ModuleType) -> None:
    future = library.Future()
    future.set_exception(KeyError)
    with pytest.raises(KeyError):
        future.result()


def test_no_exception_is_a_result(library: ModuleType) -> None:
    future = library.Future()
    future.set_exception(None)
    assert future.result() is None


def test_a_falsy_exception_is_raised() -> None:
    class Falsy(Exception):
        def __bool__(self) -> bool:
            return False

    future: Future[None] = Future()
    future.set_exception(Falsy())
    with pytest.raises(Falsy):
        future.result()


def test_the_raised_exception_has_its_traceback_and_context(library: ModuleType) -> None:
    def fails() -> None:
        raise OSError("inside")

    def ask_while_handling() -> None:
        try:
            raise KeyError("being handled")
        except KeyError:
            future.result()

    future = library.Future()
    try:
        fails()
    except OSError as error:
        future.set_exception(error)
    with pytest.raises(OSError, match="inside") as raised:
        ask_while_handling()
    names = [frame.name for frame in traceback.extract_tb(raised.value.__traceback__)]
    here = "test_the_raised_exception_has_its_traceback_and_context"
    assert names[:2] == [here, "ask_while_handling"]
    assert names[-2:] == [here, "fails"]
    assert isinstance(raised.value.__context__, KeyError)


def test_result_wakes_threads_that_wait() -> None:
    future: Future[int] = Future()
    threads = [blocked(future.result) for _ in range(3)] + [blocked(future.exception)]
    assert waiters(future) == 4
    future.set_result(5)
    assert [thread.result() for thread in threads] == [5, 5, 5, None]
    assert waiters(future) == 0


def test_cancel_wakes_threads_that_wait() -> None:
    future: Future[int] = Future()
    thread = blocked(future.result)
    assert future.cancel()
    with pytest.raises(CancelledError):
        thread.result()


def test_an_assigned_state_wakes_threads_that_wait() -> None:
    future: Any = Future()
    thread = blocked(future.result)
    future._result = 7
    future._state = "FINISHED"
    assert thread.result() == 7


def test_the_wait_is_seen() -> None:
    future: Future[int] = Future()
    thread = blocked(future.result)
    (seen,) = (wait for wait in tress.waits() if wait.object is future)
    assert seen.operation == "Future.result"
    assert seen.thread_ident == thread.thread.ident
    del seen
    future.set_result(1)
    thread.result()


def test_a_timeout_leaves_nobody_waiting() -> None:
    future: Future[int] = Future()
    for _ in range(100):
        with pytest.raises(TimeoutError):
            future.result(0.00001)
    assert waiters(future) == 0
    future.set_result(1)
    assert future.result() == 1


def test_timeout_against_result_loses_nothing() -> None:
    """Each of many races ends with the result or a timeout, and the result is there afterwards."""
    counts = {"result": 0, "timeout": 0}
    for turn in range(300):
        future: Future[int] = Future()
        go = threading.Barrier(2)

        def finish(
            future: Future[int] = future, go: threading.Barrier = go, turn: int = turn
        ) -> None:
            go.wait(BOUND_S)
            future.set_result(turn)

        thread = threading.Thread(target=finish)
        thread.start()
        go.wait(BOUND_S)
        try:
            assert future.result(0.00002) == turn
            counts["result"] += 1
        except TimeoutError:
            counts["timeout"] += 1
        thread.join(BOUND_S)
        assert future.result(0) == turn
        assert waiters(future) == 0
    assert sum(counts.values()) == 300


def test_callbacks_are_called_in_their_order_with_the_future(library: ModuleType) -> None:
    seen: list[Any] = []
    future = library.Future()
    for number in range(3):
        future.add_done_callback(
            lambda future, number=number: seen.append((number, future.result()))
        )
    assert len(future._done_callbacks) == 3
    assert seen == []
    future.set_result("done")
    assert seen == [(0, "done"), (1, "done"), (2, "done")]
    future.add_done_callback(lambda future: seen.append(future.result()))
    assert seen[3:] == ["done"]


def test_callbacks_of_a_cancelled_future_are_called_once(library: ModuleType) -> None:
    seen: list[Any] = []
    future = library.Future()
    future.add_done_callback(seen.append)
    assert future.cancel()
    assert future.cancel()
    assert future.set_running_or_notify_cancel() is False
    assert seen == [future]


def test_what_callbacks_raise_is_logged(library: ModuleType, log: io.StringIO) -> None:
    seen: list[Any] = []

    def fails(future: Any) -> None:
        raise ValueError("of the callback")

    future = library.Future()
    future.add_done_callback(fails)
    future.add_done_callback(seen.append)
    future.set_result(1)
    future.add_done_callback(fails)
    assert seen == [future]
    text = log.getvalue()
    assert text.count(f"exception calling callback for {future!r}\n") == 2
    assert text.count("ValueError: of the callback") == 2


def test_what_is_no_exception_passes_through_callbacks(library: ModuleType) -> None:
    def fails(future: Any) -> None:
        raise SystemExit

    future = library.Future()
    future.add_done_callback(fails)
    with pytest.raises(SystemExit):
        future.set_result(1)
    assert future.result() == 1


def test_subclasses_with_their_own_arguments(library: ModuleType) -> None:
    class Own(library.Future):  # type: ignore[name-defined, misc]
        def __init__(self, name: str, *, number: int) -> None:
            super().__init__()
            self.told = (name, number)

    future = Own("x", number=1)
    assert future.told == ("x", 1)
    future.set_result(None)
    with pytest.raises(TypeError):
        Own()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        library.Future(1)
    with pytest.raises(TypeError):
        library.Future(name=1)


def test_attributes_of_its_own_and_weak_references(library: ModuleType) -> None:
    future = library.Future()
    future.anything = [future]
    seen = weakref.ref(future)
    del future
    gc.collect()
    assert seen() is None


def test_cycles_through_results_and_callbacks_are_collected() -> None:
    class Thing:
        pass

    ways: list[Callable[[Any, Any], object]] = [
        lambda future, thing: future.set_result((future, thing)),
        lambda future, thing: future.add_done_callback(lambda _: (future, thing)),
        lambda future, thing: future._waiters.append((future, thing)),
    ]
    for make in ways:
        future: Future[Any] = Future()
        thing = Thing()
        seen = weakref.ref(thing)
        make(future, thing)
        del future, thing
        gc.collect()
        assert seen() is None


def test_it_holds_its_outcome_once() -> None:
    result = object()
    before = sys.getrefcount(result)
    future: Future[object] = Future()
    future.set_result(result)
    assert sys.getrefcount(result) == before + 1
    future.result()
    assert sys.getrefcount(result) == before + 1
    del future
    assert sys.getrefcount(result) == before


def test_copies_are_refused(library: ModuleType) -> None:
    for attempt in (copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            attempt(library.Future())


def test_snapshots() -> None:
    future: Future[int] = Future()
    assert future._get_snapshot() == (False, False, None, None)
    future.set_result(1)
    assert future._get_snapshot() == (True, False, 1, None)
    error = OSError()
    assert future_in(LIBRARIES["tress"], "FINISHED", exception=error)._get_snapshot() == (
        True,
        False,
        None,
        error,
    )
    assert future_in(LIBRARIES["tress"], "CANCELLED")._get_snapshot() == (True, True, None, None)


def test_bad_states_and_timeouts_are_refused() -> None:
    future: Any = Future()
    with pytest.raises(ValueError, match=r"_state must be one of .*'NONE'"):
        future._state = "NONE"
    with pytest.raises(TypeError, match="timeout"):
        future.result("1")
    with pytest.raises(ValueError, match="timeout"):
        future.result(float("nan"))
    with pytest.raises(OverflowError, match="timeout"):
        future.result(1e300)


def test_statistics() -> None:
    future: Future[int] = Future()
    assert future.statistics() == {
        "state": "PENDING",
        "waiters": 0,
        "observers": 0,
        "callbacks": 0,
    }
    future.add_done_callback(print)
    future._waiters.append(None)
    thread = blocked(future.result, 30)
    assert future.statistics() == {
        "state": "PENDING",
        "waiters": 1,
        "observers": 1,
        "callbacks": 1,
    }
    future._waiters.clear()
    future._done_callbacks.clear()
    future.set_result(1)
    thread.result()


class _Waiter:
    """What the standard library's `wait` puts into `_waiters`, taking notes."""

    def __init__(self, condition: Any) -> None:
        self._condition = condition
        self.told: list[str] = []

    def _note(self, name: str) -> None:
        assert self._condition._is_owned()
        self.told.append(name)

    def add_result(self, future: Any) -> None:
        self._note("result")

    def add_exception(self, future: Any) -> None:
        self._note("exception")

    def add_cancelled(self, future: Any) -> None:
        self._note("cancelled")


def _end(future: Any, how: str) -> None:
    if how == "result":
        future.set_result(1)
    elif how == "exception":
        future.set_exception(OSError())
    else:
        future.cancel()
        future.set_running_or_notify_cancel()


@pytest.mark.parametrize("how", ["result", "exception", "cancelled"])
def test_standard_waiters_are_told_with_the_condition_held(library: ModuleType, how: str) -> None:
    future = library.Future()
    waiter = _Waiter(future._condition)
    with future._condition:
        future._waiters.append(waiter)
    _end(future, how)
    assert waiter.told == [how]
    assert future.done()


@pytest.mark.parametrize("how", ["result", "exception", "cancelled"])
def test_nothing_changes_while_the_condition_is_held(library: ModuleType, how: str) -> None:
    future = library.Future()
    with future._condition:
        thread = blocked(_end, future, how)
        assert future._state == "PENDING"
        assert not future.done()
        future._condition.notify_all()
    thread.result()
    assert future.done()


def test_waiting_on_the_condition(library: ModuleType) -> None:
    future = library.Future()

    def wait() -> str:
        with future._condition:
            assert future._condition.wait(BOUND_S)
            state: str = future._state
            return state

    thread = blocked(wait)
    future.set_result(1)
    assert thread.result() == "FINISHED"


def test_refused_transitions_of_a_shared_future() -> None:
    future: Future[int] = Future()
    assert future._condition is future._condition
    assert future.set_running_or_notify_cancel()
    assert not future.cancel()
    with pytest.raises(RuntimeError, match="unexpected state"):
        future.set_running_or_notify_cancel()
    future.set_result(1)
    with pytest.raises(InvalidStateError, match=r"^FINISHED: <Future at"):
        future.set_result(2)
    with pytest.raises(InvalidStateError, match=r"^FINISHED: <Future at"):
        future.set_exception(OSError())
    assert not future._condition._is_owned()
    assert future.result() == 1


def test_many_threads_compete_to_end_one_future() -> None:
    """Of those who finish and cancel at the same time exactly one is told that it did."""
    for shared in (False, True):
        for _ in range(50):
            future: Future[int] = Future()
            if shared:
                assert future._waiters == []
            go = threading.Barrier(4)
            ended: list[str] = []

            def finish(
                future: Future[int] = future,
                go: threading.Barrier = go,
                ended: list[str] = ended,
            ) -> None:
                go.wait(BOUND_S)
                try:
                    future.set_result(1)
                except InvalidStateError:
                    return
                ended.append("finished")

            def cancel(
                future: Future[int] = future,
                go: threading.Barrier = go,
                ended: list[str] = ended,
            ) -> None:
                go.wait(BOUND_S)
                if future.cancel():
                    ended.append("cancelled")

            threads = [
                threading.Thread(target=target) for target in (finish, finish, cancel, cancel)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(BOUND_S)
            assert set(ended) == {"cancelled" if future.cancelled() else "finished"}
            assert ended.count("finished") <= 1
    until(future.done, "the last one has ended")
