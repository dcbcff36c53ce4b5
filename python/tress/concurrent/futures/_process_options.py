"""What a call is given beside its arguments: how long it may take, how often it is made again."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """Of a call: `timeout` in seconds, None without; `retries`, None for what the pool has."""

    timeout: float | None = None
    retries: int | None = None


def options(timeout: float | None, retries: int | None) -> Options:
    """These options, if they make sense: else TypeError or ValueError."""
    if timeout is not None:
        if not isinstance(timeout, (int, float)):
            raise TypeError(
                f"timeout must be a number of seconds or None, not {type(timeout).__name__}"
            )
        if not timeout > 0 or math.isnan(timeout):
            raise ValueError(f"timeout must be greater than 0, not {timeout!r}")
    if retries is not None:
        if not isinstance(retries, int):
            raise TypeError(f"retries must be an int or None, not {type(retries).__name__}")
        if retries < 0:
            raise ValueError(f"retries must be at least 0, not {retries}")
    return Options(timeout, retries)
