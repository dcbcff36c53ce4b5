"""The thread that reads what is given to `imap` and to a long `map`, and submits it.

It reads ahead of the workers by some hundreds of tasks, and takes one job after the other. The
iterables are the user's, and may block: nothing else of a pool waits for this thread.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Iterator

from tress._thread import Thread
from tress.concurrent.futures._process_pool import end
from tress.queue import SimpleQueue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Job(Protocol):
        """What is fed."""

        def tasks(self) -> Iterator[Any]:
            """The futures of the tasks, which raises nothing."""

        def all_fed(self, error: BaseException | None = None) -> None:
            """No more will come: what there is is all, or `error` has cut it short."""


# So many calls are in line before the feeder waits.
_HIGH = 512


class Feeder:
    """Feeds an engine."""

    def __init__(self, engine: Any) -> None:
        # The engine has the feeder; whoever calls has the engine.
        self._engine_ref = weakref.ref(engine)
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._unfed: list[Job] = []
        self._plain: deque[tuple[Job, Iterator[Any]]] = deque()
        self._thread: Thread | None = None
        self._room = threading.Event()
        self._waits = False
        self._error: BaseException | None = None
        self._closed = False

    @property
    def _engine(self) -> Any:
        engine = self._engine_ref()
        assert engine is not None, "a feeder outlives its engine"
        return engine

    def put(self, job: Job, plain: bool = False) -> None:
        """Has a job fed, after those before it. ValueError once the pool is closed.

        A plain one is a list, say, which may be read at any time by any thread.
        """
        self._engine.begin_feed()
        with self._lock:
            error = self._error
            if error is None and not self._closed:
                self._unfed.append(job)
                if plain:
                    self._plain.append((job, job.tasks()))
                    return
                self._jobs.put(job)
                if self._thread is None:
                    self._thread = Thread(
                        target=self._run, args=(self._engine,), name="PoolFeeder", daemon=True
                    )
                    self._thread.start()
                return
        self._engine.end_feed()
        if error is None:
            raise ValueError("Pool not running")
        job.all_fed(error)

    def _run(self, engine: Any) -> None:
        while (job := self._jobs.get()) is not None:
            for future in job.tasks():
                if (error := self._error) is not None:
                    end(future, error)
                    break
                engine.feed(future)
                if len(engine.backlog) >= _HIGH:
                    self._wait_for_room()
                # What has been submitted is not to be kept alive here.
                del future
            self._has_fed(job)
            del job

    def _has_fed(self, job: Job) -> None:
        with self._lock:
            mine = job in self._unfed
            if mine:
                self._unfed.remove(job)
        if mine:
            job.all_fed(self._error)
            self._engine.end_feed()

    def has_plain(self) -> bool:
        """Whether there is more to be pulled."""
        return bool(self._plain)

    def pull(self) -> Any:
        """The future of the next task of what is plain, or None. For one thread at a time."""
        while self._plain:
            job, tasks = self._plain[0]
            if self._error is None:
                for future in tasks:
                    return future
            self._plain.popleft()
            self._has_fed(job)
        return None

    def _wait_for_room(self) -> None:
        self._room.clear()
        self._waits = True
        # Whoever makes room looks at `_waits` afterwards, and whoever stops it at nothing.
        while len(self._engine.backlog) >= _HIGH and self._error is None:
            self._room.wait()
            self._room.clear()
        self._waits = False

    def go_on(self) -> None:
        """There is room for more."""
        if self._waits:
            self._room.set()

    def unfed(self) -> list[Job]:
        """The jobs of which more may come."""
        with self._lock:
            return list(self._unfed)

    def stop(self, error: BaseException) -> None:
        """Ends every job with `error`; the thread ends when what it reads lets it."""
        with self._lock:
            if self._error is not None:
                return
            self._error = error
            jobs, self._unfed = self._unfed, []
        self._room.set()
        for job in jobs:
            job.all_fed(error)
        self.close()

    def close(self) -> None:
        """Has the thread end after the last job."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)

    def end(self) -> None:
        """Waits for the thread, unless it is busy with an iterable that does not come back."""
        if self._thread is not None and self._thread.ident != threading.get_ident():
            self._thread.join(1.0)

    def join(self) -> None:
        """Waits until every job has been fed."""
        if self._thread is not None and self._error is None:
            self._thread.join()
