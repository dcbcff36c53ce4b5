"""Deadlocks: what a cycle of locks is turned into, for people."""

from __future__ import annotations

import ast
import inspect
import linecache
import sys
import threading
import traceback
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from tokenize import TokenError
from typing import Any, Literal

from tress import _native
from tress._stacks import level_outside, outside, stack_of
from tress._threads import name_of, names_of_threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import Task

Mode = Literal["raise", "warn", "off"]


@dataclass(frozen=True)
class Link:
    """One thread or task of a deadlock: it holds a lock that the one before it wants, and wants the
    next one.
    """

    thread_name: str
    """The thread's name; a task's loop runs in it."""
    thread_ident: int
    """Its identifier."""
    holds: object
    """The lock that it holds and another one of the chain wants. Of a task that is awaited itself,
    by `await` or `gather`, it is what the other one awaits.
    """
    held_since: str | None
    """Where it took that lock, as `file:line in function: source`; None where the source does not
    tell.
    """
    wants: object
    """The lock that it waits for; of a task also another task, or the future of `gather`."""
    stack: traceback.StackSummary
    """Where it waits for it."""
    task: Task[Any] | None = None
    """The task; None of a thread."""

    @property
    def name(self) -> str:
        """What it is called."""
        if self.task is None:
            return f"{self.thread_name} ({self.thread_ident})"
        return f"{self.task.get_name()} in {self.thread_name} ({self.thread_ident})"


class DeadlockError(RuntimeError):
    """Threads or tasks wait for one another's locks in a circle, and none could ever go on.

    Raised in the one whose wait closed the circle, instead of that wait: it does not hold the lock
    that it asked for, and the others go on waiting until it releases what they want, usually by
    leaving its `with` blocks.
    """

    __module__ = "tress"

    chain: tuple[Link, ...]
    """The threads or tasks, beginning with the one that this was raised in."""

    def __init__(self, message: str, chain: tuple[Link, ...] = ()) -> None:
        super().__init__(message)
        self.chain = chain


class DeadlockWarning(RuntimeWarning):
    """What DeadlockError says, where it is not raised; and a thread that waits for a plain lock of
    its own.
    """

    __module__ = "tress"


def deadlock(mode: Mode) -> None:
    """Sets what becomes of a deadlock of Lock and RLock, and of asyncio's Lock: "raise" a
    DeadlockError (the default), "warn", or "off".

    "warn" emits a DeadlockWarning and goes on waiting, "off" does not look. ValueError for another
    mode.
    """
    _native.set_deadlock_mode(mode)


def report(links: list[tuple[int, Any]], may_raise: bool) -> None:
    """Called by the engine with the threads of a cycle and what each wants; raises, warns or keeps
    silent.
    """
    if len(links) == 1:
        _report_own_lock(links[0][1])
        return
    chain = tuple(_describe(links))
    text = compose(f"deadlock: {len(chain)} threads wait for one another's locks", chain)
    if may_raise:
        raise DeadlockError(text, chain)
    warnings.warn(text, DeadlockWarning, stacklevel=level_outside())


def _report_own_lock(lock: object) -> None:
    """A thread waits for a plain lock that it took itself.

    Another thread may release it, so this is an error only if there is none.
    """
    if threading.active_count() == 1:
        warnings.warn(
            f"the only thread waits for a lock that it took itself: {lock!r}. "
            "Nobody is left to release it.",
            DeadlockWarning,
            stacklevel=level_outside(),
        )


def _describe(links: list[tuple[int, Any]]) -> Iterator[Link]:
    frames = sys._current_frames()
    names = names_of_threads()
    for position, (ident, wants) in enumerate(links):
        holds = _lock_of(links[position - 1][1])
        frame = frames.get(ident)
        yield Link(
            thread_name=name_of(ident, names),
            thread_ident=ident,
            holds=holds,
            held_since=_where_taken(frame, holds),
            wants=wants,
            stack=stack_of(frame),
        )


def _lock_of(thing: object) -> object:
    """The lock that somebody who waits for `thing` cannot go on without."""
    of_tasks = sys.modules.get("asyncio.locks")
    conditions = (
        (_native.Condition,) if of_tasks is None else (_native.Condition, of_tasks.Condition)
    )
    return thing._lock if isinstance(thing, conditions) else thing


