"""One thread, nobody else there: the price of the call itself."""

from __future__ import annotations

from typing import Any

from bench.case import Case, statement_runner
from bench.sides import Side


def _lock(side: Side) -> dict[str, Any]:
    return {"lock": side.Lock()}


def _rlock(side: Side) -> dict[str, Any]:
    return {"lock": side.RLock()}


def _semaphore(side: Side) -> dict[str, Any]:
    return {"semaphore": side.Semaphore()}


def _event(side: Side) -> dict[str, Any]:
    return {"event": side.Event()}


def _simple_queue(side: Side) -> dict[str, Any]:
    return {"q": side.SimpleQueue(), "item": 1}


def _queue(side: Side) -> dict[str, Any]:
    return {"q": side.Queue(), "item": 1}


def _priority_queue(side: Side) -> dict[str, Any]:
    q = side.PriorityQueue()
    for priority in range(32):
        q.put(priority)
    return {"q": q, "item": 16}


def _future(side: Side) -> dict[str, Any]:
    return {"Future": side.Future}


CASES = (
    Case(
        name="lock_with",
        title="with Lock()",
        run=statement_runner("with lock:\n    pass", _lock),
        operations=400_000,
        needs=("Lock",),
        target=0.9,
    ),
    Case(
        name="rlock_with",
        title="with RLock()",
        run=statement_runner("with lock:\n    pass", _rlock),
        operations=400_000,
        needs=("RLock",),
        target=0.9,
    ),
    Case(
        name="simplequeue_put_get",
        title="SimpleQueue put, get",
        run=statement_runner("q.put(item)\nq.get()", _simple_queue),
        operations=400_000,
        needs=("SimpleQueue",),
        target=0.9,
    ),
    Case(
        name="semaphore_with",
        title="with Semaphore()",
        run=statement_runner("with semaphore:\n    pass", _semaphore),
        operations=100_000,
        needs=("Semaphore",),
        target=4.0,
    ),
    Case(
        name="event_set_clear",
        title="Event set, is_set, clear",
        run=statement_runner("event.set()\nevent.is_set()\nevent.clear()", _event),
        operations=100_000,
        needs=("Event",),
        target=6.0,
    ),
    Case(
        name="queue_put_get",
        title="Queue put, get",
        run=statement_runner("q.put(item)\nq.get()", _queue),
        operations=50_000,
        needs=("Queue",),
        target=10.0,
    ),
    Case(
        name="priorityqueue_put_get",
        title="PriorityQueue put, get (32 in it)",
        run=statement_runner("q.put(item)\nq.get()", _priority_queue),
        operations=50_000,
        needs=("PriorityQueue",),
        target=5.0,
    ),
    Case(
        name="future_set_result",
        title="Future create, set_result, result",
        run=statement_runner(
            "future = Future()\nfuture.set_result(None)\nfuture.result()", _future
        ),
        operations=50_000,
        needs=("Future",),
        target=8.0,
    ),
)
