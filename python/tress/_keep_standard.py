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
from importlib.machinery import PathFinder
from types import FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

KEPT = {"multiprocessing.synchronize": ("threading", "Barrier")}
"""For a module that is imported, the attribute that must be the standard one meanwhile."""


class KeepStandardBases:
    """Finds the modules of `KEPT`, and mends the old BoundedSemaphore, as long as it is active."""

    def __init__(self) -> None:
        self._standard: dict[str, object] = {}
        for imported, (module, name) in KEPT.items():
            self._standard[imported] = getattr(sys.modules[module], name)
        self._bounded: Any = threading.BoundedSemaphore
        self._bounded_init: Any = self._bounded.__init__
        self._semaphore = threading.Semaphore

    def begin(self) -> None:
        """Become active."""
        sys.meta_path.insert(0, self)
        if sys.version_info < (3, 12):
            self._bounded.__init__ = FunctionType(
                self._bounded_init.__code__,
                {**vars(threading), "Semaphore": self._semaphore},
                "__init__",
                self._bounded_init.__defaults__,
            )

    def end(self) -> None:
        """Undo what `begin()` did."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
            if sys.version_info < (3, 12):
                self._bounded.__init__ = self._bounded_init

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Find a module of `KEPT` as usual, with a loader around its own."""
        if fullname not in KEPT:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            module, name = KEPT[fullname]
            loader: Any = _Loader(spec.loader, sys.modules[module], name, self._standard[fullname])
            spec.loader = loader
        return spec


class _Loader:
    """Executes a module while one attribute elsewhere holds the standard class."""

    def __init__(self, loader: Any, module: ModuleType, name: str, standard: object) -> None:
        self._loader = loader
        self._module = module
        self._name = name
        self._standard = standard

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader  # its own again, for whoever looks at it later
        now = getattr(self._module, self._name)
        setattr(self._module, self._name, self._standard)
        try:
            self._loader.exec_module(module)
        finally:
            # Whoever makes a Barrier at this very moment gets a standard one, which works as well.
            if getattr(self._module, self._name) is self._standard:
                setattr(self._module, self._name, now)
