"""Threads by name."""

from __future__ import annotations

import threading


def names_of_threads() -> dict[int, str]:
    """The name of each thread that Python knows, by its identifier."""
    # Not `threading.enumerate`: its lock may be held by a thread that a signal handler has
    # interrupted.
    active: dict[int, threading.Thread] = threading._active  # type: ignore[attr-defined]
    return {ident: thread.name for ident, thread in list(active.items())}


def name_of(ident: int, names: dict[int, str]) -> str:
    """The name of a thread, which Python need not know."""
    return names.get(ident, f"Thread {ident}")
