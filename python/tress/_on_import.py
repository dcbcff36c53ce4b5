"""Something to do around the execution of certain modules, whenever they come to be imported."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    Action = Callable[[], Callable[[bool], None]]
    """Called just before a module is executed; what it returns is called just after, with whether
    that went well."""


class OnImport:
    """Takes part in imports between `begin()` and `end()`; earlier ones are not its matter."""

    def __init__(
        self, actions: Mapping[str, Action], package: str | None = None, part: Action | None = None
    ) -> None:
        """`actions` by the module's name; `part` for the other modules of `package`."""
        self._actions = actions
        self._parts = None if package is None else f"{package}."
        self._part = part

    def begin(self) -> None:
        """Take part in imports."""
        sys.meta_path.insert(0, self)

    def end(self) -> None:
        """Take no part any more."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Find one of the modules as the other finders do, with a loader around its own."""
        action = self._actions.get(fullname)
        if action is None and self._parts is not None and fullname.startswith(self._parts):
            action = self._part
        if action is None:
            return None
        finders = list(sys.meta_path)
        if self in finders:
            # Those before this one have had their turn, and may be who asks.
            del finders[: finders.index(self) + 1]
        for finder in finders:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    loader: Any = _Loader(spec.loader, action)
                    spec.loader = loader
                return spec
        return None


class _Loader:
    """Does what a module's own loader does, with an action around the execution."""

    def __init__(self, loader: Any, action: Action) -> None:
        self._loader = loader
        self._action = action

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader  # its own again, for whoever looks at it later
        afterwards = self._action()
        try:
            self._loader.exec_module(module)
        except BaseException:
            afterwards(False)
            raise
        afterwards(True)
