"""Queue, JoinableQueue and SimpleQueue between processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from multiprocessing import connection, queues as standard
from queue import Empty, Full
from typing import Any

import pytest

import tress.multiprocessing as mp
from tests.processes import queue_jobs as jobs
from tests.processes.jobs import BOUND_S
from tests.threads.ordering import blocked, until

pytestmark = pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")

Start = Callable[..., Any]
LONG = 8 << 20
"""More than a ring holds."""


@pytest.fixture(params=["Queue", "JoinableQueue", "SimpleQueue"])
def queue(request: pytest.FixtureRequest, ctx: Any) -> Any:
    """A queue of each class."""
    return getattr(ctx, request.param)()


def close(queue: Any) -> None:
    queue.close()
    queue.join_thread()


def test_they_are_what_the_standard_ones_are(ctx: Any) -> None:
    assert isinstance(ctx.Queue(), standard.Queue)
    assert isinstance(ctx.JoinableQueue(), standard.JoinableQueue)
    assert isinstance(ctx.SimpleQueue(), standard.SimpleQueue)


def test_items_come_out_in_the_order_in_which_they_went_in(
    ctx: Any, start: Start, queue: Any
) -> None:
    items = [0, "text", b"", None, {"key": [1.5]}, b"x" * 70_000, list(range(50_000))]
    start(jobs.put_all, queue, items)
    assert [queue.get() for _ in items] == items
    assert queue.empty()


def test_an_item_may_be_longer_than_the_ring(ctx: Any, start: Start, queue: Any) -> None:
    start(jobs.put_long, queue, 3, LONG)
    for item in range(3):
        assert queue.get() == jobs.content(item, LONG)


def test_a_long_pickle_goes_through_too(ctx: Any, start: Start, queue: Any) -> None:
    items = [["x" * LONG], bytearray(LONG)]
    start(jobs.put_all, queue, items)
    assert [queue.get() for _ in items] == items


def test_each_item_of_many_producers_is_got_once(ctx: Any, start: Start, queue: Any) -> None:
    answers = ctx.Queue()
    for _ in range(3):
        start(jobs.hand_over, queue, answers)
    for producer in range(3):
        start(jobs.put_all, queue, [producer * 1000 + item for item in range(500)])
    found = sorted(answers.get(timeout=BOUND_S) for _ in range(1500))
    assert found == sorted(producer * 1000 + item for producer in range(3) for item in range(500))
    jobs.put_all(queue, [None] * 3)


def test_a_put_waits_for_the_bound_alone(ctx: Any, ask: Callable[..., Any]) -> None:
    queue = ctx.Queue(2)
    queue.put(b"x" * LONG)
    queue.put(2, timeout=0.01)
    assert queue.full()
    assert queue.qsize() == 2
    with pytest.raises(Full):
        queue.put(3, False)
    with pytest.raises(Full):
        queue.put_nowait(3)
    with pytest.raises(Full):
        queue.put(3, timeout=0.01)
    assert ask(jobs.take, queue, 2) == [b"x" * LONG, 2]
    queue.put(3, False)
    assert not queue.full()
    assert queue.get(timeout=BOUND_S) == 3
    close(queue)


def test_an_unbounded_put_never_waits_for_room(ctx: Any) -> None:
    queue = ctx.Queue()
    for item in range(40):
        queue.put(jobs.content(item, 100_000))
    assert queue.qsize() == 40
    assert [queue.get(timeout=BOUND_S)[0] for _ in range(40)] == list(range(40))
    close(queue)


def test_a_get_that_finds_nothing(ctx: Any) -> None:
    queue = ctx.Queue()
    for arguments in [(False,), (True, 0), (True, -1), (False, 5)]:
        with pytest.raises(Empty):
            queue.get(*arguments)
    with pytest.raises(Empty):
        queue.get_nowait()
    begin = time.monotonic()
    with pytest.raises(Empty):
        queue.get(timeout=0.05)
    assert time.monotonic() - begin >= 0.05


def test_a_closed_queue(ctx: Any) -> None:
    queue = ctx.Queue()
    queue.put(1)
    with pytest.raises(AssertionError, match="not closed"):
        queue.join_thread()
    close(queue)
    for call in (lambda: queue.put(1), queue.get):
        with pytest.raises(ValueError, match=r"^Queue <.*> is closed$"):
            call()
    with pytest.raises(OSError, match="handle is closed"):
        queue.empty()
    unused = ctx.Queue()
    close(unused)
    assert unused.empty()
    simple = ctx.SimpleQueue()
    simple.close()
    with pytest.raises(OSError, match="handle is closed"):
        simple.get()
    with pytest.raises(OSError, match="handle is closed"):
        simple.put(1)


@pytest.mark.parametrize("kind", ["Queue", "JoinableQueue"])
def test_what_cannot_be_pickled_is_reported_and_not_put(
    ctx: Any, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    queue = getattr(ctx, kind)(1)
    queue.put(jobs.Unpicklable())
    assert "TypeError: not to be pickled" in capsys.readouterr().err
    queue.put(2, timeout=BOUND_S)
    assert queue.get(timeout=BOUND_S) == 2
    if kind == "JoinableQueue":
        queue.task_done()
        queue.join()
    close(queue)


def test_the_hook_for_what_cannot_be_pickled(ctx: Any) -> None:
    seen = []

    class Hooked(mp.queues.Queue[Any]):
        @staticmethod
        def _on_queue_feeder_error(error: Exception, obj: object) -> None:
            seen.append((str(error), type(obj)))

    queue = Hooked(1, ctx=ctx)
    queue.put(jobs.Unpicklable())
    assert seen == [("not to be pickled", jobs.Unpicklable)]


def test_a_simple_queue_raises_what_pickling_raises(ctx: Any) -> None:
    queue = ctx.SimpleQueue()
    with pytest.raises(TypeError, match="not to be pickled"):
        queue.put(jobs.Unpicklable())
    assert queue.empty()


def test_a_simple_queue_waits_for_room(ctx: Any) -> None:
    queue = ctx.SimpleQueue()
    putting = blocked(queue.put, b"x" * LONG)
    assert queue.get() == b"x" * LONG
    putting.result()


def test_tasks_are_joined(ctx: Any, start: Start) -> None:
    queue = ctx.JoinableQueue()
    queue.join()
    for item in range(5):
        queue.put(item)
    joining = blocked(queue.join)
    start(jobs.take_tasks, queue, 5)
    joining.result()
    with pytest.raises(ValueError, match=r"^task_done\(\) called too many times$"):
        queue.task_done()


def test_a_process_ends_once_what_it_put_is_on_its_way(ctx: Any, start: Start) -> None:
    queue = ctx.Queue()
    process = start(jobs.put_all, queue, [b"x" * LONG, 2])
    assert queue.get(timeout=BOUND_S) == b"x" * LONG
    assert queue.get(timeout=BOUND_S) == 2
    process.join(BOUND_S)
    assert process.exitcode == 0


def test_connection_wait_takes_the_reader(ctx: Any, start: Start, queue: Any) -> None:
    reader = queue._reader
    assert connection.wait([reader], 0) == []
    assert mp.connection.wait([reader], 0) == []
    start(jobs.put_all, queue, [1, 2])
    for item in (1, 2):
        assert connection.wait([reader], BOUND_S) == [reader]
        assert reader.poll()
        assert reader.recv() == item
    assert connection.wait([reader], 0) == []


def test_the_ends_are_like_connections(ctx: Any) -> None:
    queue = ctx.SimpleQueue()
    reader, writer = queue._reader, queue._writer
    assert not reader.poll()
    assert not reader.poll(0.01)
    assert (reader.readable, reader.writable) == (True, False)
    assert (writer.readable, writer.writable) == (False, True)
    writer.send([1])
    assert reader.poll(None)
    writer.send_bytes(reader.recv_bytes())
    assert reader.recv() == [1]
    with reader, writer:
        assert not reader.closed
    assert reader.closed
    with pytest.raises(OSError, match="handle is closed"):
        reader.poll()


def test_a_queue_goes_to_a_process_that_is_started_and_nowhere_else(ctx: Any, queue: Any) -> None:
    import pickle

    with pytest.raises(RuntimeError, match="inheritance"):
        pickle.dumps(queue)


def test_a_wait_is_seen(ctx: Any) -> None:
    import tress

    queue = ctx.Queue()
    getting = blocked(queue.get)
    until(lambda: any(wait.operation == "Queue.get" for wait in tress.waits()), "the wait is there")
    queue.put(1)
    assert getting.result() == 1
    close(queue)
