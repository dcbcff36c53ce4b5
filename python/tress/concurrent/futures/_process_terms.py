"""On what terms a worker works: what it is given as it begins, beside its seat."""

from __future__ import annotations

from collections.abc import Callable

from tress.concurrent.futures._pickling import dumps, loads_apart

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tress.concurrent.futures._process_logs import Link


class Terms:
    """What every worker of a pool is given.

    The initializer and its arguments go to a new process as a call does: by value where they must.
    """

    def __init__(
        self,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
        max_tasks: int | None,
        max_memory: int | None,
    ) -> None:
        self.initializer = initializer
        self.initargs = initargs
        self.max_tasks = max_tasks
        self.max_memory = max_memory
        self.logs: Link | None = None

    def __reduce__(self) -> tuple[Callable[..., Terms], tuple[Any, ...]]:
        pieces, buffers = dumps((self.initializer, self.initargs))
        apart = [buffer.raw().tobytes() for buffer in buffers or ()]
        return _terms, (b"".join(pieces), apart, self.max_tasks, self.max_memory, self.logs)


def _terms(
    pickled: bytes, apart: list[bytes], max_tasks: int | None, max_memory: int | None, logs: Any
) -> Terms:
    initializer, initargs = loads_apart(pickled, apart)
    terms = Terms(initializer, initargs, max_tasks, max_memory)
    terms.logs = logs
    return terms
