"""What is particular to the worker processes of a `Pool`; the rest is the executor's."""

from __future__ import annotations

import importlib

from tress.concurrent.futures import _process_worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _standard() -> Any:
    """Imported when it is used: with tress installed, its import brings in tress's, which wants the
    names of this module."""
    return importlib.import_module("multiprocessing.pool")


class Manners(_process_worker.Manners):
    """What a worker makes of errors: as the workers of a Pool do."""

    ends_on_exit = True

    @staticmethod
    def outgoing(error: BaseException) -> Any:
        """`error`, to be pickled together with the text of its traceback."""
        return _standard().ExceptionWithTraceback(error, error.__traceback__)

    @classmethod
    def unpicklable(cls, error: BaseException, value: Any) -> Any:
        """What is answered in place of a `value` that cannot be pickled."""
        return _standard().MaybeEncodingError(error, value)

    @staticmethod
    def failed_to_begin() -> bool:
        """The initializer has raised; whether the worker is to end by that exception."""
        return True
