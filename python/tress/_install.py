"""`install()`, `uninstall()`, `installed()`: tress's classes inside the standard modules.

The contract:

* What is replaced are attributes of modules. The modules stay the objects they are, so
  `import threading` made anywhere, at any time, sees the classes of the moment.
* What replaces what is derived, not listed: a public name of a tress module that is another object
  than the one of that name in the standard module. Every loaded module of the standard library that
  holds the very same old object under a public name (`from threading import RLock`) gets the new
  one too. Modules of anybody else are not touched.
* A standard module that is not loaded yet is left unloaded, since loading it costs more than all of
  tress. It gets its replacements at the end of its import, before its importer sees it.
* `uninstall()` puts back what is tress's, also in modules of the standard library that were
  imported meanwhile. An attribute that somebody else has set since stays as it is.
* One lock covers every change. Nothing is imported under it, as it is also taken inside of imports.
  A change that fails half-way is taken back.
"""

from __future__ import annotations

import _thread
import sys
import threading
from _frozen_importlib import _DeadlockError  # type: ignore
from types import FunctionType

import tress.threading
from tress._adopt import ThreadAdoption
from tress._children import Children
from tress._keep_standard import KeepStandardBases, KeepStandardNames
from tress._on_import import OnImport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType
    from typing import Any

    from tress._on_import import Action
    from tress._replacement import Replacement

    _Pair = tuple[Any, Any]

_AVAILABLE = ("threads", "processes", "coroutines")

_MODULES = {
    "threads": ("threading", "queue", "concurrent.futures"),
    "processes": (
        "concurrent.futures.process",
        "multiprocessing",
        "multiprocessing.connection",
        "multiprocessing.context",
        "multiprocessing.dummy",
        "multiprocessing.managers",
        "multiprocessing.pool",
        "multiprocessing.process",
        "multiprocessing.queues",
        "multiprocessing.reduction",
        "multiprocessing.shared_memory",
        "multiprocessing.sharedctypes",
        "multiprocessing.synchronize",
        "multiprocessing.util",
    ),
    "coroutines": ("asyncio",),
}
"""For each strand the standard modules that `tress.<name>` stands in for."""

_ADDED = frozenset({("queue", "ShutDown")})
"""Names of later Pythons that are added to a standard module which does not have them yet."""

_LEFT_ALONE = frozenset({"_thread", "_queue", "_pyio"})
"""The C modules on which both libraries build, and `_pyio`, the model of a C module: these hold the
standard classes as the parts that they are made of."""


_PACKAGE = "multiprocessing"
"""Its `__init__` is complete after its first submodules are, and tress's wants it complete."""

_DEFINITIONS = (type, FunctionType)

_STANDARD = "_tress_standard"
"""The attribute of a class of tress's in which the class is that had its name."""


