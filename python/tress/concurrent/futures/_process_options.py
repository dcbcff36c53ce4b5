"""What a pool is given beside the standard arguments, and a call beside its own."""

from __future__ import annotations

import math
from dataclasses import dataclass

_POLICIES = ("break", "fail_task", "retry")


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


def check_policy(on_worker_lost: str, max_retries: int, max_worker_memory: int | None) -> None:
    """ValueError or TypeError if these do not say when workers end, and what becomes of calls."""
    if on_worker_lost not in _POLICIES:
        raise ValueError(
            f"on_worker_lost must be one of {', '.join(map(repr, _POLICIES))},"
            f" not {on_worker_lost!r}"
        )
    if not isinstance(max_retries, int):
        raise TypeError(f"max_retries must be an int, not {type(max_retries).__name__}")
    if max_retries < 0:
        raise ValueError(f"max_retries must be at least 0, not {max_retries}")
    if max_worker_memory is not None:
        if not isinstance(max_worker_memory, int):
            raise TypeError(
                "max_worker_memory must be a number of bytes or None,"
                f" not {type(max_worker_memory).__name__}"
            )
        if max_worker_memory <= 0:
            raise ValueError(f"max_worker_memory must be greater than 0, not {max_worker_memory}")
