"""What `install()` replaces, what it leaves alone, and that `uninstall()` undoes it exactly."""

from __future__ import annotations

import _thread
import concurrent.futures
import concurrent.futures._base
import concurrent.futures.thread
import importlib
import multiprocessing.dummy
import pickle
import queue
import subprocess
import sys
import textwrap
import threading
import types
from collections.abc import Callable
from typing import Any

import pytest

import tress
import tress.concurrent.futures
import tress.queue
import tress.threading

# The attributes in question are not what the stubs of the standard library say.
standard_threading: Any = threading
standard_queue: Any = queue
standard_futures: Any = concurrent.futures
dummy: Any = multiprocessing.dummy
ours_in_threading: Any = tress.threading
ours_in_queue: Any = tress.queue
ours_in_futures: Any = tress.concurrent.futures

PAIRS: list[tuple[types.ModuleType, types.ModuleType]] = [
    (threading, tress.threading),
    (queue, tress.queue),
    (concurrent.futures, tress.concurrent.futures),
]


def own_names(standard: types.ModuleType, ours: types.ModuleType) -> list[str]:
    """The public names for which tress has an object of its own."""
    return [
        name
        for name in ours.__all__
        if name in vars(ours) and getattr(standard, name, None) is not vars(ours)[name]
    ]


OWN = {standard.__name__: own_names(standard, ours) for standard, ours in PAIRS}


def standard_library() -> dict[tuple[str, str], int]:
    """Which object every attribute of every loaded standard module holds."""
    return {
        (module_name, name): id(value)
        for module_name, module in list(sys.modules.items())
        if module_name.partition(".")[0] in sys.stdlib_module_names
        for name, value in list(vars(module).items())
    }


def classes_and_threads() -> object:
    """The bases of all direct thread classes, and the class of every thread."""
    return (
        {cls: cls.__bases__ for cls in threading.Thread.__subclasses__()},
        {thread.name: type(thread) for thread in threading.enumerate()},
        list(sys.meta_path),
    )


def test_there_is_something_of_our_own() -> None:
    assert {"Thread", "Lock", "RLock", "Condition", "Event", "Timer"} <= set(OWN["threading"])
    assert {"Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"} <= set(OWN["queue"])
    assert {"Future", "ThreadPoolExecutor", "wait", "as_completed"} <= set(
        OWN["concurrent.futures"]
    )


@pytest.mark.parametrize("strands", [(), ("threads",), ("threads", "threads")])
def test_own_names_are_replaced_and_put_back(strands: tuple[str, ...]) -> None:
    # The modules that this imports stay imported.
    tress.install(*strands)
    tress.uninstall(*strands)
    library, classes = standard_library(), classes_and_threads()
    tress.install(*strands)
    for standard, ours in PAIRS:
        for name in OWN[standard.__name__]:
            assert getattr(standard, name) is getattr(ours, name), name
    tress.uninstall(*strands)
    assert standard_library() == library
    assert classes_and_threads() == classes


def test_other_names_stay() -> None:
    before = {
        (module, name): getattr(module, name)
        for module, _ in PAIRS
        for name in module.__all__
        if name not in OWN[module.__name__] and name in vars(module)
        # Found by `__getattr__` in both libraries, until somebody has asked for it.
        if name != "ProcessPoolExecutor"
    }
    tress.install()
    assert {(module, name): getattr(module, name) for module, name in before} == before


def test_modules_of_the_executor_are_replaced_too() -> None:
    tress.install()
    for name in ("Future", "wait", "as_completed"):
        assert getattr(concurrent.futures._base, name) is getattr(ours_in_futures, name)
    assert concurrent.futures.thread.ThreadPoolExecutor is ours_in_futures.ThreadPoolExecutor


def test_pools_of_processes_are_replaced_too() -> None:
    tress.install()
    pools = importlib.import_module("concurrent.futures.process")
    ours = importlib.import_module("tress.concurrent.futures.process").ProcessPoolExecutor
    assert concurrent.futures.ProcessPoolExecutor is pools.ProcessPoolExecutor is ours
    tress.uninstall("processes")
    assert concurrent.futures.ProcessPoolExecutor is pools.ProcessPoolExecutor is not ours
    assert list(tress.installed()) == ["threads", "coroutines"]