class _Module:
    """A standard module and the tress module that stands in for it."""

    def __init__(self, standard: ModuleType, ours: ModuleType) -> None:
        self._by_standard: dict[int, _Pair] = {}
        self._by_tress: dict[int, _Pair] = {}
        self._added: list[tuple[ModuleType, str, object]] = []
        self._lazy: list[tuple[ModuleType, str, object]] = []
        self._homes: list[tuple[_Pair, str]] = []
        self._moved: list[tuple[Any, str]] = []
        for name in _public_names(ours):
            self._compare(standard, name, vars(ours)[name])

    def _compare(self, standard: ModuleType, name: str, new: object) -> None:
        try:
            old = getattr(standard, name)
        except AttributeError:
            if (standard.__name__, name) in _ADDED:
                self._added.append((standard, name, new))
            return
        if old is new:
            return
        self._by_standard[id(old)] = self._by_tress[id(new)] = (old, new)
        self._homes.append(((old, new), standard.__name__))
        if name not in vars(standard):  # found by the module's __getattr__ on every access
            self._lazy.append((standard, name, new))

    def put(self) -> None:
        """Put tress's objects in place of the standard ones."""
        for module, name, (_, new) in _holders(self._by_standard):
            setattr(module, name, new)
        for module, name, new in (*self._added, *self._lazy):
            setattr(module, name, new)
        for registry, name, (_, new) in _registered(self._by_standard):
            registry[name] = (new, *registry[name][1:])
        for (old, new), home in self._homes:
            self._move_home(old, new, home)

    def _move_home(self, old: Any, new: Any, home: str) -> None:
        """Let a class name the module in which it stands now, for its repr and for pickle."""
        named = getattr(old, "__module__", home)
        if getattr(sys.modules.get(named), getattr(old, "__qualname__", ""), None) is not new:
            named = home
        if getattr(sys.modules.get(named), getattr(new, "__qualname__", ""), None) is not new:
            # It has another name there, by which nobody could find it.
            return
        if new.__module__ == named:
            return  # moved already, by the other strand, which moves it back
        self._moved.append((new, new.__module__))
        new.__module__ = named

    def take_back(self) -> None:
        """Undo `put()`, or as much of it as was done."""
        for new, home in self._moved:
            new.__module__ = home
        self._moved.clear()
        for registry, name, (old, _) in _registered(self._by_tress):
            registry[name] = (old, *registry[name][1:])
        for module, name, new in (*self._added, *self._lazy):
            if vars(module).get(name) is new:
                delattr(module, name)
        for module, name, (old, _) in _holders(self._by_tress):
            setattr(module, name, old)

    def old_and_new(self) -> list[_Pair]:
        """What was found to be replaced, and by what."""
        return list(self._by_standard.values())

    def replacements(self) -> Iterator[Replacement]:
        """What is replaced at this moment."""
        from tress._replacement import Replacement

        for module, name, (old, new) in _holders(self._by_tress):
            yield Replacement(module.__name__, name, old, new)
        for module, name, new in self._added:
            if vars(module).get(name) is new:
                yield Replacement(module.__name__, name, None, new)


class _Threading(_Module):
    """`threading`, of which there are objects and subclasses from the very start."""

    def __init__(self, standard: ModuleType, ours: ModuleType) -> None:
        super().__init__(standard, ours)
        self._adoption = ThreadAdoption(threading.Thread, tress.threading.Thread)
        self._keeper = KeepStandardBases()

    def put(self) -> None:
        super().put()
        self._keeper.begin()
        self._adoption.begin()

    def take_back(self) -> None:
        self._adoption.end()
        self._keeper.end()
        super().take_back()


class _OfProcesses(_Module):
    """A module of `multiprocessing`, whose classes go on with what they are made of.

    They also go on being found, by pickle: as an attribute of the class that has their name.
    """

    def __init__(self, standard: ModuleType, ours: ModuleType) -> None:
        super().__init__(standard, ours)
        self._keeper = KeepStandardNames(standard, [old for old, _ in self.old_and_new()])
        self._renamed: list[tuple[Any, str, Any]] = []

    def put(self) -> None:
        self._keeper.begin()
        super().put()
        for old, new in self.old_and_new():
            if isinstance(old, type) and isinstance(new, type):
                name = old.__qualname__
                if getattr(sys.modules.get(old.__module__), name, None) is new:
                    self._renamed.append((old, name, new))
                    old.__qualname__ = f"{name}.{_STANDARD}"
                    setattr(new, _STANDARD, old)

    def take_back(self) -> None:
        for old, name, new in self._renamed:
            old.__qualname__ = name
            delattr(new, _STANDARD)
        self._renamed.clear()
        super().take_back()
        self._keeper.end()


class _Asyncio(_Module):
    """`asyncio`, whose default policy makes the loops.

    So what makes loops stays the standard library's own, and so does a policy of the program's.
    """

    _MAKERS = frozenset({"Runner", "get_event_loop", "new_event_loop", "run"})

    def __init__(self, standard: ModuleType, ours: ModuleType) -> None:
        super().__init__(standard, ours)
        policy = sys.modules["tress.asyncio._running"].default_policy()
        self._policy, self._factory, self._ours = policy, policy._loop_factory, ours.EventLoop

    def _compare(self, standard: ModuleType, name: str, new: object) -> None:
        if name not in self._MAKERS:
            super()._compare(standard, name, new)

    def put(self) -> None:
        super().put()
        self._policy._loop_factory = self._ours

    def take_back(self) -> None:
        if self._policy._loop_factory is self._ours:
            self._policy._loop_factory = self._factory
        super().take_back()


