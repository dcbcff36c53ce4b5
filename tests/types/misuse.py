"""What a type checker must reject: never run, and each line would fail if its error went away.

`mypy --strict` reports an ignore comment that nothing needed, so that each of these is a test.
"""

from __future__ import annotations

import tress
from tress import queue, threading
from tress.concurrent import futures

numbers = queue.Queue[int]()
numbers.put("one")  # type: ignore[arg-type]
numbers.put(1, timeout="soon")  # type: ignore[arg-type]
numbers.put_many(["one"])  # type: ignore[list-item]
numbers.get_many("three")  # type: ignore[arg-type]
text: str = numbers.get()  # type: ignore[assignment]
queue.SimpleQueue[bytes]().put("text")  # type: ignore[arg-type]

threading.Thread(print)  # type: ignore[arg-type]
threading.Thread(target=7)  # type: ignore[arg-type]
threading.Thread(target=print).result(timeout="soon")  # type: ignore[arg-type]
threading.Timer("soon", print)  # type: ignore[arg-type]
threading.Lock().acquire(timeout="soon")  # type: ignore[arg-type]
threading.Semaphore("two")  # type: ignore[arg-type]
threading.Event().wait("soon")  # type: ignore[arg-type]
threading.Barrier("two")  # type: ignore[arg-type]
unknown = threading.no_such_name  # type: ignore[attr-defined]


def half(number: int) -> float:
    return number / 2


with futures.ThreadPoolExecutor() as pool:
    pool.submit(half, "two")  # type: ignore[arg-type]
    whole: int = pool.submit(half, 2).result()  # type: ignore[assignment]
    pool.map(half, ["two"])  # type: ignore[arg-type]
    pool.map(half, [2], progress=2)  # type: ignore[call-overload]
    futures.as_completed([], progress=2)  # type: ignore[arg-type]
    futures.wait(7)  # type: ignore[arg-type]
futures.Future[int]().set_result("seven")  # type: ignore[arg-type]

tress.deadlock(mode="maybe")  # type: ignore[arg-type]
tress.install(7)  # type: ignore[arg-type]
tress.dump_waits("file")  # type: ignore[arg-type]
tress.dump_waits_on("SIGUSR1")  # type: ignore[arg-type]
