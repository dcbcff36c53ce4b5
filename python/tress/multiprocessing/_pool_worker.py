"""What is particular to the worker processes of a `Pool`; the rest is the executor's."""

from __future__ import annotations

import multiprocessing.pool as _std_module
from typing import Any

from tress.concurrent.futures import _process_worker

_std: Any = _std_module


class Manners(_process_worker.Manners):
    """What a worker makes of errors: as the workers of a Pool do."""

    ends_on_exit = True

    @staticmethod
    def outgoing(error: BaseException) -> Any:
        """`error`, to be pickled together with the text of its traceback."""
        return _std.ExceptionWithTraceback(error, error.__traceback__)

    @classmethod
    def unpicklable(cls, error: BaseException, value: Any) -> Any:
        """What is answered in place of a `value` that cannot be pickled."""
        return _std.MaybeEncodingError(error, value)

    @staticmethod
    def failed_to_begin() -> bool:
        """The initializer has raised; whether the worker is to end by that exception."""
        return True
