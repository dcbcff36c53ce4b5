"""Order in tests without sleeping: by what objects say about themselves, with a bound."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import tress

BOUND_S = 30.0
"""No wait of a test takes longer: what does is a hang, and fails with the stacks of all threads."""


OURS = str(Path(tress.__file__).parent) + os.sep
"""Where tress's own files are: other folders, on the way to a test too, may be called tress."""


def until(condition: Callable[[], object], what: str) -> None:
    """Looks again and again until `condition()` is true; fails when it does not become so."""
    end = time.monotonic() + BOUND_S
    while not condition():
        if time.monotonic() > end:
            faulthandler.dump_traceback(all_threads=True)
            raise AssertionError(f"not within {BOUND_S} s: {what}")
        time.sleep(0.0005)


class Runner:
    """A function in a daemon thread, whose outcome is looked at with a bound."""

    def __init__(
        self, function: Callable[..., Any], *args: object, name: str | None = None
    ) -> None:
        self._function = function
        self._args = args
        self.value: Any = None
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.value = self._function(*self._args)
        except BaseException as error:
            self.error = error

    def result(self) -> Any:
        """What the function returned; raises what it raised."""
        self.thread.join(BOUND_S)
        if self.thread.is_alive():
            faulthandler.dump_traceback(all_threads=True)
            raise AssertionError(f"{self.thread.name} hangs")
        if self.error is not None:
            raise self.error
        return self.value

    @property
    def is_running(self) -> bool:
        """Whether the function has not returned yet."""
        return self.thread.is_alive()

    def is_blocked(self) -> bool:
        """Whether the thread is in a blocking call, of tress or, by the look of it, elsewhere."""
        ident = self.thread.ident
        if any(wait.thread_ident == ident for wait in tress.waits()):
            return True
        return ident is not None and self._sleeps(ident)

    def _sleeps(self, ident: int) -> bool:
        """Whether the thread sleeps and stays where it is while the interpreter is free for it."""
        seen = self._place(ident)
        for _ in range(10):
            time.sleep(0.001)
            if seen is None or self._place(ident) != seen:
                return False
        return True

    def _place(self, ident: int) -> tuple[int, int] | None:
        frame = sys._current_frames().get(ident)
        stat = Path(f"/proc/self/task/{self.thread.native_id}/stat")
        try:
            state = stat.read_text().rpartition(")")[2].split()[0]
        except OSError:
            return None
        return None if frame is None or state != "S" else (id(frame), frame.f_lasti)

    def await_blocked(self) -> Runner:
        """Waits until the function is in a blocking call."""
        until(lambda: self.is_blocked() or not self.is_running, f"{self.thread.name} blocks")
        if not self.is_running:
            self.result()
            raise AssertionError(f"{self.thread.name} ended instead of blocking: {self.value!r}")
        return self


def blocked(function: Callable[..., Any], *args: object, name: str | None = None) -> Runner:
    """Runs a function in a thread and waits until it is in a blocking call."""
    return Runner(function, *args, name=name).await_blocked()


def waiters(thing: Any) -> int:
    """How many wait on an object of tress."""
    count: int = thing.statistics()["waiters"]
    return count


def is_ours(library: ModuleType) -> bool:
    """Whether a module that a test is run with is tress's."""
    return library.__name__.startswith("tress")


Attempt = Callable[[Any], object]


def outcome(attempt: Attempt, library: ModuleType) -> object:
    """What a call comes to: its value, or the type of what it raises."""
    try:
        return attempt(library)
    except Exception as error:
        return type(error)
