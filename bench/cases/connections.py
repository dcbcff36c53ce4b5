"""Connections and managers: one request at a time, there and back.

The other process is forked, and has answered, before the clock runs.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

from bench import work
from bench.case import Case
from bench.sides import MULTIPROCESSING, Side

MESSAGE = b"x" * 100
OBJECT = (1, "name", {"key": 2.5})


def _with_peer(side: Side, echo: Callable[[Any], None], run: Callable[[Any], None]) -> int:
    context = side.multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    peer = context.Process(target=echo, args=(theirs,), daemon=True)
    peer.start()
    theirs.close()
    with ours:
        work.ask(ours)
        start = perf_counter_ns()
        run(ours)
        took = perf_counter_ns() - start
    peer.kill()
    peer.join()
    return took


def pipe_bytes(side: Side, operations: int) -> int:
    """A hundred bytes."""

    def run(connection: Any) -> None:
        send, receive = connection.send_bytes, connection.recv_bytes
        for _ in range(operations):
            send(MESSAGE)
            receive()

    return _with_peer(side, work.echo_bytes, run)


def pipe_objects(side: Side, operations: int) -> int:
    """A tuple with a dict in it."""

    def run(connection: Any) -> None:
        send, receive = connection.send, connection.recv
        for _ in range(operations):
            send(OBJECT)
            receive()

    return _with_peer(side, work.echo_objects, run)


def manager_dict(side: Side, operations: int) -> int:
    """An item of a manager's dict: set, then got."""
    context = side.multiprocessing.get_context("fork")
    with context.Manager() as manager:
        shared = manager.dict()
        shared["key"] = 0
        start = perf_counter_ns()
        for value in range(operations):
            shared["key"] = value
            if shared["key"] != value:
                raise RuntimeError(f"{side.name}: wrong result")
        return perf_counter_ns() - start


CASES = (
    Case(
        name="process_pipe_bytes",
        title="Pipe: 100 bytes there and back",
        run=pipe_bytes,
        operations=3_000,
        needs=(MULTIPROCESSING,),
        target=1.3,
        more_rounds=2,
    ),
    Case(
        name="process_pipe_objects",
        title="Pipe: small object there and back",
        run=pipe_objects,
        operations=3_000,
        needs=(MULTIPROCESSING,),
        target=1.3,
        more_rounds=2,
    ),
    Case(
        name="process_manager_dict",
        title="Manager: dict set and get",
        run=manager_dict,
        operations=1_000,
        needs=(MULTIPROCESSING,),
        target=3.0,
        more_rounds=2,
    ),
)
