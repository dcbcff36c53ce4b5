"""Queues whose processes are killed, and what is left behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

import tress
from tests.processes import queue_jobs as jobs
from tests.processes.jobs import BOUND_S
from tests.threads.ordering import Runner, blocked, until

pytestmark = pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")

Start = Callable[..., Any]
LONG = 8 << 20
"""More than a ring holds."""


def full(queue: Any) -> Callable[[], bool]:
    """Whether a producer has filled the ring, as nobody reads."""
    native = queue._reader.ring.native
    # Pieces have headers, and are a quarter of the ring.
    return lambda: native.used > native.capacity * 7 // 10


def kill(process: Any) -> None:
    process.kill()
    process.join(BOUND_S)
    assert process.exitcode == -signal.SIGKILL


@pytest.fixture(params=["Queue", "JoinableQueue", "SimpleQueue"])
def queue(request: pytest.FixtureRequest, ctx: Any) -> Any:
    """A queue of each class."""
    return getattr(ctx, request.param)()


def test_a_producer_killed_in_the_middle_loses_its_item_alone(start: Start, queue: Any) -> None:
    queue.put("before")
    producer = start(jobs.put_long, queue, 1, LONG)
    until(full(queue), "the item has begun")
    kill(producer)
    queue.put("after")
    assert queue.get() == "before"
    with pytest.warns(tress.OwnerDiedWarning, match=f"process {producer.pid} .*item is lost"):
        assert queue.get() == "after"
    assert queue.empty()


def test_a_producer_killed_while_its_item_is_read(start: Start, queue: Any) -> None:
    producer = start(jobs.put_long, queue, 1, LONG)
    until(full(queue), "the item has begun")
    os.kill(producer.pid, signal.SIGSTOP)
    with pytest.warns(tress.OwnerDiedWarning, match=f"process {producer.pid} "):  # noqa: PT031
        getting = blocked(queue.get)
        until(queue.empty, "what is there is read")
        kill(producer)
        until(lambda: not queue._reader.ring.native.used, "the rest is passed over")
        queue.put("after")
        assert getting.result() == "after"


def test_a_consumer_killed_in_the_middle_loses_its_item_alone(
    ctx: Any, start: Start, queue: Any
) -> None:
    receiver, sender = ctx.Pipe(duplex=False)
    producer = start(jobs.put_long, queue, 2, LONG)
    until(full(queue), "the item has begun")
    os.kill(producer.pid, signal.SIGSTOP)
    consumer = start(jobs.take, sender, queue, 1)
    until(queue.empty, "what is there of it is read")
    kill(consumer)
    os.kill(producer.pid, signal.SIGCONT)
    with pytest.warns(tress.OwnerDiedWarning, match=f"process {consumer.pid} .*item is lost"):
        assert queue.get() == jobs.content(1, LONG)
    assert queue.empty()
    receiver.close()
    sender.close()


def test_a_consumer_killed_as_it_waits_loses_nothing(ctx: Any, start: Start, queue: Any) -> None:
    answers = ctx.Queue()
    queue.put(1)
    consumer = start(jobs.hand_over, queue, answers)
    assert answers.get(timeout=BOUND_S) == 1
    kill(consumer)
    queue.put(2)
    assert queue.get() == 2


def test_a_process_that_does_not_join_its_thread_ends(start: Start, ctx: Any) -> None:
    queue = ctx.Queue()
    process = start(jobs.put_without_joining, queue, b"x" * LONG)
    process.join(BOUND_S)
    assert process.exitcode == 0
    queue.put("after")
    if queue._reader.ring.native.used > 1000:
        with pytest.warns(tress.OwnerDiedWarning, match="item is lost"):
            assert queue.get(timeout=BOUND_S) == "after"
    else:
        assert queue.get(timeout=BOUND_S) == "after"


def test_a_lost_item_has_no_place_and_no_task(ctx: Any, start: Start) -> None:
    queue = ctx.JoinableQueue(2)
    producer = start(jobs.put_long, queue, 1, LONG)
    until(full(queue), "the item has begun")
    kill(producer)
    queue.put("after")
    assert queue.full()
    with pytest.warns(tress.OwnerDiedWarning):
        assert queue.get(timeout=BOUND_S) == "after"
    assert queue.qsize() == 0
    queue.task_done()
    queue.join()


@pytest.mark.filterwarnings("error::tress.OwnerDiedWarning")
def test_a_warning_made_an_error_loses_no_other_item(start: Start, queue: Any) -> None:
    producer = start(jobs.put_long, queue, 1, LONG)
    until(full(queue), "the item has begun")
    kill(producer)
    putting = Runner(queue.put, "after")
    with pytest.raises(tress.OwnerDiedWarning):
        queue.get()
    assert queue.get() == "after"
    putting.result()


def test_whoever_waits_in_an_orphan_is_told(ctx: Any, start: Start) -> None:
    queue, ready = ctx.SimpleQueue(), ctx.Event()
    receiver, sender = ctx.Pipe(duplex=False)
    parent = start(jobs.start_and_stay, ctx, queue, ready, sender)
    assert ready.wait(BOUND_S)
    kill(parent)
    assert receiver.poll(BOUND_S)
    assert receiver.recv() == "EOFError"
    receiver.close()
    sender.close()


def test_a_signal_ends_a_wait_and_takes_nothing(ctx: Any) -> None:
    class Stop(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stop

    queue = ctx.Queue()
    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Stop):
            queue.get()
        queue.put(1)
        assert queue.get(timeout=BOUND_S) == 1
        simple = ctx.SimpleQueue()
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Stop):
            simple.put(b"x" * LONG)
        putting = Runner(simple.put, 2)
        with pytest.warns(tress.OwnerDiedWarning, match="item is lost"):
            assert simple.get() == 2
        putting.result()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_fork_leaves_what_is_to_be_put_to_the_parent() -> None:
    import tress.multiprocessing as mp

    context = mp.get_context("fork")
    queue = context.Queue()
    queue.put(b"x" * LONG)
    queue.put("parent")
    child = context.Process(target=jobs.put_all, args=(queue, ["child"]))
    child.start()
    found = [queue.get(timeout=BOUND_S) for _ in range(3)]
    child.join(BOUND_S)
    assert child.exitcode == 0
    assert b"x" * LONG in found
    assert sorted(item for item in found if isinstance(item, str)) == ["child", "parent"]


def test_nothing_is_left_behind(ctx: Any) -> None:
    def use() -> None:
        for make in (ctx.Queue, ctx.JoinableQueue, ctx.SimpleQueue):
            queue = make()
            process = ctx.Process(target=jobs.put_all, args=(queue, [1, 2]))
            process.start()
            assert [queue.get(), queue.get()] == [1, 2]
            queue._reader.fileno()
            process.join(BOUND_S)
            process.close()

    def memory() -> int:
        with open("/proc/self/maps", encoding="utf-8") as maps:
            # In /dev/shm itself others come and go.
            return sum("memfd:tress" in line or "/dev/shm/" in line for line in maps)

    use()
    files, mapped = len(os.listdir("/proc/self/fd")), memory()
    for _ in range(3):
        use()
    assert len(os.listdir("/proc/self/fd")) <= files
    assert memory() <= mapped + 1
