"""Threads that hand something over: what counts is how often somebody sleeps and is woken."""

from __future__ import annotations

from typing import Any

from bench import crew
from bench.case import Case
from bench.sides import TASK_DONE, Side

BOUND = 100
PRODUCERS = CONSUMERS = PARTIES = 4


def one_to_one(side: Side, operations: int) -> int:
    """One thread puts, one gets; one operation is one item through the queue."""
    q = side.Queue()

    def produce() -> None:
        for item in range(operations):
            q.put(item)

    def consume() -> None:
        for _ in range(operations):
            q.get()

    return crew.timed([produce, consume])


def four_to_four(side: Side, operations: int) -> int:
    """Four put into a bounded queue, four get and say task_done: until no task is unfinished."""
    q = side.Queue(BOUND)
    share = operations // PRODUCERS

    def produce() -> None:
        for item in range(share):
            q.put(item)

    def consume() -> None:
        for _ in range(share):
            q.get()
            q.task_done()

    elapsed = crew.timed([produce] * PRODUCERS + [consume] * CONSUMERS)
    q.join()  # returns at once, or the case runs into its time limit
    return elapsed


def event_ping_pong(side: Side, operations: int) -> int:
    """Two threads wake each other in turn; one operation is there and back."""
    ping, pong = side.Event(), side.Event()

    def serve() -> None:
        for _ in range(operations):
            ping.set()
            pong.wait()
            pong.clear()

    def answer() -> None:
        for _ in range(operations):
            ping.wait()
            ping.clear()
            pong.set()

    return crew.timed([serve, answer])


def condition_ping_pong(side: Side, operations: int) -> int:
    """Two threads take turns under one condition; one operation is there and back."""
    condition = side.Condition()
    turn = [0]

    def player(me: int) -> Any:
        def play() -> None:
            for _ in range(operations):
                with condition:
                    while turn[0] != me:
                        condition.wait()
                    turn[0] = 1 - me
                    condition.notify()

        return play

    return crew.timed([player(0), player(1)])


def barrier(side: Side, operations: int) -> int:
    """Four threads meet again and again; one operation is one meeting of all."""
    meeting = side.Barrier(PARTIES)

    def party() -> None:
        for _ in range(operations):
            meeting.wait()

    return crew.timed([party] * PARTIES)


CASES = (
    Case(
        name="queue_1p1c",
        title="Queue, 1 producer, 1 consumer",
        run=one_to_one,
        operations=100_000,
        needs=("Queue",),
        target=5.0,
        more_rounds=3,
    ),
    Case(
        name="queue_4p4c_bounded",
        title=f"Queue({BOUND}), 4 and 4, task_done",
        run=four_to_four,
        operations=60_000,
        needs=("Queue", TASK_DONE),
        target=5.0,
        more_rounds=3,
    ),
    Case(
        name="event_ping_pong",
        title="Event ping-pong of two threads",
        run=event_ping_pong,
        operations=1_000,
        needs=("Event",),
        target=2.0,
        more_rounds=3,
    ),
    Case(
        name="condition_ping_pong",
        title="Condition ping-pong of two threads",
        run=condition_ping_pong,
        operations=1_000,
        needs=("Condition",),
        target=2.0,
        more_rounds=3,
    ),
    Case(
        name="barrier_4",
        title="Barrier of four",
        run=barrier,
        operations=1_000,
        needs=("Barrier",),
        target=2.0,
        more_rounds=3,
    ),
)
