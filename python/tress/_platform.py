"""Says plainly where tress runs, before the native module fails to load in words of its own."""

from __future__ import annotations

import sys


def check(platform: str, implementation: str, version: tuple[int, int]) -> None:
    """ImportError that names what is supported and what was found, unless this is it."""
    found = f"{implementation} {version[0]}.{version[1]} on {platform}"
    if platform != "linux" or implementation != "cpython" or version < (3, 11):
        raise ImportError(f"tress needs CPython 3.11 or later on Linux; this is {found}")


check(sys.platform, sys.implementation.name, sys.version_info[:2])
