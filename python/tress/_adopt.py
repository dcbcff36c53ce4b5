"""Threads and thread classes that were there before `install()`.

After `install()` the name `threading.Thread` means tress's class, a subclass of the standard one.
What was made of the standard class must still count as a Thread, and code such as
`threading.Thread.__init__(self)` in a class that was defined earlier must still fit its base. So:

* a class that derives directly from the standard Thread (`_MainThread`, `_DummyThread`, a user's)
  is given tress's Thread as its base instead;
* a thread of exactly the standard class becomes one of tress's class.

Both are possible because tress's Thread has the layout of the standard one. What refuses the change
all the same (another layout, an inconsistent order of bases) is left as it is.
"""

from __future__ import annotations

import threading
import weakref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tress._thread import Thread

_Bases = tuple[type, ...]


class ThreadAdoption:
    """What one `install()` changes about threads and their classes, and how that is undone."""

    def __init__(self, standard: type[threading.Thread], ours: type[Thread]) -> None:
        self._standard = standard
        self._ours = ours
        self._classes: list[tuple[weakref.ref[type], _Bases, _Bases]] = []
        self._threads: list[weakref.ref[threading.Thread]] = []

    def begin(self) -> None:
        """Adopt the classes and the threads that exist now."""
        for cls in self._standard.__subclasses__():
            if not issubclass(cls, self._ours):
                self._adopt_class(cls)
        for thread in list(threading._dangling):  # type: ignore[attr-defined]
            self._adopt_thread(thread)

    def end(self) -> None:
        """Give back what `begin()` adopted, unless somebody has changed it since."""
        while self._threads:
            thread = self._threads.pop()()
            if thread is not None and type(thread) is self._ours:
                thread.__class__ = self._standard  # type: ignore[assignment]
        while self._classes:
            reference, before, now = self._classes.pop()
            cls = reference()
            if cls is not None and cls.__bases__ == now:
                cls.__bases__ = before

    def _adopt_class(self, cls: type) -> None:
        before = cls.__bases__
        now = tuple(self._ours if base is self._standard else base for base in before)
        try:
            cls.__bases__ = now
        except TypeError:
            return
        self._classes.append((weakref.ref(cls), before, now))

    def _adopt_thread(self, thread: threading.Thread) -> None:
        if type(thread) is self._standard:
            try:
                thread.__class__ = self._ours
            except TypeError:
                return
            self._threads.append(weakref.ref(thread))
