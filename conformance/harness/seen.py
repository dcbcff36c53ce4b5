"""Tells tress's objects from the standard library's, and notes which of them a test used.

Tress's classes derive from the standard ones, carry their names and are installed in their place,
so neither `isinstance` nor a name says which one an object is: only the identity of the classes it
is made of does.
"""

from __future__ import annotations

import types
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType)
_BOUND = (types.MethodType, types.BuiltinMethodType, types.MethodWrapperType)


@dataclass
class Sightings:
    """What one test used: names of tress's objects, and of standard ones that tress replaces."""

    ours: set[str] = field(default_factory=set)
    standard: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Catalogue:
    """What is tress's, and what of the standard library tress takes the place of.

    Classes of the standard library are known by module and name, because a suite may import the
    module afresh and then hold classes that are new objects.
    """

    our_classes: frozenset[type]
    # Those of tress's whose use says nothing about what is tested.
    our_makers: frozenset[type]
    our_functions: dict[int, str]
    standard_classes: frozenset[tuple[str, str]]
    standard_functions: dict[int, str]
    # Holds what the keys above are the identities of.
    kept: tuple[object, ...]


def _key(cls: type) -> tuple[str, str]:
    return (cls.__module__, cls.__qualname__)


# Standard objects whose use says nothing about what is tested. The interpreter makes threads of
# these classes by itself, and a test may look whether it did; a bare lock, and the function that
# makes one, serve as signals.
_THREADS_OF_THE_INTERPRETER = frozenset(
    {("threading", "_MainThread"), ("threading", "_DummyThread")}
)
_BARE_LOCKS = frozenset({("_thread", "lock"), ("_thread", "RLock")})
_BARE = "_thread"
# What makes the objects that are tested, tress's or others.
_CONTEXT = ("multiprocessing.context", "BaseContext")


def catalogue(ours: Iterable[object], originals: Iterable[tuple[str, object]]) -> Catalogue:
    """Sort tress's objects, and the standard ones (each with its name) that they replace."""
    originals = list(originals)
    ours = list(ours)
    original_ids = {id(value) for _, value in originals}
    mine = [value for value in ours if id(value) not in original_ids]
    classes = {value for value in mine if isinstance(value, type)}
    makers = {cls for cls in classes if _CONTEXT in map(_key, cls.__mro__)}
    return Catalogue(
        our_classes=frozenset(classes - makers),
        our_makers=frozenset(makers),
        our_functions={
            id(value): value.__qualname__ for value in mine if isinstance(value, _FUNCTIONS)
        },
        standard_classes=frozenset(
            _key(value) for _, value in originals if isinstance(value, type)
        ),
        standard_functions={
            id(value): name
            for name, value in originals
            if isinstance(value, _FUNCTIONS) and value.__module__ != _BARE
        },
        kept=(*mine, *(value for _, value in originals)),
    )


class Observer:
    """Notes every object a test shows it, on behalf of the test that is running."""

    def __init__(self, known: Catalogue) -> None:
        self._known = known
        self.now = Sightings()

    def next(self) -> Sightings:
        """What has been seen since the last call."""
        done, self.now = self.now, Sightings()
        return done

    def classify(self, value: Any) -> tuple[str, str] | None:
        """("ours" or "standard", name), or None for what is neither."""
        known = self._known
        # By `type`, as what is shown here may answer for itself in a test of just that.
        while type(value) is staticmethod:
            value = value.__func__
        kind = type(value)
        if kind in _BOUND:
            owner = value.__self__
            if owner is None or isinstance(owner, types.ModuleType):
                return self._function(value)
            value = owner
        elif kind in _FUNCTIONS:
            return self._function(value)
        is_class = issubclass(type(value), type)
        cls: type = value if is_class else type(value)
        if known.our_makers.intersection(cls.__mro__):
            return None
        for base in cls.__mro__:
            if base in known.our_classes:
                return ("ours", base.__qualname__)
        for base in cls.__mro__:
            key = _key(base)
            if key in _THREADS_OF_THE_INTERPRETER or (key in _BARE_LOCKS and not is_class):
                return None
            if key in known.standard_classes:
                return ("standard", ".".join(key))
        return None

    def _function(self, value: Any) -> tuple[str, str] | None:
        name = self._known.our_functions.get(id(value))
        if name is not None:
            return ("ours", name)
        name = self._known.standard_functions.get(id(value))
        return None if name is None else ("standard", name)

    def see(self, value: Any) -> Any:
        """Note what `value` is, and return it."""
        found = self.classify(value)
        if found is not None:
            kind, name = found
            (self.now.ours if kind == "ours" else self.now.standard).add(name)
        return value
