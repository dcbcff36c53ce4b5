"""What a pool is given beside the standard arguments, and a call beside its own."""

from __future__ import annotations

import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tress.concurrent.futures._process_logs import Listener

_POLICIES = ("break", "fail_task", "retry")


class Options:
    """Of a call: `timeout` in seconds, None without; `retries`, None for what the pool has."""

    __slots__ = ("retries", "timeout")

    def __init__(self, timeout: float | None, retries: int | None) -> None:
        self.timeout = timeout
        self.retries = retries

    def __repr__(self) -> str:
        return f"Options(timeout={self.timeout}, retries={self.retries})"


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


def listener_of(pool: str, log_to_parent: bool) -> Listener | None:
    """What a pool hears the log of its workers by, if it is to."""
    if not isinstance(log_to_parent, bool):
        raise TypeError(f"log_to_parent must be a bool, not {type(log_to_parent).__name__}")
    if not log_to_parent:
        return None
    from tress.concurrent.futures._process_logs import Listener

    return Listener(f"{pool} log")
