"""What the processes of the tests run: importable, as a process that is not forked wants it."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

BOUND_S = 30.0
"""No wait of a test takes longer."""


def _pause() -> None:
    while True:
        signal.pause()


def take_and_stay(taken: Any, *things: Any) -> None:
    """Acquires things, says so, and stays until it is killed."""
    for thing in things:
        thing.acquire()
    taken.set()
    _pause()


def take_notify_and_stay(taken: Any, condition: Any) -> None:
    """Acquires a condition, notifies it, says so, and stays until it is killed."""
    condition.acquire()
    condition.notify()
    taken.set()
    _pause()


def take_and_end(*things: Any) -> None:
    """Acquires things, and ends as if that were all right."""
    for thing in things:
        thing.acquire()


def release(thing: Any) -> None:
    """Releases something that another process has acquired."""
    thing.release()


def count(lock: Any, number: Any, times: int) -> None:
    """Adds to a number that has no lock of its own."""
    for _ in range(times):
        with lock:
            number.value += 1


def report(sender: Any, *things: Any) -> None:
    """Sends what this process sees of things."""
    sender.send(
        [(repr(thing), thing._semlock._is_mine(), thing.acquire(False)) for thing in things]
    )


def acquire_and_tell(sender: Any, thing: Any) -> None:
    """Acquires, and sends the warnings that came of it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            acquired = thing.acquire(timeout=BOUND_S)
        except RuntimeError as error:
            sender.send((type(error).__name__, [str(error)]))
            return
        thing.release()
    sender.send((acquired, [str(one.message) for one in caught]))


def wait_for_condition(ready: Any, condition: Any, sender: Any = None) -> None:
    """Waits for a notification."""
    with condition:
        ready.release()
        outcome = condition.wait(BOUND_S)
    if sender is not None:
        sender.send(outcome)


def wait_holding_nothing(ready: Any, condition: Any) -> None:
    """Waits for a notification without an end."""
    with condition:
        ready.release()
        condition.wait()


def wait_for_event(ready: Any, event: Any, sender: Any) -> None:
    """Waits for an event."""
    ready.release()
    sender.send(event.wait(BOUND_S))


def meet(barrier: Any, sender: Any) -> None:
    """Waits at a barrier."""
    sender.send(barrier.wait(BOUND_S))


def memories() -> list[str]:
    """The open file descriptors of this process that are shared memory of tress's."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if target.startswith("/memfd:tress"):
            found.append(target)
    return found


def count_memories(sender: Any, things: list[Any]) -> None:
    """Sends how many descriptors of shared memory came with things, and whether all work."""
    works = all(thing.acquire(False) for thing in things)
    sender.send((len(memories()), works))


def put(queue: Any, items: int) -> None:
    """Puts so many items."""
    for item in range(items):
        queue.put(item)


def pass_on(context: Any, lock: Any, sender: Any) -> None:
    """Gives a lock to a process of its own."""
    import tress.multiprocessing as mp

    child = mp.get_context(context).Process(target=report, args=(sender, lock))
    child.start()
    child.join(BOUND_S)


def start_method(sender: Any) -> None:
    """Sends the start method that this process was told."""
    import multiprocessing

    import tress.multiprocessing as mp

    sender.send((mp.get_start_method(), multiprocessing.get_start_method()))


def nothing(*_: object) -> None:
    """Does nothing."""


def kill_itself(number: int) -> None:
    """Ends by a signal."""
    os.kill(os.getpid(), number)
    _pause()


def send_length(sender: Any, data: bytes) -> None:
    """Sends how much has arrived."""
    sender.send(len(data))


def send_family(sender: Any, method: str) -> None:
    """Starts a child; sends the ids of this process's parent, of this process and of the child."""
    import tress.multiprocessing as mp

    child = mp.get_context(method).Process(target=nothing)
    child.start()
    child.join(BOUND_S)
    assert child.exitcode == 0
    sender.send((os.getppid(), os.getpid(), child.pid))


def say_and_wait(sender: Any) -> None:
    """Sends its id, and ends with exit code 5 when it gets SIGUSR1."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    sender.send(os.getpid())
    signal.sigwait([signal.SIGUSR1])
    sys.exit(5)