def test_what_is_replaced_can_be_pickled_by_its_name() -> None:
    tress.install()
    for replacement in tress.installed()["threads"]:
        if callable(replacement.tress):
            assert pickle.loads(pickle.dumps(replacement.tress)) is replacement.tress


def test_modules_that_took_the_old_names() -> None:
    lock = dummy.Lock
    tress.install()
    assert dummy.Lock is ours_in_threading.Lock
    assert dummy.Queue is dummy.JoinableQueue is ours_in_queue.Queue
    tress.uninstall()
    assert dummy.Lock is lock


def test_what_both_libraries_build_on_stays() -> None:
    private = (standard_threading._allocate_lock, standard_threading._CRLock)
    primitive = dict(vars(_thread))
    tress.install()
    assert (standard_threading._allocate_lock, standard_threading._CRLock) == private
    assert vars(_thread) == primitive


def test_modules_of_others_stay() -> None:
    module = types.ModuleType("somebody")
    vars(module)["Lock"] = threading.Lock
    sys.modules["somebody"] = module
    try:
        before = vars(module)["Lock"]
        tress.install()
        assert vars(module)["Lock"] is before
    finally:
        del sys.modules["somebody"]


def test_standard_module_imported_meanwhile_is_put_back() -> None:
    code = """
import sys, threading, tress
tress.install()
import _threading_local, multiprocessing.dummy, unittest.mock
for module in (_threading_local, multiprocessing.dummy, unittest.mock):
    assert module.RLock is threading.RLock, module
tress.uninstall()
for module in (_threading_local, multiprocessing.dummy, unittest.mock):
    assert module.RLock is threading.RLock, module
from multiprocessing.dummy import Queue
import queue
import tress.queue
assert Queue is queue.Queue and Queue is not tress.queue.Queue
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=25)


def test_nothing_is_imported_that_the_program_has_not_asked_for() -> None:
    code = """
import sys, tress
tress.install()
import concurrent.futures
import importlib
import tress.concurrent.futures
ours = tress.concurrent.futures.ThreadPoolExecutor
assert concurrent.futures.ThreadPoolExecutor is ours
for name in ("multiprocessing", "concurrent.futures.process", "asyncio"):
    assert name not in sys.modules, name
tress.uninstall()
assert concurrent.futures.ThreadPoolExecutor is not ours
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=25)


IMPORT_ORDERS = [
    "import concurrent.futures, queue",
    "import queue, concurrent.futures.thread",
    "import tress.concurrent.futures, tress.queue",
    "import tress.queue; import concurrent.futures._base",
    "from concurrent.futures import *; from queue import *",
    "import asyncio, logging.handlers",
]


@pytest.mark.parametrize("statement", IMPORT_ORDERS)
def test_modules_imported_after_are_replaced_at_once(statement: str) -> None:
    code = f"""
import sys, tress
tress.install()
assert "queue" not in sys.modules and "concurrent.futures" not in sys.modules
{statement}
import concurrent.futures, queue, tress.concurrent.futures, tress.queue
for name in ("Future", "ThreadPoolExecutor", "wait", "as_completed"):
    assert getattr(concurrent.futures, name) is vars(tress.concurrent.futures)[name], name
assert queue.Queue is tress.queue.Queue and queue.ShutDown is tress.queue.ShutDown
assert all(module.__spec__.loader is module.__loader__ for module in (queue, tress.queue))
tress.uninstall()
for name in ("Future", "ThreadPoolExecutor", "wait", "as_completed"):
    assert getattr(concurrent.futures, name) is not vars(tress.concurrent.futures)[name], name
assert queue.Queue is not tress.queue.Queue
assert tress.installed() == {{}}
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=25)


def test_threads_that_import_both_ways_at_once() -> None:
    code = """
import sys, threading, tress
sys.setswitchinterval(1e-6)
tress.install()
start = threading.Barrier(4)
failures = []
def load(name):
    start.wait()
    try:
        __import__(name)
    except BaseException as error:
        failures.append(error)
