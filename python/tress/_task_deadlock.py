"""Deadlocks of tasks: whether a circle would end by itself, and what it is turned into."""

from __future__ import annotations

import functools
import gc
import threading
import warnings
from asyncio import Future, Task, locks
from collections.abc import Iterable, Iterator
from types import (
    AsyncGeneratorType,
    BuiltinMethodType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    MethodType,
    ModuleType,
)
from typing import Any

from tress import _native
from tress._deadlock import DeadlockError, DeadlockWarning, Link, compose, where_taken
from tress._stacks import level_outside
from tress._task_stacks import awaited_by, frames_of, frames_of_running, summary_of
from tress._threads import name_of, names_of_threads

_WAIT_OF_CONDITION = locks.Condition.wait.__code__
_OPAQUE = (
    *(Future, _native.EventLoop, type, ModuleType, CodeType, FrameType),
    *(CoroutineType, GeneratorType, AsyncGeneratorType),
)
"""Ways end here."""
_MOST_OBJECTS = 10_000
"""So many are looked at for what a timer could do; with more it could do anything."""
_DEPTH = 3
"""An object that a timer is for, an attribute of it, and what is in that."""

_Links = list[tuple["Task[Any]", Any]]


def report(links: _Links, may_raise: bool) -> None:
    """Called by the engine with the tasks of a circle and what each waits for, beginning with the
    one that is about to wait; raises, warns or keeps silent.
    """
    if _ends_by_itself(links):
        return
    chain = tuple(_describe(links))
    text = compose(_headline(links), chain)
    if may_raise and not _is_in_condition(links[0][0]):
        raise DeadlockError(text, chain)
    warnings.warn(text, DeadlockWarning, stacklevel=level_outside())


def _headline(links: _Links) -> str:
    if len(links) == 1:
        return "deadlock: a task waits for a lock that it holds itself"
    return f"deadlock: {len(links)} tasks wait for one another"


def _is_in_condition(task: Task[Any]) -> bool:
    """Whether the task that calls this is in `Condition.wait`: an error there would leave it in a
    block without the lock of it.
    """
    frames = frames_of_running(task)
    return bool(frames) and frames[-1].f_code is _WAIT_OF_CONDITION


def _describe(links: _Links) -> Iterator[Link]:
    # All are of the loop that runs here.
    ident = threading.get_ident()
    name = name_of(ident, names_of_threads())
    for position, (task, wants) in enumerate(links):
        holds = links[position - 1][1]
        frames = frames_of(awaited_by(task)) if position else frames_of_running(task)
        yield Link(
            thread_name=name,
            thread_ident=ident,
            holds=holds,
            held_since=None if isinstance(holds, Future) else _where_taken(frames, holds),
            wants=wants,
            stack=summary_of(frames),
            task=task,
        )


def _where_taken(frames: list[Any], lock: object) -> str | None:
    found = (where_taken(frame, lock) for frame in reversed(frames))
    return next((where for where in found if where is not None), None)


def _ends_by_itself(links: _Links) -> bool:
    """Whether something that is scheduled may end it: a timeout of one of the tasks, or a release
    of one of the locks. What a callback does is not known, only what it is about.
    """
    tasks = [task for task, _ in links]
    if not all(isinstance(task, Task) and not task.cancelling() for task in tasks):
        return True  # or it is another library's task, of which nothing is known
    loop: Any = tasks[0].get_loop()
    if not isinstance(loop, _native.EventLoop):
        return True
    wanted = {id(wants) for _, wants in links if isinstance(wants, _native.LoopLock)}
    ends = {id(task) for task in tasks} | {id(waiter) for waiter in _timed_waiters(tasks)}
    left = _MOST_OBJECTS
    for handle in loop._handles():
        if handle._callback is None:
            continue
        for depth, thing in _about((handle._callback, handle._args), _DEPTH):
            # A release is scheduled as such, or in a function that is written for it: of what an
            # object does in its timer, a release of its lock is not what to expect.
            if id(thing) in ends or (depth == _DEPTH and id(thing) in wanted):
                return True
            left -= 1
            if left == 0:
                return True
    return False


def _timed_waiters(tasks: Iterable[Task[Any]]) -> Iterator[object]:
    """The futures at which `wait_for` of Python 3.11 waits for one of the tasks."""
    for task in tasks:
        for callback, _ in getattr(task, "_callbacks", None) or ():
            if isinstance(callback, functools.partial):
                yield from callback.args


def _about(things: Iterable[Any], depth: int) -> Iterator[tuple[int, Any]]:
    """What a callback and its arguments are about, and how many steps into objects are left there.

    The way goes on neither through tasks and futures nor through what a function finds in its
    module.
    """
    seen: set[int] = set()
    left: list[tuple[int, Any]] = [(depth, thing) for thing in things]
    while left:
        depth, thing = left.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        yield depth, thing
        if isinstance(thing, FunctionType):
            cells = thing.__closure__ or ()
            inside = [cell.cell_contents for cell in cells if gc.get_referents(cell)]
            left += ((depth, one) for one in (*inside, *(thing.__defaults__ or ())))
        elif isinstance(thing, MethodType | BuiltinMethodType):
            left.append((depth, thing.__self__))
            if isinstance(thing, MethodType):
                left.append((depth, thing.__func__))
        elif isinstance(thing, functools.partial):
            left += ((depth, one) for one in (thing.func, *thing.args, *thing.keywords.values()))
        elif isinstance(thing, tuple) and depth == _DEPTH:
            left += ((depth, one) for one in thing)
        elif depth and not isinstance(thing, _OPAQUE):
            left += ((depth - 1, one) for one in gc.get_referents(thing))
