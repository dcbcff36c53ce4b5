"""Writes a small package named tress, good or broken in one chosen way, for the harness to meet.

Its classes are plain subclasses of the standard ones: what the harness must find out about a
package does not depend on how good that package is.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

_THREADING = """
    import _thread
    import threading as standard

    class Event(standard.Event):
        pass

    class Condition(standard.Condition):
        pass

    class Semaphore(standard.Semaphore):
        pass

    class BoundedSemaphore(standard.BoundedSemaphore):
        pass

    class Barrier(standard.Barrier):
        pass

    class Thread(standard.Thread):
        pass

    class Timer(standard.Timer):
        pass

    class RLock(_thread.RLock):
        pass

    class TheLock:
        def __init__(self):
            self._real = _thread.allocate_lock()
            self.acquire = self._real.acquire
            self.release = self._real.release
            self.locked = self._real.locked
            self._at_fork_reinit = self._real._at_fork_reinit

        def __enter__(self):
            return self._real.__enter__()

        def __exit__(self, *error):
            self._real.release()

        def __repr__(self):
            return repr(self._real)

    def Lock():
        return TheLock()
"""

_QUEUE = """
    import queue as standard

    class Queue(standard.Queue):
        pass

    class LifoQueue(standard.LifoQueue):
        pass

    class PriorityQueue(standard.PriorityQueue):
        pass

    class SimpleQueue(standard.SimpleQueue):
        pass

    Empty = standard.Empty
    Full = standard.Full
"""

_FUTURES = """
    from concurrent.futures import thread, _base

    class Future(_base.Future):
        pass

    class ThreadPoolExecutor(thread.ThreadPoolExecutor):
        pass
"""

_INSTALL = """
    LEFT_OUT = {left_out!r}

    def install():
        import concurrent.futures
        import queue
        import threading
        import tress.concurrent.futures
        import tress.queue
        import tress.threading

        for standard, ours in (
            (threading, tress.threading),
            (queue, tress.queue),
            (concurrent.futures, tress.concurrent.futures),
        ):
            for name, value in vars(ours).items():
                public = not name.startswith("_") and name in standard.__all__
                if public and name not in LEFT_OUT:
                    setattr(standard, name, value)
"""


def write(
    folder: Path, *, left_out: tuple[str, ...] = (), changes: dict[str, str] | None = None
) -> Path:
    """Write the package below `folder`, which is returned.

    `left_out` are names that its install() does not replace; `changes` are replacements in the
    text of its threading module.
    """
    package = folder / "tress"
    (package / "concurrent" / "futures").mkdir(parents=True)
    threading = textwrap.dedent(_THREADING)
    for old, new in (changes or {}).items():
        if threading.count(old) != 1:
            raise ValueError(f"{old!r} must stand once in the stand-in's threading module")
        threading = threading.replace(old, new)
    install = textwrap.dedent(_INSTALL).format(left_out=left_out)
    (package / "__init__.py").write_text(install)
    (package / "threading.py").write_text(threading)
    (package / "queue.py").write_text(textwrap.dedent(_QUEUE))
    (package / "concurrent" / "__init__.py").write_text("")
    (package / "concurrent" / "futures" / "__init__.py").write_text(textwrap.dedent(_FUTURES))
    return folder
