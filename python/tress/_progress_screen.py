"""Draws how far maps are: by tqdm or rich, where one of them is installed, or as a plain line.

What is drawn stands on stderr, and only where that is a terminal (or in a notebook); elsewhere a
line is printed when a map has ended, and every half minute before. While something is drawn, what
the program prints goes above it, a line at a time: stdout and stderr, as far as they are terminals,
are stood in for by streams that see to that.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections import deque
from importlib import import_module
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tress._progress import Progress

_REDRAW_S = 0.1
_REPRINT_S = 30.0


class Line:
    """What is shown of one map."""

    def show(self, progress: Progress) -> None:
        """Show that."""
        raise NotImplementedError

    def close(self) -> None:
        """Show no more."""
        raise NotImplementedError

    def drop(self) -> None:
        """As `close`, at once or soon, without waiting for a thread.

        The garbage collector may call this in a thread that holds a lock of tqdm's or of rich's,
        which are taken after the one here by all others.
        """
        if _lock.acquire(blocking=False):
            try:
                self.close()
            finally:
                _lock.release()
        else:
            _dropped.append(self)


class _TextLine(Line):
    """As text."""

    def __init__(self, label: str, total: int | None, began: float) -> None:
        self._label, self._total, self._began = label, total, began
        self._done = 0

    def text(self) -> str:
        seconds = monotonic() - self._began
        if not self._total:
            return f"{self._label}: {self._done}, {seconds:.1f} s"
        percent = self._done * 100 // self._total
        return f"{self._label}: {self._done} of {self._total} ({percent} %), {seconds:.1f} s"


class _Printed(_TextLine):
    """For what is not a terminal."""

    def __init__(self, label: str, total: int | None, began: float) -> None:
        super().__init__(label, total, began)
        self._due = began + _REPRINT_S

    def show(self, progress: Progress) -> None:
        self._done = progress.done
        if monotonic() >= self._due:
            self._due = monotonic() + _REPRINT_S
            self._print()

    def close(self) -> None:
        self._print()

    def _print(self) -> None:
        print(self.text(), file=sys.stderr, flush=True)


class _Above:
    """Stands in for a stream of a terminal: whole lines go above what is drawn.

    It is kept for ever, and passes on what is written after its time: `print` goes on with the
    stream that it has begun with, in several steps, and relies on `sys.stdout` to keep it alive.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._write: Callable[[Any, str], None] | None = None
        # Of each thread: `print` writes the newline apart.
        self._begun: dict[int, str] = {}

    def write(self, text: str) -> int:
        _close_dropped()
        with _lock:
            if self._write is None:
                written: int = self._stream.write(text)
                return written
            thread = threading.get_ident()
            lines, newline, begun = (self._begun.pop(thread, "") + text).rpartition("\n")
            if begun:
                self._begun[thread] = begun
            if newline:
                self._write(self._stream, lines + newline)
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def enter(self, write: Callable[[Any, str], None]) -> _Above:
        """Begin to stand in: `write` puts a text above."""
        self._write = write
        return self

    def leave(self, with_what_is_begun: bool) -> None:
        """Stand in no more; what was not a whole line is written to the stream, or forgotten."""
        self._write = None
        begun = "".join(self._begun.values())
        self._begun.clear()
        if begun and with_what_is_begun:
            self._stream.write(begun)
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Screen:
    """The terminal, as long as something is drawn on it."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def add(self, label: str, total: int | None, began: float) -> Line:
        """One more map is shown."""
        raise NotImplementedError

    def write(self, stream: Any, text: str) -> None:
        """Write whole lines above what is drawn."""
        raise NotImplementedError

    def begin(self) -> None:
        """The first line is about to be drawn."""
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if _is_terminal(stream):
                setattr(sys, name, _stand_in(stream).enter(self.write))

    def end(self) -> None:
        """The last line is gone."""
        _give_streams_back()

    def remove(self, line: Line) -> None:
        """A map is shown no more."""
        global _screen
        _close_dropped()
        with _lock:
            if line in self.lines:
                self.lines.remove(line)
                if not self.lines:
                    self.end()
                    if _screen is self:
                        _screen = None


class _TqdmLine(Line):
    def __init__(self, screen: _TqdmScreen, bar: Any) -> None:
        self._screen = screen
        self._bar = bar

    def show(self, progress: Progress) -> None:
        with _lock:
            self._bar.update(progress.done - self._bar.n)

    def close(self) -> None:
        with _lock:
            self._bar.close()
        self._screen.remove(self)


class _TqdmScreen(_Screen):
    """Bars by tqdm."""

    def __init__(self) -> None:
        super().__init__()
        name = "tqdm.auto" if "ipykernel" in sys.modules else "tqdm"
        self._tqdm: Any = import_module(name).tqdm
        self._file = sys.stderr

    def add(self, label: str, total: int | None, began: float) -> Line:
        bar = self._tqdm(desc=label, total=total, file=self._file, dynamic_ncols=True)
        return _TqdmLine(self, bar)

    def write(self, stream: Any, text: str) -> None:
        with self._tqdm.external_write_mode(file=self._file):
            stream.write(text)
            stream.flush()


class _RichLine(Line):
    def __init__(self, screen: _RichScreen, task: Any) -> None:
        self._screen = screen
        self._task = task

    def show(self, progress: Progress) -> None:
        self._screen.progress.update(self._task, completed=progress.done)

    def close(self) -> None:
        # What has no total would go on moving.
        self._screen.progress.stop_task(self._task)
        self._screen.remove(self)


class _RichScreen(_Screen):
    """Bars by rich."""

    def __init__(self) -> None:
        super().__init__()
        module: Any = import_module("rich.progress")
        console = import_module("rich.console").Console(file=sys.stderr)
        self.progress = module.Progress(
            module.TextColumn("{task.description}"),
            module.BarColumn(),
            module.MofNCompleteColumn(),
            module.TimeElapsedColumn(),
            console=console,
            # Its own way breaks lines anew, and ends those that are not whole.
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def begin(self) -> None:
        super().begin()
        self.progress.start()

    def add(self, label: str, total: int | None, began: float) -> Line:
        return _RichLine(self, self.progress.add_task(label, total=total))

    def write(self, stream: Any, text: str) -> None:
        self.progress.console.out(text, end="", highlight=False)

    def end(self) -> None:
        self.progress.stop()
        super().end()


class _PlainLine(_TextLine):
    def __init__(self, screen: _PlainScreen, label: str, total: int | None, began: float) -> None:
        super().__init__(label, total, began)
        self._screen = screen

    def show(self, progress: Progress) -> None:
        with _lock:
            self._done = progress.done
            # At the end of the program calls may go on after their line.
            if self in self._screen.lines:
                self._screen.draw(self, now=False)

    def close(self) -> None:
        with _lock:
            if self in self._screen.lines:
                self._screen.leave(self)
                self._screen.remove(self)


class _PlainScreen(_Screen):
    """A line, which is written over: of the map that was begun last."""

    def __init__(self) -> None:
        super().__init__()
        self._file = sys.stderr
        self._drawn_at = 0.0

    def add(self, label: str, total: int | None, began: float) -> Line:
        return _PlainLine(self, label, total, began)

    def draw(self, line: Line, now: bool) -> None:
        if line is not self.lines[-1] or (not now and monotonic() < self._drawn_at + _REDRAW_S):
            return
        self._drawn_at = monotonic()
        assert isinstance(line, _PlainLine)
        # A line that is too long would not be written over.
        width = max(os.get_terminal_size(self._file.fileno()).columns - 1, 1)
        self._file.write(f"\r\x1b[K{line.text()[:width]}")
        self._file.flush()

    def leave(self, line: _PlainLine) -> None:
        """The last that is to be seen of a line."""
        self._file.write(f"\r\x1b[K{line.text()}\n")
        self._file.flush()

    def write(self, stream: Any, text: str) -> None:
        self._file.write("\r\x1b[K")
        self._file.flush()
        stream.write(text)
        stream.flush()
        if self.lines:
            self.draw(self.lines[-1], now=True)


# Guards what follows, the streams that stand in, and drawing.
_lock = threading.RLock()
_screen: _Screen | None = None
_stand_ins: list[_Above] = []
_dropped: deque[Line] = deque()


def _close_dropped() -> None:
    while _dropped:
        try:
            line = _dropped.popleft()
        except IndexError:  # another thread has taken it
            return
        line.close()


def _stand_in(stream: Any) -> _Above:
    for known in _stand_ins:
        if known._stream is stream:
            return known
    made = _Above(stream)
    _stand_ins.append(made)
    return made


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False  # there is none, or it is closed


def _new_screen() -> _Screen:
    """What the program has imported itself, or else is installed, tqdm first."""
    kinds = {"tqdm": _TqdmScreen, "rich": _RichScreen}
    for name in sorted(kinds, key=lambda name: name not in sys.modules):
        try:
            return kinds[name]()
        except ImportError:
            pass
    return _PlainScreen()


def _give_streams_back(with_what_is_begun: bool = True) -> None:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, _Above):
            setattr(sys, name, stream._stream)
    # The program may have put others in their place.
    for stand_in in _stand_ins:
        stand_in.leave(with_what_is_begun)


def open_line(label: str, total: int | None, began: float) -> Line:
    """Something that shows a map of that many calls, on whatever there is."""
    global _screen
    if not (_is_terminal(sys.stderr) or "ipykernel" in sys.modules):
        return _Printed(label, total, began)
    _close_dropped()
    with _lock:
        screen = _screen
        if screen is None:
            screen = _screen = _new_screen()
            screen.begin()
        line = screen.add(label, total, began)
        screen.lines.append(line)
        return line


def _after_fork() -> None:
    """A child draws nothing, and prints as ever."""
    global _lock, _screen
    _lock = threading.RLock()
    _screen = None
    # What was not a whole line is the parent's to print.
    _give_streams_back(with_what_is_begun=False)


def _at_exit() -> None:
    """Whoever has not come to the end of a map does so no more: the cursor is to be given back."""
    with _lock:
        for line in [] if _screen is None else list(_screen.lines):
            line.close()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
