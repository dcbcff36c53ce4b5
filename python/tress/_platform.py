"""Says plainly where tress runs, before the native module fails to load in words of its own."""

from __future__ import annotations

import _thread
import sys
from importlib import import_module


def check(platform: str, implementation: str, version: tuple[int, int]) -> None:
    """ImportError that names what is supported and what was found, unless this is it."""
    found = f"{implementation} {version[0]}.{version[1]} on {platform}"
    if platform != "linux" or implementation != "cpython" or version < (3, 11):
        raise ImportError(f"tress needs CPython 3.11 or later on Linux; this is {found}")


def check_interpreter(is_main: bool) -> None:
    """ImportError in a subinterpreter.

    The native classes belong to the first interpreter that imports them, and one that shares its
    lock could use them from a second: there they would meet objects that are not of their world.
    """
    if not is_main:
        raise ImportError("tress cannot be imported in a subinterpreter, only in the main one")


def in_main_interpreter() -> bool:
    """Whether this is the interpreter that the process started with."""
    asked = getattr(_thread, "_is_main_interpreter", None)
    if asked is not None:
        return bool(asked())
    try:
        interpreters = import_module("_xxsubinterpreters")  # Python 3.11
    except ImportError:
        return True  # A build that has no subinterpreters.
    return bool(interpreters.get_current() == interpreters.get_main())


check(sys.platform, sys.implementation.name, sys.version_info[:2])
check_interpreter(in_main_interpreter())
