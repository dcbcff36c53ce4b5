"""tress: Python's processes, threads and coroutines from one Rust engine.

`tress.threading`, `tress.queue`, `tress.concurrent.futures` and `tress.multiprocessing` have the
names of the standard modules. A program moves over by changing its imports, by `tress.install()`,
or not at all: `python -m tress program.py`.
"""

from tress import _platform as _platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tress._deadlock import DeadlockError, DeadlockWarning, deadlock
    from tress._install import install, installed, uninstall
    from tress._loop_watch import watch_loops
    from tress._owner_died import OwnerDiedError, OwnerDiedWarning
    from tress._progress import Progress
    from tress._task_errors import TaskTimeoutError, WorkerLostError
    from tress._waits import dump_waits, dump_waits_on, waits

__all__ = [
    "DeadlockError",
    "DeadlockWarning",
    "OwnerDiedError",
    "OwnerDiedWarning",
    "Progress",
    "TaskTimeoutError",
    "WorkerLostError",
    "__version__",
    "deadlock",
    "dump_waits",
    "dump_waits_on",
    "install",
    "installed",
    "uninstall",
    "waits",
    "watch_loops",
]

__version__ = "0.1.0"

_LOADED_ON_USE = {
    "DeadlockError": "_deadlock",
    "DeadlockWarning": "_deadlock",
    "OwnerDiedError": "_owner_died",
    "OwnerDiedWarning": "_owner_died",
    "Progress": "_progress",
    "TaskTimeoutError": "_task_errors",
    "WorkerLostError": "_task_errors",
    "deadlock": "_deadlock",
    "install": "_install",
    "installed": "_install",
    "uninstall": "_install",
    "dump_waits": "_waits",
    "dump_waits_on": "_waits",
    "waits": "_waits",
    "watch_loops": "_loop_watch",
}
"""What not every program needs: every process that is started imports this package, and some of
this stands on `ast`, `inspect`, `traceback` or `concurrent.futures`."""


def __getattr__(name: str) -> object:
    if name not in _LOADED_ON_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"tress.{_LOADED_ON_USE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