def compose(headline: str, chain: tuple[Link, ...]) -> str:
    """The text of an error or a warning."""
    lines = [headline]
    for position, link in enumerate(chain):
        lines.append(link.name)
        if link.task is not None and not isinstance(link.holds, _native.LoopLock):
            lines.append(f"  is awaited by {chain[position - 1].name}")
        else:
            lines.append(f"  holds {link.holds!r}")
        if link.held_since:
            lines.append(f"    taken at {link.held_since}")
        lines.append(f"  wants {link.wants!r}")
        lines += [
            f"  {line}" for entry in link.stack.format() for line in entry.rstrip().splitlines()
        ]
    return "\n".join(lines)


def _where_taken(frame: types.FrameType | None, lock: object) -> str | None:
    """The line of a thread's stack that took `lock`."""
    frame = outside(frame)
    while frame is not None:
        where = where_taken(frame, lock)
        if where is not None:
            return where
        frame = frame.f_back
    return None


def where_taken(frame: types.FrameType, lock: object) -> str | None:
    """The line of a frame that took `lock`, found in the source: taking a lock records nothing.

    A candidate is a `with` statement around the line that is running, or an `acquire` call before
    it, whose expression (a name or attributes of one) is this very lock, or a condition around it.
    """
    line = _line_that_takes(frame, lock)
    if line is None:
        return None
    code = frame.f_code
    source = linecache.getline(code.co_filename, line, frame.f_globals).strip()
    return f"{code.co_filename}:{line} in {code.co_name}: {source}"


def _line_that_takes(frame: types.FrameType, lock: object) -> int | None:
    source = _source_of(frame)
    if source is None:
        return None
    tree, before = source
    running = frame.f_lineno - before
    found = list(_lines_that_take(tree, running, frame, lock))
    if not found:
        return None
    # The line that runs may be the one that waits for it once more.
    return max([line for line in found if line < running] or found) + before


def _lines_that_take(
    tree: ast.AST, running: int, frame: types.FrameType, lock: object
) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.With | ast.AsyncWith):
            if node.lineno <= running <= (node.end_lineno or node.lineno):
                for item in node.items:
                    expression = item.context_expr
                    if expression.lineno <= running and _lock_of(_value(expression, frame)) is lock:
                        yield expression.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in ("acquire", "__enter__") and node.lineno <= running:
                if _lock_of(_value(node.func.value, frame)) is lock:
                    yield node.lineno


def _source_of(frame: types.FrameType) -> tuple[ast.AST, int] | None:
    """The source of a frame's function and how many lines are before it; None where it cannot take
    a lock. Only that function is parsed: a deadlock is to be told at once, however long its files.
    """
    code = frame.f_code
    acquires = "acquire" in code.co_names or "__enter__" in code.co_names
    # A `with` statement has a handler that leaves it.
    if not acquires and not code.co_exceptiontable:
        return None
    lines = linecache.getlines(code.co_filename, frame.f_globals)
    before = 0 if code.co_name == "<module>" else code.co_firstlineno - 1
    if not acquires and not any("with" in line for line in lines[before : frame.f_lineno]):
        return None
    try:
        if code.co_name != "<module>":
            lines = inspect.getblock(lines[before:])
        text = "".join(lines)
        if text[0].isspace():
            before -= 1
            text = "if True:\n" + text
        return ast.parse(text), before
    except (SyntaxError, ValueError, IndexError, TokenError):
        return None


def _value(expression: ast.expr, frame: types.FrameType) -> object:
    """What an expression of names and attributes stands for in a frame, looked up without running
    anybody's code.
    """
    if isinstance(expression, ast.Name):
        for scope in (frame.f_locals, frame.f_globals, frame.f_builtins):
            if expression.id in scope:
                found: object = scope[expression.id]
                return found
    elif isinstance(expression, ast.Attribute):
        owner = _value(expression.value, frame)
        for holder in (owner, *type(owner).__mro__):
            namespace = getattr(holder, "__dict__", None)
            if namespace is not None and expression.attr in namespace:
                attribute: object = namespace[expression.attr]
                return attribute
    return None