def _kind_of(name: str) -> type[_Module]:
    if name == "threading":
        return _Threading
    if name == "asyncio":
        return _Asyncio
    return _OfProcesses if name.startswith(_PACKAGE) else _Module


class _Inside(threading.local):
    """How many imports of tress's modules a thread is in, and what waits for the end of them."""

    def __init__(self) -> None:
        self.depth = 0
        self.postponed: list[str] = []


class _Strand:
    """One installed strand: the modules it has replaced so far, and the imports it waits for.

    A thread that imports a standard module imports tress's at the end of that; a thread that
    imports tress's imports the standard one at the beginning. Where two threads do both at once,
    each has what the other wants, and Python tells one of them so with a _DeadlockError. That one
    goes on without: the standard module is complete by then, and tress's comes back here when it
    is.

    A standard module may also be imported by a part of tress that is itself being imported, and
    that tress's module, which stands in for it, is made of. Then that one waits until the import
    of tress's is over.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._modules: dict[str, _Module] = {}
        actions: dict[str, Action] = {}
        for module in _MODULES[name]:
            actions[module] = self._around_standard(module)
            actions[f"tress.{module}"] = self._around_ours(module)
        self._on_import = OnImport(actions, "tress", self._around_part)
        self._inside = _Inside()

    def _around_standard(self, name: str) -> Action:
        def afterwards(succeeded: bool) -> None:
            if succeeded:
                self._replace_in_time(name)

        return lambda: afterwards

    def _replace_in_time(self, name: str) -> None:
        if self._inside.depth:
            self._inside.postponed.append(name)
        else:
            self.replace(name)

    def _around_part(self) -> Callable[[bool], None]:
        self._inside.depth += 1

        def afterwards(_: bool) -> None:
            self._inside.depth -= 1
            while self._inside.postponed and not self._inside.depth:
                self.replace(self._inside.postponed.pop(0))

        return afterwards

    def _around_ours(self, name: str) -> Action:
        def action() -> Callable[[bool], None]:
            try:
                __import__(name)
            except _DeadlockError:
                if name not in sys.modules:
                    raise
            leave = self._around_part()

            def afterwards(succeeded: bool) -> None:
                if succeeded:
                    self.replace(name, is_complete=True)
                leave(succeeded)

            return afterwards

        return action

    def begin(self) -> None:
        """Take part in imports from now on."""
        self._on_import.begin()

    def replace_loaded(self) -> None:
        """Replace what is to be replaced in the modules that are loaded."""
        for name in _MODULES[self.name]:
            if name in sys.modules:
                __import__(name)  # waits, if another thread is importing it
                self.replace(name)

    def replace(self, name: str, is_complete: bool = False) -> None:
        """Replace what is to be replaced of one loaded module, unless that is done already.

        `is_complete` tells that tress's module has been executed, though its import goes on.
        """
        if name.startswith(f"{_PACKAGE}.") and _PACKAGE not in self._modules:
            return
        try:
            __import__(f"tress.{name}")
        except _DeadlockError:
            return
        standard, ours = sys.modules[name], sys.modules.get(f"tress.{name}")
        if ours is None or not (is_complete or _is_executed(ours)):
            return
        module = _kind_of(name)(standard, ours)
        with _lock:
            if _strands.get(self.name) is not self or name in self._modules:
                return
            try:
                module.put()
            except BaseException:
                module.take_back()
                raise
            self._modules[name] = module
        if name == _PACKAGE:
            for part in _MODULES[self.name]:  # those that it has imported itself
                if part.startswith(f"{_PACKAGE}.") and part in sys.modules:
                    if _is_executed(sys.modules[part]):
                        self._replace_in_time(part)

    def take_back(self) -> None:
        """Undo everything."""
        self._on_import.end()
        for module in reversed(self._modules.values()):
            module.take_back()
        self._modules.clear()

    def replacements(self) -> Iterator[Replacement]:
        """What is replaced at this moment."""
        for module in self._modules.values():
            yield from module.replacements()


def _public_names(ours: ModuleType) -> list[str]:
    """The names that a module of tress's offers, and has loaded: those of `__all__`, and whatever
    else is made in tress and has a public name (`multiprocessing.context` lists none).
    """
    return [
        name
        for name, value in list(vars(ours).items())  # others may be importing
        if name in ours.__all__
        or (not name.startswith("_") and _is_made_here(value) and isinstance(value, _DEFINITIONS))
    ]


def _is_made_here(value: object) -> bool:
    return str(getattr(value, "__module__", "")).partition(".")[0] == "tress"


def _is_executed(module: ModuleType) -> bool:
    return not getattr(module.__spec__, "_initializing", False)


def _holders(wanted: dict[int, _Pair]) -> Iterator[tuple[ModuleType, str, _Pair]]:
    """Find the public attributes of loaded standard modules that hold one of the wanted objects."""
    if not wanted:
        return  # going through all modules takes a while
    for module_name, module in list(sys.modules.items()):
        package = module_name.partition(".")[0]
        if package not in sys.stdlib_module_names or package in _LEFT_ALONE or module is None:
            continue
        for name, value in list(vars(module).items()):
            # A private name is a part that the module itself is made of, such as
            # threading._allocate_lock.
            if id(value) in wanted and not name.startswith("_"):
                yield module, name, wanted[id(value)]


def _registered(wanted: dict[int, _Pair]) -> Iterator[tuple[dict[str, Any], str, _Pair]]:
    """Find the types that managers offer which are one of the wanted objects. They are sent to the
    process of a manager by their name, so that they must be what the name means.
    """
    base = getattr(sys.modules.get("multiprocessing.managers"), "BaseManager", None)
    # From the standard class on: tress's, which may be in its place, is one of its subclasses.
    kinds: list[Any] = [] if base is None else [base.__mro__[-2]]
    for kind in kinds:
        registry = vars(kind).get("_registry", {})
        for name, registered in list(registry.items()):
            if id(registered[0]) in wanted:
                yield registry, name, wanted[id(registered[0])]
        kinds += kind.__subclasses__()


_lock = _thread.RLock()
_strands: dict[str, _Strand] = {}
_children = Children(lambda: strands())


def install(*strands: str) -> None:
    """Put tress's classes in place of the standard library's, inside the standard modules.

    With no argument every strand is installed: `"threads"`, the classes and functions of
    `threading`, `queue` and `concurrent.futures`; `"processes"`, those of `multiprocessing` and
    ProcessPoolExecutor; and `"coroutines"`, the event loop of `asyncio`. A process that
    `multiprocessing` starts has the same strands installed, whatever the start method. Installing
    what is installed does nothing. A module that is not loaded yet gets its replacements when it
    is. It may be called at any time: objects made before keep working as what they are.
    Earlier is better, though: names that other modules took by `from threading import Lock` stay
    the standard ones.

    Raises ValueError for a name that is no strand, and TypeError for anything but a string.
    """
    for name in _checked("install", strands) or _AVAILABLE:
        with _lock:
            strand = _strands.get(name)
            if not _strands:
                _children.begin()
            if strand is None:
                strand = _strands[name] = _Strand(name)
                strand.begin()
        try:
            strand.replace_loaded()
        except BaseException:
            uninstall(name)
            raise


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
                if not _strands:
                    _children.end()


def installed() -> dict[str, tuple[Replacement, ...]]:
    """Tell what is replaced now: for each installed strand its replacements, sorted by place.

    The result is empty, and so false, when nothing is installed. It is what the loaded modules hold
    at this moment, so a replacement that somebody has overwritten is not among them.
    """
    with _lock:
        return {
            name: tuple(sorted(strand.replacements(), key=lambda place: place[:2]))
            for name, strand in _strands.items()
        }


def strands() -> tuple[str, ...]:
    """The names of the strands that are installed."""
    return tuple(_strands)


def _checked(caller: str, strands: tuple[str, ...]) -> tuple[str, ...]:
    have = "tress has " + ", ".join(repr(name) for name in _AVAILABLE)
    for name in strands:
        if not isinstance(name, str):
            raise TypeError(f"{caller}: a strand is named by a str, not {type(name).__name__}")
        if name not in _AVAILABLE:
            raise ValueError(f"{caller}: {name!r} is not a strand; {have}")
    return strands
