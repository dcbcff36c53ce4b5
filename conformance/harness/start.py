"""What every interpreter of tress's side runs as it starts.

A `.pth` file in the scratch environment imports this, so that it happens in the process that
runs a suite and in each interpreter which a test starts, whatever its flags (all but `-S`).
It puts tress in place and writes down that it did: a test that starts interpreters counts only
if each of them says so.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from types import ModuleType

# Where tress may put something in place, by attribute; and the word in a program's text that makes
# it worth loading there. What a program does not name it must not find loaded: tress itself leaves
# it unloaded, and to some tests that matters.
STANDARD_MODULES = (
    ("threading", ""),
    ("queue", "queue"),
    ("concurrent.futures", "futures"),
    ("concurrent.futures._base", "futures"),
    ("concurrent.futures.thread", "futures"),
    ("concurrent.futures.process", "ProcessPoolExecutor"),
    ("multiprocessing", "multiprocessing"),
    ("multiprocessing.connection", "multiprocessing"),
    ("multiprocessing.context", "multiprocessing"),
    ("multiprocessing.managers", "multiprocessing"),
    ("multiprocessing.pool", "multiprocessing"),
    ("multiprocessing.process", "multiprocessing"),
    ("multiprocessing.queues", "multiprocessing"),
    ("multiprocessing.shared_memory", "multiprocessing"),
    ("multiprocessing.sharedctypes", "multiprocessing"),
    ("multiprocessing.synchronize", "multiprocessing"),
    ("asyncio", "asyncio"),
    ("asyncio.locks", "asyncio"),
    ("asyncio.queues", "asyncio"),
    ("asyncio.tasks", "asyncio"),
    ("asyncio.unix_events", "asyncio"),
)
# So begin the programs of the interpreters that multiprocessing itself starts. What they are to run
# comes later, with what their parent has installed.
_STARTED_BY_MULTIPROCESSING = ("from multiprocessing.", "import sys; ")
WORKER = "conformance.harness.worker"

# (module, attribute) -> what the standard library had there, for each attribute tress replaced.
originals: dict[tuple[str, str], object] = {}


def _modules() -> list[ModuleType]:
    program = "\n".join(sys.orig_argv)
    if "-c" in sys.orig_argv[:-1]:
        code = sys.orig_argv[sys.orig_argv.index("-c") + 1]
        if code.startswith(_STARTED_BY_MULTIPROCESSING) and "main(" in code:
            program = ""
    modules = [
        importlib.import_module(name)
        for name, word in STANDARD_MODULES
        if word in program or WORKER in sys.orig_argv
    ]
    if "concurrent.futures" in sys.modules:
        # Resolved on first use, and only then an attribute like the others.
        getattr(sys.modules["concurrent.futures"], "ThreadPoolExecutor")  # noqa: B009
    return modules


def _put_in_place() -> None:
    # First of all, so that where it cannot be imported nothing else has been.
    import tress

    modules = _modules()
    before = [dict(vars(module)) for module in modules]
    tress.install()
    for module, names in zip(modules, before, strict=True):
        for name, value in names.items():
            if getattr(module, name, value) is not value:
                originals[module.__name__, name] = value


def start_log(directory: str, parent: int) -> str:
    """The file in which the interpreters that process `parent` starts say what they are."""
    return os.path.join(directory, f"started-by-{parent}")


def plain_marker(directory: str, parent: int) -> str:
    """While this file exists, interpreters that process `parent` starts leave tress out."""
    return os.path.join(directory, f"plain-{parent}")


_begun = False


def begin(directory: str) -> None:
    """Put tress in place in this interpreter, and record the outcome under `directory`."""
    global _begun
    # A virtual environment reads its `.pth` files twice as it starts.
    if _begun:
        return
    _begun = True
    parent = os.getppid()
    record: dict[str, object] = {"pid": os.getpid()}
    if not os.path.exists(plain_marker(directory, parent)):
        try:
            _put_in_place()
        except ImportError as error:
            # A subinterpreter, which tress does not support; or a broken build, and then the
            # process that runs the suite says so.
            record["error"] = f"{type(error).__name__}: {error}"
    record["replaced"] = sorted(".".join(key) for key in originals)
    line = json.dumps(record) + "\n"
    handle = os.open(start_log(directory, parent), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)
