"""Loads the test modules with every object they use shown to an observer.

Each module is compiled from its own source with one change: where an expression reads an attribute,
or names what is called, passed or entered, the value also goes through `see`, which notes what it
is and returns that same value. The tests therefore work on the untouched objects, under their own
names and line numbers, and the run knows which objects those were.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import CodeType, ModuleType
from typing import Any

SEE = "__tress_conformance_see__"
LOW_LEVEL = "__tress_conformance_thread__"


class _Watched(ast.NodeTransformer):
    def __init__(self, low_level_locks: bool) -> None:
        self.low_level_locks = low_level_locks

    def _see(self, node: ast.expr) -> ast.expr:
        call = ast.Call(ast.Name(SEE, ast.Load()), [node], [])
        ast.copy_location(call.func, node)
        return ast.copy_location(call, node)

    def _name(self, node: ast.expr) -> ast.expr:
        # `super` without arguments is known to the compiler by its name.
        if isinstance(node, ast.Name) and node.id not in {"super", SEE, LOW_LEVEL}:
            return self._see(node)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        self.generic_visit(node)
        return self._see(node) if isinstance(node.ctx, ast.Load) else node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        node.func = self._name(node.func)
        node.args = [self._name(argument) for argument in node.args]
        for keyword in node.keywords:
            keyword.value = self._name(keyword.value)
        return node

    def visit_withitem(self, node: ast.withitem) -> ast.withitem:
        self.generic_visit(node)
        # What is made to be entered has no name: it is looked at here or nowhere.
        if isinstance(node.context_expr, ast.Call):
            node.context_expr = self._see(node.context_expr)
        node.context_expr = self._name(node.context_expr)
        return node

    def visit_MatchValue(self, node: ast.MatchValue) -> ast.MatchValue:
        return node  # A pattern is no expression: a call may not stand in it.

    def visit_MatchClass(self, node: ast.MatchClass) -> ast.MatchClass:
        return node

    def visit_Import(self, node: ast.Import) -> ast.Import | list[ast.stmt]:
        if not self.low_level_locks:
            return node
        added: list[ast.stmt] = [node]
        for alias in node.names:
            if alias.name == "_thread":
                name = alias.asname or alias.name
                wrapped = ast.Call(
                    ast.Name(LOW_LEVEL, ast.Load()), [ast.Name(name, ast.Load())], []
                )
                assign = ast.Assign([ast.Name(name, ast.Store())], wrapped)
                added.append(ast.fix_missing_locations(ast.copy_location(assign, node)))
        return added


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, fullname: str, path: str, names: dict[str, Any], low_level: bool) -> None:
        super().__init__(fullname, path)
        self._names = names
        self._low_level = low_level

    def get_code(self, fullname: str) -> CodeType:
        # From the source always: the cached bytecode is that of the unwatched module.
        path = self.get_filename(fullname)
        tree = _Watched(self._low_level).visit(ast.parse(self.get_data(path), path))
        code = compile(tree, path, "exec", dont_inherit=True)
        assert isinstance(code, CodeType)
        return code

    def exec_module(self, module: ModuleType) -> None:
        vars(module).update(self._names)
        super().exec_module(module)


class Finder(importlib.abc.MetaPathFinder):
    """Finds the watched modules; every other module is found as always."""

    def __init__(
        self,
        watched: Sequence[str],
        low_level: Sequence[str],
        see: Callable[[Any], Any],
        low_level_module: Callable[[ModuleType], ModuleType],
    ) -> None:
        self._watched = frozenset(watched)
        self._low_level = frozenset(low_level)
        self._names: dict[str, Any] = {SEE: see, LOW_LEVEL: low_level_module}

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self._watched:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            return None
        low_level = fullname in self._low_level
        spec.loader = _Loader(fullname, spec.origin, self._names, low_level)
        return spec

    def install(self) -> None:
        already = sorted(self._watched & sys.modules.keys())
        if already:
            raise RuntimeError(f"loaded before they could be watched: {', '.join(already)}")
        sys.meta_path.insert(0, self)
