"""`install()` and `multiprocessing`: its names, what was made of them before, and the children."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import tress
from tress import _install

LIMIT_S = 50.0
METHODS = ("fork", "spawn", "forkserver")
MODULES = [name for name in _install._MODULES["processes"] if name.startswith("multiprocessing")]


def run(folder: Path, program: str, *arguments: str, runner: tuple[str, ...] = ()) -> str:
    """Run a program from a file, as a start method that imports the main module needs it."""
    file = folder / "program.py"
    file.write_text(textwrap.dedent(program))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *runner, str(file), *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_own_names_are_replaced_and_put_back() -> None:
    modules = {name: importlib.import_module(name) for name in MODULES}
    ours = {name: importlib.import_module(f"tress.{name}") for name in MODULES}
    spawn = importlib.import_module("multiprocessing.spawn")
    before = {name: dict(vars(module)) for name, module in modules.items()}
    classes = {
        cls: dict(vars(cls))
        for module in modules.values()
        for cls in vars(module).values()
        if isinstance(cls, type) and cls.__module__ == module.__name__
    }
    preparation = spawn.get_preparation_data
    tress.install("processes")
    places = {(place.module, place.name) for place in tress.installed()["processes"]}
    assert {
        ("multiprocessing", "Lock"),
        ("multiprocessing", "Pool"),
        ("multiprocessing", "get_context"),
        ("multiprocessing.context", "BaseContext"),
        ("multiprocessing.context", "SpawnContext"),
        ("multiprocessing.pool", "get_context"),
        ("multiprocessing.synchronize", "Lock"),
        ("multiprocessing.synchronize", "SemLock"),
    } <= places
    for name, module in modules.items():
        for attribute in ours[name].__all__:
            if attribute in vars(ours[name]):
                assert getattr(module, attribute) == getattr(ours[name], attribute), attribute
    tress.uninstall("processes")
    assert {name: dict(vars(module)) for name, module in modules.items()} == before
    assert {cls: dict(vars(cls)) for cls in classes} == classes
    assert spawn.get_preparation_data is preparation


ORDERS = [
    "import multiprocessing; tress.install()",
    "tress.install(); import multiprocessing",
    "tress.install(); import tress.multiprocessing",
    "import tress.multiprocessing; tress.install()",
    "tress.install(); import tress.multiprocessing.synchronize",
    "tress.install(); import multiprocessing.queues",
    "import multiprocessing.pool, multiprocessing.managers; tress.install()",
    "tress.install(); import concurrent.futures.process",
    "tress.install(); import tress.concurrent.futures.process",
    "tress.install(); from concurrent.futures import *",
]


@pytest.mark.parametrize("order", ORDERS)
def test_whatever_is_imported_first(order: str, tmp_path: Path) -> None:
    program = f"""
        import tress
        {order}
        import multiprocessing, multiprocessing.context, multiprocessing.queues
        import tress.multiprocessing, tress.multiprocessing.context
        ours, standard = tress.multiprocessing, multiprocessing
        assert standard.Lock == ours.Lock
        assert standard.context.BaseContext is ours.context.BaseContext
        assert type(standard.get_context("spawn")) is ours.context.SpawnContext
        from multiprocessing import Pool, Queue
        assert (Pool, Queue) == (ours.Pool, ours.Queue)
        tress.uninstall()
        assert standard.Lock != ours.Lock
        assert standard.context.BaseContext is not ours.context.BaseContext
        assert not isinstance(standard.get_context("spawn"), ours.context.BaseContext)
    """
    run(tmp_path, program)


def test_threads_that_import_at_once(tmp_path: Path) -> None:
    program = """
        import sys, threading, tress
        sys.setswitchinterval(1e-6)
        tress.install()
        names = ["multiprocessing.queues", "tress.multiprocessing", "tress.multiprocessing.pool",
                 "multiprocessing.synchronize", "concurrent.futures.process"]
        start = threading.Barrier(len(names))
        failures = []
        def load(name):
            start.wait()
            try:
                __import__(name)
            except BaseException as error:
                failures.append((name, error))
        threads = [threading.Thread(target=load, args=(name,)) for name in names]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert not failures, failures
        import multiprocessing, tress.multiprocessing
        assert multiprocessing.Lock == tress.multiprocessing.Lock
        assert multiprocessing.synchronize.Lock is tress.multiprocessing.synchronize.Lock
    """
    for _ in range(5):
        run(tmp_path, program)


def test_what_was_made_before_keeps_working(tmp_path: Path) -> None:
    program = """
        import multiprocessing, tress
        from multiprocessing import pool, queues, synchronize

        context = multiprocessing.get_context("fork")
        lock = context.Lock()
        OldLock, OldQueue = synchronize.BoundedSemaphore, queues.JoinableQueue
        class MyQueue(queues.JoinableQueue):
            def __init__(self):
                queues.JoinableQueue.__init__(self, 3, ctx=context)
        class MyLock(synchronize.RLock):
            pass
        threads = pool.ThreadPool(2)
        processes = context.Pool(1)

        tress.install()
        with lock:
            assert not lock.acquire(False)
        with OldLock(1, ctx=context):
            pass
        with MyLock(ctx=context) as taken:
            assert taken
        for queue in (OldQueue(ctx=context), MyQueue()):
            queue.put("item")
            assert queue.get(timeout=20) == "item"
            queue.task_done()
            queue.join()
        # Without a context, the default one of this moment.
        with synchronize.Lock(ctx=context), synchronize.Semaphore(1, ctx=context):
            pass
        for old in (threads, processes):
            assert old.map(abs, [-1, -2]) == [1, 2]
            assert old.apply_async(abs, (-3,)).get(20) == 3
            assert list(old.imap_unordered(abs, [-4])) == [4]
            old.close()
            old.join()
    """
    run(tmp_path, program)


TELL = """
    import sys, tress
    {before}
    import multiprocessing
    from multiprocessing import Lock, Process, Queue

    def tell(queue):
        queue.put((sorted(tress.installed()), type(Lock.__self__).__init__.__module__))

    if __name__ == "__main__":
        multiprocessing.set_start_method(sys.argv[1])
        {inside}
        queue = Queue()
        process = Process(target=tell, args=(queue,))
        process.start()
        print(queue.get(timeout=40))
        process.join()
        print(process.exitcode)
