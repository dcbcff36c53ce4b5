"""Classes of the standard library that need a standard base.

`multiprocessing.synchronize.Barrier` is made of `threading.Barrier`'s code: it keeps the state that
this code works on in shared memory. On tress's Barrier, whose state is native, it would wait for
threads of its own process only. The module is imported on first use, perhaps long after
`install()`, so it gets to see the standard class while it is being executed.

The classes of `multiprocessing` name each other: a JoinableQueue calls `Queue.__init__`, a Pool
makes its results by their class. Objects and subclasses made of them before `install()` go on with
what they were written for: their methods keep seeing the standard names.

On Python 3.11 the standard `BoundedSemaphore` calls its base by a name that `install()` replaces.
Whoever holds the standard class from before can still use it: its `__init__` keeps the old meaning.
"""

from __future__ import annotations

import sys
import threading
from opcode import opmap
from types import CodeType, FunctionType, ModuleType

from tress._on_import import OnImport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_threading: Any = threading

# As they are before anything is installed, which this module is loaded for. Later, another thread
# may be about to install or to uninstall at any moment.
_BARRIER = _threading.Barrier
_SEMAPHORE = _threading.Semaphore
_BOUNDED = _threading.BoundedSemaphore
_BOUNDED_INIT = _BOUNDED.__init__


class KeepStandardBases:
    """Keeps them standard between `begin()` and `end()`."""

    def __init__(self) -> None:
        self._on_import = OnImport({"multiprocessing.synchronize": self._show_standard_barrier})

    def begin(self) -> None:
        """Begin to keep them."""
        self._on_import.begin()
        if sys.version_info < (3, 12):
            _BOUNDED.__init__ = FunctionType(
                _BOUNDED_INIT.__code__,
                {**vars(threading), "Semaphore": _SEMAPHORE},
                "__init__",
                _BOUNDED_INIT.__defaults__,
            )

    def end(self) -> None:
        """Undo what `begin()` did."""
        self._on_import.end()
        if sys.version_info < (3, 12):
            _BOUNDED.__init__ = _BOUNDED_INIT

    def _show_standard_barrier(self) -> Callable[[bool], None]:
        now = _threading.Barrier
        _threading.Barrier = _BARRIER

        def show_the_other_again(_: bool) -> None:
            # Whoever made a Barrier at this very moment got a standard one, which works as well.
            if _threading.Barrier is _BARRIER:
                _threading.Barrier = now

        return show_the_other_again


class Names(dict[str, object]):
    """The global names of a module, as they are at each moment but for those given."""

    def __init__(self, module: ModuleType, kept: dict[str, Any]) -> None:
        # The interpreter itself, which reads the names of a module's own account when it imports,
        # does not ask for what is missing.
        own = {name: value for name, value in list(vars(module).items()) if name.startswith("__")}
        super().__init__({**own, **kept})
        self._all = vars(module)

    def __missing__(self, name: str) -> Any:
        return self._all[name]


class KeepStandardNames:
    """Lets the classes of a module see some of its names as they are now, whatever they become.

    Made while the standard names stand. What changes is each method that uses such a name: between
    `begin()` and `end()` it is a copy of it that finds the name elsewhere.
    """

    def __init__(self, module: ModuleType, kept: list[Any]) -> None:
        kept_ids = {id(value) for value in kept}
        names = {name: value for name, value in list(vars(module).items()) if id(value) in kept_ids}
        self._changes: list[tuple[type, str, Any, Any]] = []
        seen = Names(module, names)
        for cls in list(vars(module).values()) if names else ():
            if isinstance(cls, type) and cls.__module__ == module.__name__:
                for name, method in list(vars(cls).items()):
                    if (
                        isinstance(method, FunctionType)
                        and names.keys() & set(_names_in(method.__code__))
                        and not _sets_globals(method.__code__)
                    ):
                        self._changes.append((cls, name, method, copy_of(method, seen)))

    def begin(self) -> None:
        """Begin to keep them."""
        for cls, name, old, new in self._changes:
            if vars(cls).get(name) is old:
                setattr(cls, name, new)

    def end(self) -> None:
        """Undo what `begin()` did."""
        for cls, name, old, new in self._changes:
            if vars(cls).get(name) is new:
                setattr(cls, name, old)


_STORE_GLOBAL = opmap["STORE_GLOBAL"]


def _sets_globals(code: CodeType) -> bool:
    """Whether it sets names of its module: a copy would set them where nobody else looks."""
    return _STORE_GLOBAL in code.co_code[::2] or any(
        _sets_globals(constant) for constant in code.co_consts if isinstance(constant, CodeType)
    )


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)


def copy_of(method: FunctionType, names: dict[str, Any]) -> FunctionType:
    """The same function, whose global names are those."""
    copy = FunctionType(
        method.__code__, names, method.__name__, method.__defaults__, method.__closure__
    )
    copy.__kwdefaults__ = method.__kwdefaults__
    copy.__qualname__ = method.__qualname__
    copy.__module__ = method.__module__
    copy.__doc__ = method.__doc__
    copy.__dict__.update(method.__dict__)
    return copy
