"""`log_to_parent=True`: what workers log is handled by the loggers of their owner."""

from __future__ import annotations

import io
import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from tests.processes.jobs import BOUND_S
from tress import WorkerLostError
from tress.concurrent.futures import ProcessPoolExecutor

pytestmark = [
    pytest.mark.bound(120),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def messages(self) -> list[str]:
        return [record.getMessage() for record in self.records]


@pytest.fixture
def kept() -> Iterator[Kept]:
    """The handler of a logger of the tests' own, which sends nothing to the root."""
    logger = logging.getLogger("tests.log")
    handler = Kept()
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


def log(message: str, *args: object, **kwargs: Any) -> int:
    logging.getLogger("tests.log.worker").info(message, *args, **kwargs)
    return os.getpid()


def fail() -> None:
    try:
        raise KeyError("no such thing")
    except KeyError:
        logging.getLogger("tests.log").exception("it failed", extra={"lock": threading.Lock()})


def levels() -> tuple[bool, bool]:
    logger = logging.getLogger("tests.log.worker")
    return logger.isEnabledFor(logging.DEBUG), logger.isEnabledFor(logging.INFO)


def test_records_arrive_before_the_pool_has_ended(ctx: Any, kept: Kept) -> None:
    with ProcessPoolExecutor(2, mp_context=ctx, log_to_parent=True) as executor:
        pids = set(executor.map(log, [f"number %d {n}" for n in range(100)], range(100)))
    assert sorted(kept.messages()) == sorted(f"number {n} {n}" for n in range(100))
    assert {record.process for record in kept.records} == pids
    assert os.getpid() not in pids
    assert {record.levelno for record in kept.records} == {logging.INFO}


def test_those_of_a_pool_and_of_its_initializer(ctx: Any, kept: Kept) -> None:
    with ctx.Pool(1, log, ("begins",), log_to_parent=True) as pool:
        pool.map(log, ["one", "two"], chunksize=1)
        pool.close()
        pool.join()
    assert kept.messages() == ["begins", "one", "two"]


def test_an_exception_is_sent_as_its_text(ctx: Any, kept: Kept) -> None:
    with ProcessPoolExecutor(1, mp_context=ctx, log_to_parent=True) as executor:
        executor.submit(fail).result(BOUND_S)
    (record,) = kept.records
    assert record.getMessage() == "it failed"
    assert "KeyError: 'no such thing'" in logging.Formatter().format(record)
    assert "lock" in vars(record)["lock"]  # what cannot be pickled, as its repr


def test_a_worker_has_the_levels_of_its_owner(ctx: Any, kept: Kept) -> None:
    with ProcessPoolExecutor(1, mp_context=ctx, log_to_parent=True) as executor:
        assert executor.submit(levels).result(BOUND_S) == (False, True)


def test_handlers_are_called_in_the_owner_alone(ctx: Any, kept: Kept) -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    logger = logging.getLogger("tests.log.worker")
    logger.addHandler(handler)
    try:
        with ProcessPoolExecutor(1, mp_context=ctx, log_to_parent=True) as executor:
            executor.submit(log, "once").result(BOUND_S)
    finally:
        logger.removeHandler(handler)
    assert written.getvalue() == "once\n"
    assert kept.messages() == ["once"]


def warn() -> None:
    warnings.warn("from a worker", UserWarning, stacklevel=1)


def test_captured_warnings(ctx: Any) -> None:
    handler = Kept()
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").addHandler(handler)
    try:
        with ProcessPoolExecutor(1, mp_context=ctx, log_to_parent=True) as executor:
            executor.submit(warn).result(BOUND_S)
    finally:
        logging.getLogger("py.warnings").removeHandler(handler)
        logging.captureWarnings(False)
    assert any("UserWarning: from a worker" in message for message in handler.messages())


def log_and_die() -> None:
    log("last words")
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_is_killed(ctx: Any, kept: Kept) -> None:
    with ctx.Pool(1, log_to_parent=True) as pool:
        with pytest.raises(WorkerLostError):
            pool.apply(log_and_die)
        pool.apply(log, ("the next",))
        pool.close()
        pool.join()
    assert kept.messages() == ["last words", "the next"]


def test_a_handler_that_raises_is_reported_and_the_rest_handled(
    ctx: Any, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", errors.append)

    def refuse(record: logging.LogRecord) -> bool:
        if record.getMessage() == "bad":
            raise RuntimeError("refused")
        return True

    kept.addFilter(refuse)
    with ProcessPoolExecutor(1, mp_context=ctx, log_to_parent=True) as executor:
        executor.submit(log, "bad").result(BOUND_S)
        executor.submit(log, "good").result(BOUND_S)
    assert kept.messages() == ["good"]
    assert [str(error.exc_value) for error in errors] == ["refused"]


def test_a_bad_argument(ctx: Any) -> None:
    with pytest.raises(TypeError, match="log_to_parent must be a bool, not str"):
        ProcessPoolExecutor(1, mp_context=ctx, log_to_parent="yes")
    with pytest.raises(TypeError, match="log_to_parent must be a bool, not int"):
        ctx.Pool(1, log_to_parent=1)
