"""`python -m tress` gives a program what `python` gives it, and ends as `python` ends it."""

from __future__ import annotations

import compileall
import os
import pty
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from textwrap import dedent

import pytest

from tests.programs.conftest import Same
from tests.programs.processes import LIMIT_S, TRESS, Outcome, run_process, wait_until_asleep

SHOW_MAIN = """
import sys
main = sys.modules["__main__"]
for name, value in list(vars(main).items()):
    print(name, type(value).__name__, value if isinstance(value, (str, dict)) else "")
print(main.__spec__ and (main.__spec__.name, main.__spec__.origin, main.__spec__.cached))
print(sys.argv, [entry for entry in sys.path if "python" not in entry])
import __main__
print(__main__ is main, __name__)
"""


def write(folder: Path, **sources: str) -> None:
    """Write `name=source` as name.py; a double underscore inside a name stands for a slash."""
    for name, source in sources.items():
        path = folder / (name.replace("_in_", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(source))


# What the program finds


@pytest.mark.parametrize("name", ["program.py", "./program.py", "sub/../program.py", "ABSOLUTE"])
def test_script_finds_the_same_main_module(name: str, tmp_path: Path, same: Same) -> None:
    write(tmp_path, program=SHOW_MAIN, sub_in_empty="")
    path = str(tmp_path / "program.py") if name == "ABSOLUTE" else name
    outcome = same(path, "--help", "-c", "two words", "")
    assert f"['{path}', '--help', '-c', 'two words', '']" in outcome.stdout
    assert outcome.stdout.endswith("True __main__\n")


def test_link_to_a_script_imports_from_where_the_file_lies(tmp_path: Path, same: Same) -> None:
    write(tmp_path, deep_in_program=SHOW_MAIN + "import beside\n", deep_in_beside="print('here')")
    (tmp_path / "link.py").symlink_to("deep/program.py")
    assert same("link.py").stdout.endswith("here\n")


@pytest.mark.parametrize("flags", [("-P",), ("-I",), ("-O",), ("-X", "dev"), ("-W", "error")])
def test_options_of_the_interpreter_keep_their_meaning(
    flags: tuple[str, ...], tmp_path: Path, same: Same
) -> None:
    if flags == ("-I",) and "PYTHONPATH" in os.environ:
        pytest.skip("-I hides the tress that PYTHONPATH names")
    show_flags = "print(sys.flags, __debug__, sys.warnoptions)\n"
    write(tmp_path, program=SHOW_MAIN + show_flags)
    assert same("program.py", flags=flags).code == 0


def test_safe_path_from_the_environment(tmp_path: Path, same: Same) -> None:
    write(tmp_path, program=SHOW_MAIN)
    assert str(tmp_path) not in same(
        "-", stdin=SHOW_MAIN, environment={"PYTHONSAFEPATH": "1"}
    ).stdout.replace(str(tmp_path / "program.py"), "")


def test_command(same: Same) -> None:
    assert "['-c', 'a', '-m']" in same("-c", SHOW_MAIN, "a", "-m").stdout
    assert same("-cprint(1)").stdout == "1\n"


@pytest.mark.parametrize(
    ("text", "is_indented"),
    [
        ("\n    if 1:\n        print('''a\n  \n    b''')\n", True),
        ("  print(repr('''a\n   \n     \n \t\n  b'''))", True),
        ("\tprint(1)\n\tprint(2)\n\n", True),
        ("print(repr('''a\n   \nb'''))", False),
        ("   \n\t\nprint(1)\n   ", False),
    ],
)
def test_command_is_dedented_where_python_does_it(text: str, is_indented: bool, same: Same) -> None:
    outcome = same("-c", text)
    assert (outcome.code == 0) == (not is_indented or sys.version_info >= (3, 14))


@pytest.mark.parametrize("text", ["  print(1)\n\tprint(2)", "  \n  print(1)\n #", "\n", "  "])
def test_command_that_is_oddly_indented(text: str, same: Same) -> None:
    same("-c", text)


@pytest.mark.parametrize("arguments", [(), ("-",), ("-", "x", "-y")])
def test_standard_input(arguments: tuple[str, ...], same: Same) -> None:
    outcome = same(*arguments, stdin=SHOW_MAIN + "print(repr(sys.stdin.read()))\n")
    assert str(list(arguments) or [""]) in outcome.stdout
    assert outcome.stdout.endswith("''\n")


def test_empty_standard_input(same: Same) -> None:
    assert same() == Outcome("", "", 0)


def test_module_and_package(tmp_path: Path, same: Same) -> None:
    write(
        tmp_path,
        module=SHOW_MAIN,
        package_in___init__="print('init', __name__)",
        package_in___main__=SHOW_MAIN + "from . import part\n",
        package_in_part=SHOW_MAIN,
    )
    assert f"['{tmp_path}/module.py', '-x']" in same("-m", "module", "-x").stdout
    assert same("-mmodule").code == 0
    assert same("-m", "package", "-").stdout.startswith("init package\n")
    assert "package.part" in same("-m", "package.part").stdout


def test_module_of_the_standard_library(same: Same) -> None:
    assert same("-m", "json.tool", "--sort-keys", stdin='{"b": 1, "a": 2}').stdout == (
        '{\n    "a": 2,\n    "b": 1\n}\n'
    )


@pytest.mark.parametrize("name", ["nothing", "package", "package.nothing", "json.", ".", "", "a b"])
def test_module_that_cannot_be_run(name: str, tmp_path: Path, same: Same) -> None:
    write(tmp_path, package_in___init__="")
    assert same("-m", name).code != 0


def test_directory(tmp_path: Path, same: Same) -> None:
    write(tmp_path, app_in___main__=SHOW_MAIN + "import beside\n", app_in_beside="print('here')")
    for name in ("app", "./app", str(tmp_path / "app")):
        assert same(name, "x").stdout.endswith("here\n")
    assert same("app", flags=["-P"]).code == 0


def test_zip_file(tmp_path: Path, same: Same) -> None:
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        archive.writestr("__main__.py", SHOW_MAIN + "import beside\n1 / 0\n")
        archive.writestr("beside.py", "print('here')")
    assert "ZeroDivisionError" in same("app.zip", "x").stderr


def test_containers_without_a_main(tmp_path: Path, same: Same) -> None:
    (tmp_path / "empty").mkdir()
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("other.py", "")
    for name in ("empty", "empty.zip"):
        assert "can't find '__main__' module" in same(name).stderr


def test_compiled_file(tmp_path: Path, same: Same) -> None:
    write(tmp_path, program=SHOW_MAIN + "1 / 0\n")
    assert compileall.compile_dir(tmp_path, quiet=1, legacy=True)
    (tmp_path / "program.py").unlink()
    assert "SourcelessFileLoader" in same("program.pyc", "x").stdout
    os.rename(tmp_path / "program.pyc", tmp_path / "program")
    assert "ZeroDivisionError" in same("program").stderr


def test_source_with_a_coding_line(tmp_path: Path, same: Same) -> None:
    (tmp_path / "latin.py").write_bytes("# coding: latin-1\r\nprint('\xe4')\r\n".encode("latin-1"))
    assert same("latin.py").stdout == "\xe4\n"


def test_names_of_main_can_be_pickled(tmp_path: Path, same: Same) -> None:
    write(
        tmp_path,
        program="""
            import inspect, pickle
            class Point:
                def __init__(self, x): self.x = x
            def twice(x): return 2 * x
            data = pickle.dumps((Point(3), twice))
            point, function = pickle.loads(data)
            print(type(point) is Point, point.x, function is twice, data)
            print(inspect.getsource(twice))
        """,
    )
    assert same("program.py").stdout.startswith("True 3 True ")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("arguments", [("program.py",), ("-m", "program")])
def test_multiprocessing(
    method: str, arguments: tuple[str, ...], tmp_path: Path, same: Same
) -> None:
    program = f"""
        import multiprocessing as mp
        class Point:
            def __init__(self, x): self.x = x
        def square(point): return point.x ** 2
        def meet(barrier, queue):
            barrier.wait(30)
            queue.put(1)
        if __name__ == "__main__":
            context = mp.get_context({method!r})
            with context.Pool(2) as pool:
                print(pool.map(square, [Point(x) for x in range(5)]))
            barrier, queue = context.Barrier(3), context.Queue()
            children = [context.Process(target=meet, args=(barrier, queue)) for _ in range(2)]
            for child in children: child.start()
            barrier.wait(30)
            print(queue.get(timeout=30), queue.get(timeout=30))
            for child in children: child.join()
            print([child.exitcode for child in children])
    """
    write(tmp_path, program=program)
    assert same(*arguments, flags=["-W", "ignore"]) == Outcome(
        "[0, 1, 4, 9, 16]\n1 1\n[0, 0]\n", "", 0
    )


def test_process_pool_executor(tmp_path: Path, same: Same) -> None:
    write(
        tmp_path,
        program="""
            from concurrent.futures import ProcessPoolExecutor, as_completed
            if __name__ == "__main__":
                with ProcessPoolExecutor(2) as pool:
                    print(list(pool.map(abs, range(-3, 3))))
                    print(sorted(f.result() for f in as_completed([pool.submit(abs, -7)])))
        """,
    )
    assert same("program.py", flags=["-W", "ignore"]).stdout == "[3, 2, 1, 0, 1, 2]\n[7]\n"


# How it ends


@pytest.mark.parametrize(
    "value",
    [
        "",
        "None",
        "0",
        "3",
        "True",
        "256",
        "-1",
        "2**40",
        "'text'",
        "''",
        "(1, 2)",
        "1.5",
        "KeyError(1)",
    ],
)
def test_system_exit(value: str, tmp_path: Path, same: Same) -> None:
    write(
        tmp_path,
        program=f"""
            import atexit, sys
            atexit.register(print, "atexit")
            print("before")
            sys.exit({value})
        """,
    )
    assert same("program.py").stdout == "before\natexit\n"
    assert same("-m", "program").stdout == "before\natexit\n"


RAISES = """
    def inner():
        raise ValueError("inner")
    def outer():
        try:
            inner()
        except ValueError:
            {}["key"]
    outer()
"""


@pytest.mark.parametrize("arguments", [("program.py",), ("-m", "program"), ("app",), ("-",)])
def test_traceback_starts_at_the_program(
    arguments: tuple[str, ...], tmp_path: Path, same: Same
) -> None:
    write(tmp_path, program=RAISES, app_in___main__=RAISES)
    outcome = same(*arguments, stdin=dedent(RAISES))
    assert outcome.code == 1
    assert outcome.stderr.count("Traceback") == 2
    assert "tress" not in outcome.stderr.replace(str(tmp_path), "")


def test_traceback_of_a_command(same: Same) -> None:
    assert same("-c", dedent(RAISES)).code == 1


@pytest.mark.parametrize(
    "statement",
    [
        "raise ExceptionGroup('g', [ValueError(1), KeyError(2)])",
        "raise BaseException('base')",
        "raise GeneratorExit",
        "raise KeyError('a') from None",
        "raise type('Bad', (Exception,), {'__str__': lambda self: 1 / 0})",
        "exec('a b')",
        "import broken",
        "compile('(', 'name', 'exec')",
        "assert 0, 'why'",
        "error = OSError(2, 'no'); error.add_note('a note'); raise error",
        "import warnings; warnings.warn('careful'); raise Warning",
    ],
)
def test_uncaught_exception(statement: str, tmp_path: Path, same: Same) -> None:
    write(tmp_path, program=statement, broken="x = (")
    assert same("program.py").code == 1
    assert same("-m", "program").code == 1
    assert same("-c", statement).code == 1


@pytest.mark.parametrize(
    "source", ["x = (", "a b", "def f():\n\tx\n        y", "return", "f'{a b}'"]
)
def test_program_that_cannot_be_compiled(source: str, tmp_path: Path, same: Same) -> None:
    (tmp_path / "program.py").write_text(source)
    for arguments in (("program.py",), ("-m", "program"), ("-c", source), ("-",)):
        outcome = same(*arguments, stdin=source)
        assert outcome.code == 1
        assert "Error" in outcome.stderr


HOOKS = {
    "own": "sys.excepthook = lambda *error: show('hook', *error)",
    "raising": "sys.excepthook = lambda *error: 1 / 0",
    "exiting": "sys.excepthook = lambda *error: sys.exit(9)",
    "missing": "del sys.excepthook",
    "none": "sys.excepthook = None",
}


@pytest.mark.parametrize("hook", HOOKS)
def test_excepthook(hook: str, tmp_path: Path, same: Same) -> None:
    write(
        tmp_path,
        program=f"""
            import atexit, sys
            def frames(traceback):
                if traceback is None:
                    return []
                return [traceback.tb_frame.f_code.co_name, *frames(traceback.tb_next)]
            def show(where, kind, error, traceback):
                print(where, kind, repr(error), "__file__" in globals())
                print(frames(traceback), frames(error.__traceback__))
            def last():
                show("atexit", sys.last_type, sys.last_value, sys.last_traceback)
                print(getattr(sys, "excepthook", None) is hook)
            atexit.register(last)
            {HOOKS[hook]}
            hook = getattr(sys, "excepthook", None)
            def fail(): raise LookupError("lost")
            fail()
        """,
    )
    assert "['<module>', 'fail'] ['<module>', 'fail']" in same("program.py").stdout
    assert same("-m", "program").code in (1, 9)


def test_keyboard_interrupt_kills_by_sigint(tmp_path: Path, same: Same) -> None:
    write(
        tmp_path,
        program="""
            import atexit
            atexit.register(print, "atexit")
            def work(): raise KeyboardInterrupt
            work()
        """,
    )
    for arguments in (("program.py",), ("-m", "program"), ("-c", "raise KeyboardInterrupt")):
        outcome = same(*arguments)
        assert outcome.code == -signal.SIGINT
        assert outcome.stderr.endswith("KeyboardInterrupt\n")


@pytest.mark.parametrize(
    "wait",
    [
        "threading.Event().wait()",
        "queue.Queue().get()",
        "queue.SimpleQueue().get()",
        "threading.Semaphore(0).acquire()",
        "signal.pause()",
        "sys.stdin.read()",
    ],
)
def test_ctrl_c_from_outside(wait: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import queue, signal, sys, threading\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"print('ready', flush=True)\n{wait}\n"
    )
    with subprocess.Popen(
        [*TRESS, "program.py"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        wait_until_asleep(process.pid)  # a signal just before a system call does not interrupt it
        process.send_signal(signal.SIGINT)
        try:
            process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        assert process.stderr is not None
        stderr = process.stderr.read()
    assert process.returncode == -signal.SIGINT
    assert stderr.endswith("KeyboardInterrupt\n")
    assert "_runner" not in stderr


def test_threads_outlive_main(tmp_path: Path, same: Same) -> None:
    write(
        tmp_path,
        program="""
            import atexit, sys, threading
            kept = {"some": "value"}
            def show(who):
                print(who, kept, sys.modules["__main__"].kept is kept, "__file__" in globals())
            def late():
                threading.main_thread().join()
                show("thread")
            atexit.register(show, "atexit")
            threading.Thread(target=late).start()
            show("main")
            if len(sys.argv) > 1:
                sys.exit(int(sys.argv[1]))
        """,
    )
    for arguments in ((), ("5",), ("none",)):
        outcome = same("program.py", *arguments)
        # With an argument that is no number main ends with a traceback; the thread goes on.
        assert [line.split()[0] for line in outcome.stdout.splitlines()] == [
            "main",
            "thread",
            "atexit",
        ]


def test_daemon_threads_do_not_hold_up_the_end(tmp_path: Path, same: Same) -> None:
    write(
        tmp_path,
        program="""
            import threading
            threading.Thread(target=threading.Event().wait, daemon=True).start()
            print("end")
        """,
    )
    assert same("program.py") == Outcome("end\n", "", 0)


def test_output_before_a_traceback_comes_first(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("print('first')\n1 / 0\n")
    both_streams = subprocess.run(
        [*TRESS, "program.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
        check=False,
    ).stdout
    assert both_streams.startswith("first\nTraceback")


@pytest.mark.parametrize("stream", [1, 2])
def test_broken_standard_stream(stream: int, tmp_path: Path, same: Same) -> None:
    write(
        tmp_path,
        program=f"""
            import os, sys
            reader, writer = os.pipe()
            os.close(reader)
            os.dup2(writer, {stream})
            print("lost"); print("lost", file=sys.stderr)
        """,
    )
    same("program.py")


def test_asyncio_and_unittest(tmp_path: Path, same: Same) -> None:
    write(
        tmp_path,
        loop="""
            import asyncio, threading
            async def main():
                names = await asyncio.gather(*(asyncio.to_thread(abs, -n) for n in range(4)))
                print(names)
            asyncio.run(main())
        """,
        suite="""
            import unittest
            class Case(unittest.TestCase):
                def test_equal(self): self.assertEqual(1, 2)
            unittest.main(exit=True, verbosity=0)
        """,
    )
    assert same("loop.py") == Outcome("[0, 1, 2, 3]\n", "", 0)
    suite = run_process([*TRESS, "suite.py"], cwd=tmp_path)
    assert suite.code == 1
    assert "AssertionError: 1 != 2" in suite.stderr


# The runner itself


def test_program_runs_on_tress(tmp_path: Path) -> None:
    code = """
import queue, threading, tress.queue, tress.threading
print(threading.Thread is tress.threading.Thread, queue.Queue is tress.queue.Queue)
print(isinstance(threading.main_thread(), threading.Thread))
"""
    outcome = run_process([*TRESS, "-c", code], cwd=tmp_path)
    assert outcome == Outcome("True True\nTrue\n", "", 0)


def test_console_script(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("tress")
    if not script.exists():
        pytest.skip("tress is not installed with its console script")
    write(tmp_path, program=SHOW_MAIN + "raise KeyboardInterrupt\n")
    by_script = run_process([str(script), "program.py", "-x"], cwd=tmp_path)
    by_python = run_process([sys.executable, "program.py", "-x"], cwd=tmp_path)
    assert by_script == by_python
    assert run_process([str(script), "-c", "import sys; sys.exit(7)"], cwd=tmp_path).code == 7


def test_version_and_help(tmp_path: Path) -> None:
    import tress

    outcome = run_process([*TRESS, "--version"], cwd=tmp_path)
    assert re.fullmatch(
        rf"tress {re.escape(tress.__version__)} \(Python 3\.\d+\S*\)\n", outcome.stdout
    )
    assert run_process([*TRESS, "-V"], cwd=tmp_path) == outcome
    outcome = run_process([*TRESS, "--help"], cwd=tmp_path)
    assert outcome.code == 0
    assert outcome.stdout.startswith("usage: ")
    assert run_process([*TRESS, "-h"], cwd=tmp_path) == outcome


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["-c"], "option -c needs code after it"),
        (["-m"], "option -m needs a module after it"),
        (["-q"], "unknown option '-q'"),
        (["--verbose", "program.py"], "unknown option '--verbose'"),
        (["-X", "dev", "program.py"], "unknown option '-X'"),
        (["nowhere.py"], "can't open file"),
        (["--", "nowhere.py"], "can't open file"),
        (["none/such.py"], "can't open file"),
    ],
)
def test_bad_command_line(arguments: list[str], complaint: str, tmp_path: Path) -> None:
    outcome = run_process([*TRESS, *arguments], cwd=tmp_path)
    assert outcome.code == 2
    assert outcome.stderr.startswith(f"tress: {complaint}")
    assert "Traceback" not in outcome.stderr


def test_double_dash_ends_the_options(tmp_path: Path, same: Same) -> None:
    (tmp_path / "-c").write_text("import sys; print(sys.argv)")
    assert same("--", "-c", "--").stdout == "['-c', '--']\n"


def test_terminal_without_a_program_gives_a_session(tmp_path: Path) -> None:
    terminal, side = pty.openpty()
    with subprocess.Popen(
        TRESS, cwd=tmp_path, stdin=side, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        os.close(side)
        os.write(terminal, b"import tress\nprint(list(tress.installed()))\nexit(4)\n")
        stdout, _ = process.communicate(timeout=LIMIT_S)
    os.close(terminal)
    assert b"['threads', 'processes', 'coroutines']" in stdout
    assert process.returncode == 4
