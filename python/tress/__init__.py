"""tress: Python's processes, threads and coroutines from one Rust engine.

`tress.threading`, `tress.queue` and `tress.concurrent.futures` have the names of the standard
modules. A program moves over by changing its imports, by `tress.install()`, or not at all: `python
-m tress program.py`.
"""

from tress import _platform as _platform
from tress._deadlock import DeadlockError, DeadlockWarning, deadlock
from tress._install import install, installed, uninstall
from tress._waits import dump_waits, dump_waits_on, waits

__all__ = [
    "DeadlockError",
    "DeadlockWarning",
    "__version__",
    "deadlock",
    "dump_waits",
    "dump_waits_on",
    "install",
    "installed",
    "uninstall",
    "waits",
]

__version__ = "0.1.0"
