"""The log of a pool's workers in the log of its owner: `log_to_parent=True`.

A worker puts its records into a ring in shared memory, in the thread that logs, and a thread of the
owner hands each to the logger of the same name there: its level, its filters and its handlers
decide, and those of its parents. A worker that is killed costs the record that it was putting.
"""

from __future__ import annotations

import logging
import pickle

from tress import _native
from tress._thread import Thread, report
from tress.multiprocessing._queue_ring import Reader, Ring, Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_logging: Any = logging


def _levels() -> dict[str, int]:
    """The loggers that have a level of their own."""
    loggers = dict(logging.root.manager.loggerDict)
    levels = {
        name: logger.level
        for name, logger in loggers.items()
        if isinstance(logger, logging.Logger) and logger.level != logging.NOTSET
    }
    return {**levels, "": logging.root.level}


class Link:
    """What a worker needs for its records to reach the owner, with the owner's levels of now."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._levels = _levels()
        self._disabled = logging.root.manager.disable
        self._captures_warnings = _logging._warnings_showwarning is not None

    def attach(self) -> None:
        """Send what this process logs to the owner, and to nobody else.

        Handlers that a fork has copied, or the main module has added, would write it a second time.
        """
        root = logging.root
        sender = Sender(self._writer)
        for logger in list(root.manager.loggerDict.values()):
            if isinstance(logger, logging.Logger) and logger.handlers:
                # Of one that does not propagate, nothing would reach the root.
                logger.handlers[:] = [] if logger.propagate else [sender]
        root.handlers[:] = [sender]
        for name, level in self._levels.items():
            logging.getLogger(name).setLevel(level)
        root.manager.disable = self._disabled
        logging.captureWarnings(self._captures_warnings)


class Sender(logging.Handler):
    """Puts records into the ring."""

    def __init__(self, writer: Writer) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        """Put a record in, waiting while there is no room."""
        try:
            self._writer.send(self._prepared(record))
        except Exception:
            self.handleError(record)

    def _prepared(self, record: logging.LogRecord) -> bytes:
        """The pickled attributes of a record, with texts for what might not be unpickled."""
        state = dict(vars(record))
        state["msg"], state["args"] = record.getMessage(), None
        if record.exc_info and not record.exc_text:
            formatter = self.formatter or _logging._defaultFormatter
            state["exc_text"] = formatter.formatException(record.exc_info)
        state["exc_info"] = None
        try:
            return pickle.dumps(state)
        except Exception:
            return pickle.dumps({name: _plain(value) for name, value in state.items()})


def _plain(value: Any) -> Any:
    if value is None or type(value) in (str, int, float, bool):
        return value
    try:
        pickle.dumps(value)
    except Exception:
        return repr(value)
    return value


class Listener:
    """The owner's end: a thread that handles what the workers log."""

    def __init__(self, name: str) -> None:
        ring = Ring(_native.SharedRing())
        self._reader, self._writer = Reader(ring), Writer(ring)
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def link(self) -> Link:
        """For a worker that is about to be started."""
        return Link(self._writer)

    def begin(self) -> None:
        """Start the thread: after the first workers, as they may be forks of this process."""
        self._thread.start()

    def end(self) -> None:
        """Wait until all is handled that the workers have logged, which have ended."""
        self._writer.send(None)
        self._thread.join()

    def _run(self) -> None:
        goes_on = True
        while goes_on:
            try:
                goes_on = self._handle_next()
            except Exception:
                # Of a filter or a class of the program's, or a warning of a lost record that the
                # program has made an error.
                report()

    def _handle_next(self) -> bool:
        pickled = self._reader.recv()
        if pickled is None:
            return False
        record = logging.makeLogRecord(pickle.loads(pickled))
        logger = logging.getLogger(record.name)
        if logger.isEnabledFor(record.levelno):
            logger.handle(record)
        return True
