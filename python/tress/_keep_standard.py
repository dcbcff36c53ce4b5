"""Classes of the standard library that need a standard base.

`multiprocessing.synchronize.Barrier` is made of `threading.Barrier`'s code: it keeps the state that
this code works on in shared memory. On tress's Barrier, whose state is native, it would wait for
threads of its own process only. The module is imported on first use, perhaps long after
`install()`, so it gets to see the standard class while it is being executed.

On Python 3.11 the standard `BoundedSemaphore` calls its base by a name that `install()` replaces.
Whoever holds the standard class from before can still use it: its `__init__` keeps the old meaning.
"""

from __future__ import annotations

import sys
import threading
from types import FunctionType
from typing import TYPE_CHECKING, Any

from tress._on_import import OnImport

if TYPE_CHECKING:
    from collections.abc import Callable

_threading: Any = threading


class KeepStandardBases:
    """Keeps them standard between `begin()` and `end()`. Made while the standard names stand."""

    def __init__(self) -> None:
        self._barrier = _threading.Barrier
        self._semaphore = _threading.Semaphore
        self._bounded = _threading.BoundedSemaphore
        self._bounded_init = self._bounded.__init__
        self._on_import = OnImport({"multiprocessing.synchronize": self._show_standard_barrier})

    def begin(self) -> None:
        """Begin to keep them."""
        self._on_import.begin()
        if sys.version_info < (3, 12):
            self._bounded.__init__ = FunctionType(
                self._bounded_init.__code__,
                {**vars(threading), "Semaphore": self._semaphore},
                "__init__",
                self._bounded_init.__defaults__,
            )

    def end(self) -> None:
        """Undo what `begin()` did."""
        self._on_import.end()
        if sys.version_info < (3, 12):
            self._bounded.__init__ = self._bounded_init

    def _show_standard_barrier(self) -> Callable[[bool], None]:
        now = _threading.Barrier
        _threading.Barrier = self._barrier

        def show_the_other_again(_: bool) -> None:
            # Whoever made a Barrier at this very moment got a standard one, which works as well.
            if _threading.Barrier is self._barrier:
                _threading.Barrier = now

        return show_the_other_again
