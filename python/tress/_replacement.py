"""What `installed()` tells; a module of its own, as making a NamedTuple costs every start."""

from __future__ import annotations

from typing import NamedTuple


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