names = ["concurrent.futures", "tress.concurrent.futures", "queue", "tress.queue"]
threads = [threading.Thread(target=load, args=(name,)) for name in names]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert not failures, failures
import concurrent.futures, queue
assert concurrent.futures.Future is sys.modules["tress.concurrent.futures"].Future
assert queue.Queue is sys.modules["tress.queue"].Queue
"""
    for _ in range(10):
        subprocess.run([sys.executable, "-c", code], check=True, timeout=25)


def test_installing_twice_is_installing_once() -> None:
    library = standard_library()
    tress.install()
    once = standard_library()
    tress.install()
    tress.install("threads")
    assert standard_library() == once
    tress.uninstall()
    assert standard_library() == library


def test_uninstalling_what_is_not_installed_does_nothing() -> None:
    library = standard_library()
    tress.uninstall()
    tress.uninstall("threads")
    assert standard_library() == library


def test_installed_tells_each_replacement() -> None:
    standard_lock = threading.Lock
    assert tress.installed() == {}
    tress.install()
    assert list(tress.installed()) == ["threads", "processes", "coroutines"]
    replacements = tress.installed()["threads"]
    places = [(replacement.module, replacement.name) for replacement in replacements]
    assert places == sorted(places)
    expected = {(module, name) for module, names in OWN.items() for name in names}
    assert expected <= set(places)
    lock = replacements[places.index(("threading", "Lock"))]
    assert lock.standard is standard_lock
    assert lock.tress is ours_in_threading.Lock
    for replacement in replacements:
        assert getattr(sys.modules[replacement.module], replacement.name) is replacement.tress
        assert replacement.standard is not replacement.tress
    tress.uninstall()
    assert tress.installed() == {}


def test_name_of_a_later_python_is_added_and_taken_away() -> None:
    had_it = hasattr(queue, "ShutDown")
    tress.install()
    assert standard_queue.ShutDown is ours_in_queue.ShutDown
    added = [place for place in tress.installed()["threads"] if place.name == "ShutDown"]
    assert [place.standard for place in added] == ([] if had_it else [None])
    tress.uninstall()
    assert hasattr(queue, "ShutDown") == had_it


def test_what_somebody_else_has_set_since_stays() -> None:
    standard_event = standard_threading.Event

    class Patched(threading.Event):
        pass

    tress.install()
    standard_threading.Event = Patched
    try:
        places = [place[:2] for place in tress.installed()["threads"]]
        assert ("threading", "Event") not in places
        assert ("threading", "Condition") in places
        tress.uninstall()
        assert threading.Event is Patched
    finally:
        standard_threading.Event = standard_event


def test_failure_half_way_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    library, classes = standard_library(), classes_and_threads()

    def fail(self: object) -> None:
        raise RuntimeError("half-way")

    with monkeypatch.context() as patch:
        patch.setattr("tress._adopt.ThreadAdoption.begin", fail)
        with pytest.raises(RuntimeError, match="half-way"):
            tress.install()
    assert tress.installed() == {}
    assert standard_library() == library
    assert classes_and_threads() == classes
    tress.install()
    assert standard_threading.Lock is ours_in_threading.Lock


@pytest.mark.parametrize("function", [tress.install, tress.uninstall])
def test_bad_strands(function: Callable[..., None]) -> None:
    library = standard_library()
    with pytest.raises(ValueError, match="'thread' is not a strand; tress has 'threads'"):
        function("thread")
    bad: Any
    for bad in (None, 1, b"threads", ["threads"]):
        with pytest.raises(TypeError, match=f"named by a str, not {type(bad).__name__}"):
            function(bad)
    assert standard_library() == library


def test_many_threads_install_and_uninstall() -> None:
    library, classes = standard_library(), classes_and_threads()
    start = ours_in_threading.Barrier(8)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            start.wait()
            for turn in range(20):
                (tress.install if (number + turn) % 2 else tress.uninstall)()
                tress.installed()
                with threading.Lock():
                    standard_queue.Queue().put(turn)
        except BaseException as error:  # noqa: BLE001  told to the test below
            failures.append(error)

    threads = [ours_in_threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    tress.uninstall()
    assert standard_library() == library
    assert classes_and_threads() == classes


def test_a_class_in_modules_of_two_strands_goes_home() -> None:
    """`multiprocessing.dummy` offers the Queue of `queue`."""
    program = """
    import multiprocessing.dummy, sys, tress, tress.queue
    for first, second in (("threads", "processes"), ("processes", "threads")):
        tress.install("threads")
        tress.install("processes")
        assert tress.queue.Queue.__module__ == "queue"
        tress.uninstall(first)
        tress.uninstall(second)
        assert tress.queue.Queue.__module__ == "tress.queue"
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], timeout=60, check=True)
