"""Functions and classes that go to another process by value: with cloudpickle, if it is installed.

Plain pickle sends a function or class as its name, under which the other process imports it. Where
that cannot do, because there is no such name (lambdas, closures) or because the main module is not
a file that the other process could import (an interactive session, `python -c`), cloudpickle sends
the code itself. All else of the same pickle goes as ever.
"""

from __future__ import annotations

import pickle
import sys
from collections import ChainMap
from importlib import import_module
from multiprocessing.reduction import ForkingPickler
from types import FunctionType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

REFUSED = (pickle.PicklingError, AttributeError, TypeError)
"""What plain pickle raises for what it cannot pickle."""

_NOTE = (
    "A function or class that cannot be imported by its name, such as a lambda, goes to another "
    "process by value where cloudpickle is installed: pip install 'tress[cloudpickle]'"
)


class OfMain(Exception):
    """A function or class of a main module that another process cannot import."""


def main_is_a_file() -> bool:
    """Whether a new process can import the main module, as far as `multiprocessing` knows."""
    main = sys.modules.get("__main__")
    return (
        getattr(main, "__file__", None) is not None or getattr(main, "__spec__", None) is not None
    )


def refuse_main(pickler: object, value: object) -> Any:
    """A pickler's `reducer_override` that raises OfMain rather than send a name."""
    if isinstance(value, (FunctionType, type)) and value.__module__ == "__main__":
        raise OfMain
    return NotImplemented


_pickler: Any = None
_is_missing = False
"""Whether cloudpickle has been looked for in vain."""


def refuses_main() -> bool:
    """Whether what the main module defines must not be sent as a name: another process could not
    import it, and it can go by value."""
    return not main_is_a_file() and not _is_missing and _by_value_pickler() is not None


def _by_value_pickler() -> Any:
    """The class of picklers that send by value; None if cloudpickle is not installed."""
    global _pickler, _is_missing
    if _pickler is None:
        try:
            cloudpickle: Any = import_module("cloudpickle")
        except ImportError:
            _is_missing = True
            return None
        _is_missing = False

        class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
            dispatch_table = ChainMap(  # noqa: RUF012
                ForkingPickler._extra_reducers,  # type: ignore[attr-defined]
                cloudpickle.Pickler.dispatch_table,
            )

            def reducer_override(self, value: Any) -> Any:
                if isinstance(value, (FunctionType, type)) and _is_found_in_main(value):
                    return NotImplemented
                return super().reducer_override(value)

        _pickler = Pickler
    return _pickler


def _is_found_in_main(value: Any) -> bool:
    """Whether the other process finds this under its name in the main module.

    cloudpickle sends all of the main module by value, which gives the other process a second class
    of the same name.
    """
    if value.__module__ != "__main__" or not main_is_a_file():
        return False
    found: Any = sys.modules["__main__"]
    for name in value.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is value


def dump(value: object, file: Any, keep_apart: Callable[[Any], Any] | None = None) -> None:
    """Write the pickle of `value` to `file`, what needs it by value.

    ImportError without cloudpickle, whose own errors pass through.
    """
    chosen = _by_value_pickler()
    if chosen is None:
        raise ImportError("cloudpickle is not installed")
    chosen(file, pickle.HIGHEST_PROTOCOL, keep_apart).dump(value)


def explain(error: BaseException, refused: Exception) -> None:
    """Note in `error`, which plain pickle has raised, why `dump` has not done either."""
    if not isinstance(refused, ImportError):
        if str(refused) != str(error):
            error.add_note(f"by value: {type(refused).__name__}: {refused}")
    elif not isinstance(error, TypeError):
        error.add_note(_NOTE)
