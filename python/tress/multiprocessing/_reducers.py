"""Pickling for other processes: with the reducers that programs have registered for that."""

from __future__ import annotations

import copyreg
import io
import multiprocessing.reduction as _reduction
import pickle
from collections import ChainMap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_STANDARD: Any = _reduction.ForkingPickler

# As the standard class's, but looked up in the tables as they are now, so that nothing is copied
# for each pickle.
_REDUCERS: Any = ChainMap(_STANDARD._extra_reducers, copyreg.dispatch_table)


class Pickler(pickle.Pickler):
    """As `ForkingPickler`."""

    dispatch_table = _REDUCERS


def dumps(value: object) -> memoryview:
    """The pickle of `value`, as `ForkingPickler.dumps` makes it."""
    written = io.BytesIO()
    Pickler(written).dump(value)
    return written.getbuffer()
