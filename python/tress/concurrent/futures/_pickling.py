"""Pickling for other processes: what `multiprocessing` can pickle, large buffers beside the pickle.

Buffers that protocol 5 hands out (arrays, bytearrays of those who ask for it) go into shared
memory as they are, and the other side reads them where they lie.
"""

from __future__ import annotations

import multiprocessing.reduction as _reduction
import pickle
from collections.abc import Iterable
from functools import lru_cache
from types import FunctionType

from tress import _by_value
from tress.multiprocessing._reducers import Pickler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures.process import BrokenProcessPool
    from typing import Any

# Buffers below this many bytes are cheaper inside the pickle.
_APART = 32 * 1024

# A message has room for so many lengths.
_MOST_BUFFERS = 500

loads = pickle.loads

_Standard = _reduction.ForkingPickler


class _Strict(Pickler):
    """Does not send the name of what the other process cannot import."""

    reducer_override = _by_value.refuse_main


class _Pieces:
    """What a pickler writes to: it hands over large bytes as the objects that they are."""

    __slots__ = ("write",)

    def __init__(self, pieces: list[Any]) -> None:
        self.write = pieces.append


class _Dump:
    """One attempt to pickle a value."""

    def __init__(self) -> None:
        self.pieces: list[Any] = []
        self.buffers: list[pickle.PickleBuffer] = []

    def plainly(self, value: Any) -> _Dump:
        chosen = _Strict if _by_value.refuses_main() else Pickler
        chosen(_Pieces(self.pieces), pickle.HIGHEST_PROTOCOL, buffer_callback=self._keep_in).dump(
            value
        )
        return self

    def by_value(self, value: Any) -> _Dump:
        _by_value.dump(value, _Pieces(self.pieces), self._keep_in)
        return self

    def _keep_in(self, buffer: pickle.PickleBuffer) -> bool:
        """Whether a buffer stays in the pickle; else it goes beside."""
        if len(self.buffers) == _MOST_BUFFERS or buffer.raw().nbytes < _APART:
            return True
        self.buffers.append(buffer)
        return False


def dumps(value: Any) -> tuple[list[Any], list[pickle.PickleBuffer] | None]:
    """The pickle of `value`, in pieces, and the buffers that go beside it."""
    if _reduction.ForkingPickler is not _Standard:
        # Somebody has put a pickler of their own in place.
        return [_reduction.ForkingPickler.dumps(value)], None
    try:
        done = _Dump().plainly(value)
    except _by_value.OfMain:
        done = _Dump().by_value(value)
    except _by_value.REFUSED as error:
        try:
            done = _Dump().by_value(value)
        except Exception as refused:
            # The error that the standard library raises, whatever has been tried since.
            _by_value.explain(error, refused)
            raise error from None
    return done.pieces, done.buffers or None


# What is pickled without a look at any table, into few bytes.
_PLAIN = frozenset({int, float, bool, type(None)})


@lru_cache(maxsize=64)
def _name(function: FunctionType) -> bytes:
    """The pickle of a function, which is its name; an exception where that will not do."""
    if function.__module__ == "__main__" and _by_value.refuses_main():
        raise _by_value.OfMain
    return pickle.dumps(function, pickle.HIGHEST_PROTOCOL)


_named = lru_cache(maxsize=64)(pickle.loads)


def dumps_call(call: tuple[Any, ...]) -> tuple[list[Any], list[pickle.PickleBuffer] | None]:
    """As `dumps`, of the function, the arguments and the keyword arguments of a call.

    To find a function's name, and the function by it, takes longer than all the rest of a small
    call. So it is done once, and the call has the pickle of the function instead.
    """
    function, args, kwargs = call
    if kwargs or type(function) is not FunctionType or _reduction.ForkingPickler is not _Standard:
        return dumps(call)
    try:
        named = (_name(function), args)
    except Exception:
        return dumps(call)
    if len(args) == 1 and type(args[0]) in _PLAIN:
        return [pickle.dumps(named, pickle.HIGHEST_PROTOCOL)], None
    return dumps(named)


def loads_call(pickled: Any, buffers: Iterable[Any] | None) -> tuple[Any, Any, Any]:
    """The function, the arguments and the keyword arguments of a call."""
    call = loads(pickled, buffers=buffers)
    if len(call) == 2:
        name, args = call
        return _named(name), args, {}
    function, args, kwargs = call
    return function, args, kwargs


def dumps_result(value: Any) -> tuple[list[Any], list[pickle.PickleBuffer] | None]:
    """As `dumps`, of what is often small."""
    if type(value) in _PLAIN and _reduction.ForkingPickler is _Standard:
        return [pickle.dumps(value, pickle.HIGHEST_PROTOCOL)], None
    return dumps(value)


def size(pieces: list[Any], buffers: list[pickle.PickleBuffer] | None) -> int:
    """How many bytes `dumps` has returned."""
    apart = sum(buffer.raw().nbytes for buffer in buffers) if buffers else 0
    return sum(map(len, pieces)) + apart


def loads_apart(pickled: Any, buffers: Iterable[Any]) -> Any:
    """The value of a pickle whose large buffers are beside it."""
    return pickle.loads(pickled, buffers=buffers)


def unreadable(what: str, error: BaseException) -> BrokenProcessPool:
    """What a call ends with if it, or its result, cannot be unpickled on the other side."""
    from concurrent.futures.process import BrokenProcessPool

    broken = BrokenProcessPool(f"{what} cannot be unpickled: {type(error).__name__}: {error}")
    broken.__cause__ = error
    return broken
