"""The cases, one module a subject.

Each side gets a private copy of these modules: from 3.11 on a code object carries the interpreter's
inline caches, and two sides that share one would spoil each other's.
"""

from __future__ import annotations

import importlib.util
import sys

from bench.case import Case

_MODULES = (
    *("single_thread", "handover", "executor", "thread"),
    *("processes", "process_start", "process_queues", "process_locks", "connections"),
    *("event_loop", "tasks", "between_tasks", "servers"),
    *("memory", "memory_coroutines"),
)


def load(copy_for: str) -> dict[str, Case]:
    """A fresh copy of all cases, by name, in the order in which they are reported."""
    cases: dict[str, Case] = {}
    for module_name in _MODULES:
        spec = importlib.util.find_spec(f"bench.cases.{module_name}")
        if spec is None or spec.loader is None:
            raise ImportError(f"bench.cases.{module_name} is missing")
        module = importlib.util.module_from_spec(spec)
        # Registered under a name of its own: dataclasses look their module up there.
        sys.modules[f"{spec.name}@{copy_for}"] = module
        spec.loader.exec_module(module)
        for case in module.CASES:
            cases[case.name] = case
    return cases
