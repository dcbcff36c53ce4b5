"""What the processes of the queues' tests run."""

from __future__ import annotations

import signal
from typing import Any


class Unpicklable:
    """Says no to whoever pickles it."""

    def __reduce__(self) -> Any:
        raise TypeError("not to be pickled")


def content(item: int, size: int) -> bytes:
    """So many bytes that tell which item they are of."""
    return item.to_bytes(4, "little") * (size // 4)


def put_all(queue: Any, items: list[Any]) -> None:
    """Puts items in."""
    for item in items:
        queue.put(item)


def put_long(queue: Any, count: int, size: int) -> None:
    """Puts long items in."""
    for item in range(count):
        queue.put(content(item, size))


def put_without_joining(queue: Any, item: Any) -> None:
    """Puts an item in and ends, whether it has found room or not."""
    queue.put(item)
    queue.cancel_join_thread()


def take(sender: Any, queue: Any, count: int) -> None:
    """Sends the items that it gets."""
    sender.send([queue.get() for _ in range(count)])


def hand_over(queue: Any, answers: Any) -> None:
    """Puts what it gets into another queue, until that is None."""
    while (item := queue.get()) is not None:
        answers.put(item)


def take_tasks(queue: Any, count: int) -> None:
    """Gets items and says that they are done."""
    for _ in range(count):
        queue.get()
        queue.task_done()


def get_until_orphaned(queue: Any, ready: Any, told: Any) -> None:
    """Waits for an item that nobody puts, and says how that ends."""
    queue._writer.close()
    ready.set()
    try:
        queue.get()
    except EOFError:
        told.send("EOFError")


def start_and_stay(context: Any, queue: Any, ready: Any, told: Any) -> None:
    """Starts a process that waits for an item, and stays until it is killed."""
    context.Process(target=get_until_orphaned, args=(queue, ready, told)).start()
    signal.pause()
