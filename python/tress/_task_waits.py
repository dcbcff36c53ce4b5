"""What the tasks of a loop wait for, read from their coroutines: nothing is noted beforehand."""

from __future__ import annotations

import traceback
from asyncio import AbstractEventLoop, Future, Task, all_tasks, tasks
from dataclasses import dataclass
from types import FrameType
from typing import Any

from tress import _native
from tress._task_stacks import awaited_by, frame_of, frames_of, summary_of

_Gathering: Any = tasks._GatheringFuture  # type: ignore[attr-defined]
_CALLED = {
    "Lock.__aenter__": "Lock.acquire",
    "Semaphore.__aenter__": "Semaphore.acquire",
    "Queue._get_in_python": "Queue.get",
    "Queue._put_in_python": "Queue.put",
}
"""What programs call that for which a name of ours stands."""


@dataclass(frozen=True)
class TaskWait:
    """A task that waits; see `Wait`."""

    task: Task[Any]
    operation: str
    object: object
    seconds_left: float | None
    owner: Task[Any] | None
    stack: traceback.StackSummary


def find(loop: AbstractEventLoop) -> list[TaskWait]:
    """What the tasks of a loop wait for, which may run in another thread."""
    sleepers: dict[int, float] = loop._sleepers() if isinstance(loop, _native.EventLoop) else {}
    found = (_wait_of(task, sleepers) for task in all_tasks(loop))
    # The interpreter numbers those that have been given no name.
    return sorted(
        (wait for wait in found if wait is not None),
        key=lambda wait: (len(wait.task.get_name()), wait.task.get_name()),
    )


def _wait_of(task: Task[Any], sleepers: dict[int, float]) -> TaskWait | None:
    future = getattr(task, "_fut_waiter", None)
    if future is None or future.done():
        return None
    chain = awaited_by(task)
    left, owner = None, None
    operation, thing = _of_future(future)
    if isinstance(chain[-1], _native.LazyCoroutine):
        operation, thing = chain[-1].__qualname__, chain[-1]._waits_for
        if isinstance(thing, _native.EventLoop):
            due = sleepers.get(id(chain[-1]))
            left = None if due is None else max(due - thing.time(), 0.0)
            thing = future
        elif isinstance(thing, _native.TimerHandle):
            left = max(thing.when() - task.get_loop().time(), 0.0)
            thing = future
        elif isinstance(thing, _native.LoopLock):
            owner = thing._owner
    entered = _entered(chain)
    if entered is not None:
        operation = entered.f_code.co_qualname
        owner_of_call = entered.f_locals.get("self")
        if owner_of_call is not None and not isinstance(owner_of_call, AbstractEventLoop):
            thing = owner_of_call
    return TaskWait(
        task=task,
        operation=_CALLED.get(operation, operation),
        object=thing,
        seconds_left=left,
        owner=owner,
        stack=summary_of(frames_of(chain)),
    )


def _of_future(future: Any) -> tuple[str, object]:
    if isinstance(future, Task):
        return "await Task", future
    if isinstance(future, _Gathering):
        return "gather", future
    return "await Future" if isinstance(
        future, Future
    ) else f"await {type(future).__name__}", future


def _entered(chain: list[Any]) -> FrameType | None:
    """The function of `asyncio` that the program has called, in which the task waits; None if it
    awaits what has no frame.
    """
    entered = None
    for frame in map(frame_of, reversed(chain)):
        if frame is None:
            continue
        module = str(frame.f_globals.get("__name__"))
        if not module.startswith(("asyncio.", "tress.asyncio.")):
            return entered
        if frame.f_code.co_name != "awaiting":  # of `coroutine_function`
            entered = frame
    return entered
