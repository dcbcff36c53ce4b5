"""`install()`, `uninstall()`, `installed()`: tress's classes inside the standard modules.

The contract:

* What is replaced are attributes of modules. The modules stay the objects they are, so `import
  threading` made anywhere, at any time, sees the classes of the moment.
* What replaces what is derived, not listed: a public name of a tress module that is another object
  than the one of that name in the standard module. Every loaded module of the standard library that
  holds the very same old object under a public name (`from threading import RLock`) gets the new
  one too. Modules of anybody else are not touched.
* `uninstall()` puts back what is tress's, also in modules of the standard library that were
  imported meanwhile. An attribute that somebody else has set since stays as it is.
* One lock covers every change, and a change that fails half-way is taken back.
"""

from __future__ import annotations

import _thread
import sys
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import tress.threading
from tress._adopt import ThreadAdoption
from tress._keep_standard import KeepStandardBases

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_PLANNED = ("threads", "processes", "coroutines")
_AVAILABLE = ("threads",)

_MODULES = {
    "threads": ("threading", "queue", "concurrent.futures"),
}
"""For each strand the standard modules that `tress.<name>` stands in for."""

_ADDED = frozenset({("queue", "ShutDown")})
"""Names of later Pythons that are added to a standard module which does not have them yet."""

_LEFT_ALONE = frozenset({"_thread", "_queue", "_pyio"})
"""The C modules on which both libraries build, and `_pyio`, the model of a C module: these hold the
standard classes as the parts that they are made of."""


class Replacement(NamedTuple):
    """One attribute of a standard module that holds tress's object."""

    module: str
    """The name of the standard module, such as `"threading"`."""
    name: str
    """The name of the attribute, such as `"Lock"`."""
    standard: object
    """What `uninstall()` puts back; None where this Python's module has no such name."""
    tress: object
    """What the attribute holds now."""


_Pair = tuple[object, object]


class _Strand:
    """One installed strand: what stands for what, and what else has to be undone."""

    def __init__(self, name: str) -> None:
        self.by_standard: dict[int, _Pair] = {}
        self.by_tress: dict[int, _Pair] = {}
        self.added: list[tuple[ModuleType, str, object]] = []
        self.lazy: list[tuple[ModuleType, str, object]] = []
        self.homes: list[tuple[Any, str]] = []
        self.moved: list[tuple[Any, str]] = []
        for module_name in _MODULES[name]:
            self._compare(import_module(module_name), import_module(f"tress.{module_name}"))
        self.adoption = ThreadAdoption(threading.Thread, tress.threading.Thread)
        self.keeper = KeepStandardBases()

    def _compare(self, standard: ModuleType, ours: ModuleType) -> None:
        for name in ours.__all__:
            if name not in vars(ours):
                continue  # passed on, and perhaps not even imported, by the module's __getattr__
            new = getattr(ours, name)
            try:
                old = getattr(standard, name)
            except AttributeError:
                if (standard.__name__, name) in _ADDED:
                    self.added.append((standard, name, new))
                continue
            if old is new:
                continue
            self.by_standard[id(old)] = self.by_tress[id(new)] = (old, new)
            self.homes.append((new, standard.__name__))
            if name not in vars(standard):  # found by the module's __getattr__ on every access
                self.lazy.append((standard, name, new))

    def put(self) -> None:
        try:
            for module, name, pair in _holders(self.by_standard):
                setattr(module, name, pair[1])
            for module, name, new in (*self.added, *self.lazy):
                setattr(module, name, new)
            self._move_home()
            self.keeper.begin()
            self.adoption.begin()
        except BaseException:
            self.take_back()
            raise

    def _move_home(self) -> None:
        """Let each class say the module in which it stands now: as its repr, and pickle, name it."""
        for new, home in self.homes:
            old, _ = self.by_tress[id(new)]
            named = getattr(old, "__module__", home)
            if getattr(sys.modules.get(named), getattr(old, "__qualname__", ""), None) is not new:
                named = home
            self.moved.append((new, new.__module__))
            new.__module__ = named

    def take_back(self) -> None:
        self.adoption.end()
        self.keeper.end()
        for new, home in self.moved:
            new.__module__ = home
        self.moved.clear()
        for module, name, new in (*self.added, *self.lazy):
            if vars(module).get(name) is new:
                delattr(module, name)
        for module, name, pair in _holders(self.by_tress):
            setattr(module, name, pair[0])

    def replacements(self) -> Iterator[Replacement]:
        for module, name, (old, new) in _holders(self.by_tress):
            yield Replacement(module.__name__, name, old, new)
        for module, name, new in self.added:
            if vars(module).get(name) is new:
                yield Replacement(module.__name__, name, None, new)


def _holders(wanted: dict[int, _Pair]) -> Iterator[tuple[ModuleType, str, _Pair]]:
    """Find the public attributes of loaded standard modules that hold one of the wanted objects."""
    for module_name, module in list(sys.modules.items()):
        package = module_name.partition(".")[0]
        if package not in sys.stdlib_module_names or package in _LEFT_ALONE or module is None:
            continue
        for name, value in list(vars(module).items()):
            # A private name is a part that the module itself is made of, such as
            # threading._allocate_lock.
            if id(value) in wanted and not name.startswith("_"):
                yield module, name, wanted[id(value)]


_lock = _thread.RLock()
_strands: dict[str, _Strand] = {}


def install(*strands: str) -> None:
    """Put tress's classes in place of the standard library's, inside the standard modules.

    With no argument every strand that exists is installed; today that is `"threads"`: the classes
    and functions of `threading`, `queue` and `concurrent.futures`. Installing what is installed
    does nothing. It may be called at any time: objects made before keep working as what they are.
    Earlier is better, though: names that other modules took by `from threading import Lock` stay
    the standard ones.

    Raises ValueError for a name that is no strand, NotImplementedError for a strand that tress does
    not have yet, and TypeError for anything but a string.
    """
    wanted = _checked("install", strands) or _AVAILABLE
    with _lock:
        for name in wanted:
            if name not in _strands:
                strand = _Strand(name)
                strand.put()
                _strands[name] = strand


def uninstall(*strands: str) -> None:
    """Put the standard library's own classes back, of the given strands or of all.

    Objects and subclasses made of tress's classes meanwhile keep working. Taking out what is not
    installed does nothing. Raises as `install()` does.
    """
    wanted = _checked("uninstall", strands) or _AVAILABLE
    with _lock:
        for name in wanted:
            strand = _strands.pop(name, None)
            if strand is not None:
                strand.take_back()


def installed() -> dict[str, tuple[Replacement, ...]]:
    """Tell what is replaced now: for each installed strand its replacements, sorted by place.

    The result is empty, and so false, when nothing is installed. It is what the modules hold at
    this moment, so a replacement that somebody has overwritten is not among them.
    """
    with _lock:
        return {
            name: tuple(sorted(strand.replacements(), key=lambda place: place[:2]))
            for name, strand in _strands.items()
        }


def _checked(caller: str, strands: tuple[str, ...]) -> tuple[str, ...]:
    have = "tress has " + ", ".join(repr(name) for name in _AVAILABLE)
    for name in strands:
        if not isinstance(name, str):
            raise TypeError(f"{caller}: a strand is named by a str, not {type(name).__name__}")
        if name not in _PLANNED:
            raise ValueError(f"{caller}: {name!r} is not a strand; {have}")
        if name not in _AVAILABLE:
            raise NotImplementedError(f"{caller}: the strand {name!r} does not exist yet; {have}")
    return strands
