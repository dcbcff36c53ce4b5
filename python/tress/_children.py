"""Processes that are started afresh have tress in place as the process that started them has.

A forked child inherits it. One that `multiprocessing` starts by "spawn" or "forkserver" is a new
interpreter: it is sent a dictionary of what to prepare, then the process object, and it imports the
main module in between. Into that dictionary goes, while tress is installed, an object that puts
tress in place as it is unpickled, and so before the main module takes names from anywhere.

A fork server may import the main module itself, for its children to inherit. tress's own is sent
the object as well. The standard library's cannot be, and is kept from it: each of its children then
imports the main module on its own.
"""

from __future__ import annotations

import importlib
import sys

from tress._on_import import OnImport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_SPAWN = "multiprocessing.spawn"
KEY = "tress"
"""Of the object in the dictionary."""
_OF_A_FORK_SERVER = "ignore"
"""The name of a process for which the preparation of a standard fork server is made."""


class _Module:
    """Pickles to a module."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __reduce__(self) -> tuple[Any, ...]:
        return importlib.import_module, (self._name,)


class _Path:
    """Sets `sys.path` as it is unpickled: it may take that to find tress."""

    def __init__(self, path: list[str]) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return setattr, (_Module("sys"), "path", self._path)


class _Strands:
    """Installs these strands as it is unpickled."""

    def __init__(self, strands: tuple[str, ...]) -> None:
        self._strands = strands

    def __reduce__(self) -> tuple[Any, ...]:
        return install_in_child, self._strands


def install_in_child(*strands: str) -> None:
    """Install what the parent has installed."""
    from tress._install import install

    if strands:
        install(*strands)


class Children:
    """Tells new processes of tress between `begin()` and `end()`."""

    def __init__(self, strands: Callable[[], tuple[str, ...]]) -> None:
        self._strands = strands
        self._on_import = OnImport({_SPAWN: self._around_import})
        self._standard: Any = None

    def begin(self) -> None:
        """Begin to tell them."""
        self._on_import.begin()
        if _SPAWN in sys.modules:
            self._replace()

    def end(self) -> None:
        """Undo what `begin()` did."""
        self._on_import.end()
        spawn = sys.modules.get(_SPAWN)
        if spawn is not None and vars(spawn).get("get_preparation_data") == self._preparation:
            spawn.get_preparation_data = self._standard  # type: ignore[attr-defined]

    def _around_import(self) -> Callable[[bool], None]:
        return lambda succeeded: self._replace() if succeeded else None

    def _replace(self) -> None:
        spawn: Any = sys.modules[_SPAWN]
        function = getattr(spawn, "get_preparation_data", None)
        if function is not None and function != self._preparation:
            self._standard = function
            spawn.get_preparation_data = self._preparation

    def _preparation(self, name: str) -> dict[str, Any]:
        data: dict[str, Any] = self._standard(name)
        if name == _OF_A_FORK_SERVER:
            data.pop("init_main_from_path", None)
        else:
            data[KEY] = (_Path(data["sys_path"]), _Strands(self._strands()))
        return data