"""
IN_PLACE = "tress.multiprocessing.context"
STANDARD = "multiprocessing.context"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("strands", [(), ("threads",), ("processes",), ("coroutines",)], ids=str)
def test_children_have_what_their_parent_has(
    method: str, strands: tuple[str, ...], tmp_path: Path
) -> None:
    # The main module installs nothing when a child imports it.
    program = TELL.format(
        before=f"if __name__ == '__main__': tress.install(*{strands})", inside="pass"
    )
    expected = sorted(strands or ("threads", "processes", "coroutines"))
    home = IN_PLACE if "processes" in expected else STANDARD
    assert run(tmp_path, program, method) == f"({expected}, {home!r})\n0\n"


@pytest.mark.parametrize("method", METHODS)
def test_children_of_the_runner_s_programs(method: str, tmp_path: Path) -> None:
    program = TELL.format(before="", inside="multiprocessing.freeze_support()")
    out = run(tmp_path, program, method, runner=("-m", "tress"))
    assert out == f"(['coroutines', 'processes', 'threads'], {IN_PLACE!r})\n0\n"


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_children_after_uninstall(method: str, tmp_path: Path) -> None:
    program = TELL.format(
        before="if __name__ == '__main__': tress.install()", inside="tress.uninstall()"
    )
    assert run(tmp_path, program, method) == f"([], {STANDARD!r})\n0\n"


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_children_find_tress_where_the_program_found_it(method: str, tmp_path: Path) -> None:
    """On a path that only the program itself has set."""
    file = tmp_path / "program.py"
    location = str(Path(tress.__file__).parents[1])
    program = TELL.format(before="if __name__ == '__main__': tress.install()", inside="pass")
    head = f"import sys; sys.path.append({location!r})\n"
    file.write_text(head + textwrap.dedent(program))
    base = sys._base_executable  # type: ignore[attr-defined]
    done = subprocess.run(
        [base, "-s", "-W", "ignore", str(file), method],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout == f"(['coroutines', 'processes', 'threads'], {IN_PLACE!r})\n0\n"


@pytest.mark.parametrize("method", METHODS)
def test_children_of_children_and_pools(method: str, tmp_path: Path) -> None:
    program = """
        import multiprocessing, sys
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import Manager, Pool, Process, SimpleQueue

        def installed(_=None):
            import tress
            return sorted(tress.installed())

        def grandchild(queue):
            queue.put(installed())

        def child(queue):
            process = Process(target=grandchild, args=(queue,))
            process.start()
            process.join()

        if __name__ == "__main__":
            multiprocessing.set_start_method(sys.argv[1])
            queue = SimpleQueue()
            process = Process(target=child, args=(queue,))
            process.start()
            print(queue.get())
            process.join()
            with Pool(1) as pool:
                print(pool.apply(installed))
            with ProcessPoolExecutor(1) as executor:
                print(executor.submit(installed).result(40))
            with Manager() as manager:
                print(manager.Queue().empty(), manager.dict(a=1)["a"])
    """
    both = "['coroutines', 'processes', 'threads']\n"
    assert run(tmp_path, program, method, runner=("-m", "tress")) == 3 * both + "True 1\n"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_managers_offer_what_the_names_mean(method: str, moment: str, tmp_path: Path) -> None:
    program = """
        import sys
        if sys.argv[2] == "before":
            from multiprocessing.managers import SyncManager
        import multiprocessing, queue, threading, tress

        class Mine(multiprocessing.managers.SyncManager if sys.argv[2] == "before" else object):
            pass

        def types(manager):
            names = ("Queue", "Lock", "Event", "Condition", "Barrier")
            return [manager._registry[name][0] for name in names]

        def now():
            return [queue.Queue, threading.Lock, threading.Event, threading.Condition,
                    threading.Barrier]

        if __name__ == "__main__":
            standard = now()
            tress.install()
            from multiprocessing.managers import SyncManager
            ours = now()
            assert not any(map(lambda one, other: one is other, standard, ours))
            context = multiprocessing.get_context(sys.argv[1])
            with context.Manager() as manager:
                assert types(manager) == ours
                shared = manager.Queue()
                shared.put(1)
                assert shared.get(timeout=40) == 1
                assert manager.Lock().acquire() is True
            if sys.argv[2] == "before":
                Mine.register("Mine", threading.Event)
                assert types(Mine) == ours
            tress.uninstall()
            assert types(SyncManager) == standard
            if sys.argv[2] == "before":
                assert types(Mine) == standard
                assert Mine._registry["Mine"][0] is threading.Event
    """
    assert run(tmp_path, program, method, moment) == ""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_children_are_as_their_parent_is_at_that_moment(method: str, tmp_path: Path) -> None:
    program = """
        import multiprocessing, sys, tress
        from multiprocessing import Lock

        def tell(connection):
            made_by = type(Lock.__self__).__init__.__module__
            connection.send((sorted(tress.installed()), made_by))

        if __name__ == "__main__":
            import tress.multiprocessing
            contexts = [tress.multiprocessing.get_context(sys.argv[1])]
            if sys.argv[1] == "spawn":  # a standard fork server keeps the main module it has
                contexts.append(multiprocessing.get_context(sys.argv[1]))
            for change in (None, tress.install, None, tress.uninstall, tress.install):
                if change is not None:
                    change()
                for one in contexts:
                    receiver, sender = one.Pipe(False)
                    process = one.Process(target=tell, args=(sender,))
                    process.start()
                    sender.close()
                    print(*receiver.recv())
                    process.join()
    """
    without, within = f"[] {STANDARD}\n", f"['coroutines', 'processes', 'threads'] {IN_PLACE}\n"
    expected = (without, within, within, without, within)
    contexts = 2 if method == "spawn" else 1
    assert run(tmp_path, program, method) == "".join(contexts * line for line in expected)


def test_objects_of_standard_classes_still_travel(tmp_path: Path) -> None:
    program = """
        import multiprocessing, pickle, tress
        from multiprocessing import synchronize

        def use(lock, semaphore, sender):
            with lock:
                semaphore.release()
            sender.send(type(lock).__name__)

        if __name__ == "__main__":
            context = multiprocessing.get_context("spawn")
            lock, semaphore = context.Lock(), context.Semaphore(0)
            standard = type(lock)
            tress.install()
            assert synchronize.Lock is not standard
            assert pickle.loads(pickle.dumps(standard)) is standard
            assert pickle.loads(pickle.dumps(synchronize.Lock)) is synchronize.Lock
            receiver, sender = context.Pipe(False)
            process = context.Process(target=use, args=(lock, semaphore, sender))
            process.start()
            sender.close()
            print(receiver.recv())
            process.join()
            print(process.exitcode, semaphore.acquire(timeout=40))
            tress.uninstall()
            assert standard.__qualname__ == "Lock" and synchronize.Lock is standard
    """
    assert run(tmp_path, program) == "Lock\n0 True\n"
