"""The runner: `python -m tress program.py` and the console script `tress`.

It puts tress in place of the standard classes, then runs a program the way the interpreter runs it:

* The program's code is executed in a fresh `sys.modules["__main__"]` that the runner neither
  restores nor clears. Threads that outlive the main thread, atexit functions and pickle find there
  what they find under `python program.py`.
* The end is the interpreter's own. SystemExit, KeyboardInterrupt and every other exception travel
  out of the runner untouched, so exit codes, death by SIGINT, waiting for threads and atexit are
  not imitated. Only `sys.excepthook` is stood in for, once, to take the runner's frames off the
  traceback.
* Modules, directories and zip files go through the `runpy` function that the interpreter itself
  calls.

What differs from `python program.py`: below the program's first frame lie the runner's, so a
program that walks its own stack to the bottom sees them, and `sys.orig_argv` names tress.
"""

from __future__ import annotations

import builtins
import os
import sys
from importlib.machinery import BuiltinImporter, SourceFileLoader, SourcelessFileLoader
from importlib.util import MAGIC_NUMBER
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import CodeType, TracebackType
    from typing import Any, NoReturn

USAGE = """\
usage: python [interpreter options] -m tress PROGRAM [argument ...]
       tress PROGRAM [argument ...]

Runs a Python program with tress's classes in place of the standard ones.

PROGRAM is one of
  file.py       a script; also a .pyc file, or a directory or zip file with a __main__.py
  -m module     a module or package
  -c code       code given as text
  -             code read from standard input, as is giving nothing at all

  -h, --help    show this text
  -V, --version show the versions of tress and of Python

Everything after PROGRAM is the program's own. Options of the interpreter go before -m:
python -X dev -m tress program.py
"""

_USAGE_ERROR = 2
_MISSING = object()
_HINT = "Try 'python -m tress --help'."


class _Request:
    """What the command line asks for."""

    __slots__ = ("arguments", "run", "value")

    def __init__(
        self, run: Callable[[str, list[str]], None], value: str, arguments: list[str]
    ) -> None:
        self.run = run
        self.value = value
        self.arguments = arguments


def main() -> None:
    """Run the program that `sys.argv` names. Returns, or raises, as the program does."""
    request = _parse(sys.argv[1:])
    _drop_own_path_entry()
    from tress._install import install

    install()
    _replace_main_module()
    request.run(request.value, request.arguments)


def _parse(arguments: Sequence[str]) -> _Request:
    rest = list(arguments)
    first = rest[0] if rest else ""
    if first in ("-h", "--help"):
        sys.stdout.write(USAGE)
        raise SystemExit(0)
    if first in ("-V", "--version"):
        from tress import __version__

        python = sys.version.partition(" ")[0]
        print(f"tress {__version__} (Python {python})")
        raise SystemExit(0)
    for option, run, what in (
        ("-c", _run_command, "code"),
        ("-m", _run_module, "a module"),
    ):
        if first.startswith(option):
            glued = first[len(option) :]
            if glued:
                return _Request(run, glued, rest[1:])
            if len(rest) < 2:
                _refuse(f"option {option} needs {what} after it")
            return _Request(run, rest[1], rest[2:])
    if first == "--":
        rest = rest[1:]
    elif first.startswith("-") and first != "-":
        _refuse(f"unknown option {first!r}; options of the interpreter go before -m tress")
    if not rest or rest[0] == "-":
        return _Request(_run_stdin, rest[0] if rest else "", rest[1:])
    return _Request(_run_path, rest[0], rest[1:])


def _refuse(message: str, code: int = _USAGE_ERROR, hint: str = _HINT) -> NoReturn:
    print(f"tress: {message}", *([hint] if hint else []), sep="\n", file=sys.stderr)
    raise SystemExit(code)


def _drop_own_path_entry() -> None:
    """Take back the first entry of `sys.path` that the interpreter added for the runner itself."""
    if sys.flags.safe_path:
        return
    own = {"", os.path.dirname(os.path.realpath(sys.argv[0]))}
    try:
        own.add(os.getcwd())
    except OSError:
        pass  # a directory that is gone was not added either
    if sys.path and sys.path[0] in own:
        del sys.path[0]


def _replace_main_module() -> None:
    """Put a `__main__` in place that looks as it does before the interpreter runs a program."""
    module = ModuleType("__main__")
    namespace = vars(module)
    namespace["__loader__"] = BuiltinImporter
    if sys.version_info < (3, 14):
        namespace["__annotations__"] = {}
    namespace["__builtins__"] = builtins
    sys.modules["__main__"] = module


def _set_arguments(name: str, arguments: list[str], path_entry: str | None) -> None:
    sys.argv[:] = [name, *arguments]
    if path_entry is not None:
        sys.path.insert(0, path_entry)


def _unless_safe_path(entry: str) -> str | None:
    return None if sys.flags.safe_path else entry


# The kinds of program


def _run_path(path: str, arguments: list[str]) -> None:
    try:
        filename = os.path.join(os.getcwd(), path)
    except OSError:
        filename = path
    if _has_importer(filename):
        _set_arguments(path, arguments, filename)
        _execute_module("__main__", alter_argv=False)
        return
    try:
        with open(filename, "rb") as file:
            source = file.read()
    except OSError as error:
        _refuse(
            f"can't open file {filename!r}: [Errno {error.errno}] {error.strerror}",
            hint="",
        )
    _set_arguments(path, arguments, _unless_safe_path(_directory_of(path)))
    if filename.endswith(".pyc") or source.startswith(MAGIC_NUMBER):
        bytecode_loader = SourcelessFileLoader("__main__", filename)
        _execute(lambda: _code_of(bytecode_loader), filename, bytecode_loader)
    else:
        _execute(
            lambda: compile(source, filename, "exec", dont_inherit=True),
            filename,
            SourceFileLoader("__main__", filename),
        )


def _run_module(name: str, arguments: list[str]) -> None:
    try:
        entry = _unless_safe_path(os.getcwd())
    except OSError:
        entry = None
    _set_arguments("-m", arguments, entry)
    _execute_module(name, alter_argv=True)


def _run_command(text: str, arguments: list[str]) -> None:
    _set_arguments("-c", arguments, _unless_safe_path(""))
    if sys.version_info >= (3, 14):
        text = _dedented(text)
    text += "\n"

    def prepare() -> CodeType:
        code = compile(text, "<string>", "exec", dont_inherit=True)
        _register_source(code, text)
        return code

    _execute(prepare, None, None)


def _run_stdin(name: str, arguments: list[str]) -> None:
    _set_arguments(name, arguments, _unless_safe_path(""))
    if sys.stdin is None:
        source = b""
    elif sys.stdin.isatty():
        _converse()
        return
    else:
        try:
            source = sys.stdin.buffer.read()
        except OSError as error:
            _refuse(f"can't read standard input: {error.strerror}", code=1, hint="")
    _execute(lambda: compile(source, "<stdin>", "exec", dont_inherit=True), "<stdin>", None)


def _converse() -> None:
    """Hold an interactive session in `__main__`, for a terminal and no program."""
    from code import InteractiveConsole

    try:
        import readline  # noqa: F401  importing it gives input() its line editing
    except ImportError:
        pass
    InteractiveConsole(vars(sys.modules["__main__"]), "<stdin>").interact(exitmsg="")


def _has_importer(filename: str) -> bool:
    """Tell whether modules can be imported from `filename`: a directory, a zip file."""
    for hook in sys.path_hooks:
        try:
            hook(filename)
        except ImportError:
            continue
        return True
    return False


def _directory_of(script: str) -> str:
    """The entry of `sys.path` for a script: where the file itself lies, not a link to it."""
    real = os.path.realpath(script)
    return os.path.dirname(real if os.path.exists(real) else script)


def _code_of(loader: SourcelessFileLoader) -> CodeType:
    code = loader.get_code("__main__")
    if code is None:
        raise ImportError(f"no code in {loader.path!r}", name="__main__", path=loader.path)
    return code


def _dedented(text: str) -> str:
    """Take the indentation that all lines share off `-c` code, as the interpreter does.

    Not `textwrap.dedent`: where there is nothing to take off, the interpreter changes nothing.
    """
    lines = text.split("\n")
    indents = [line[: len(line) - len(line.lstrip(" \t"))] for line in lines if line.strip(" \t")]
    shared = len(os.path.commonprefix(indents))  # noqa: RUF071  these are no paths
    if shared == 0:
        return text
    return "\n".join(line[shared:] if line.strip(" \t") else "" for line in lines)


def _register_source(code: CodeType, text: str) -> None:
    """Let tracebacks show the lines of `-c` code, as the interpreter does from 3.13 on."""
    if sys.version_info < (3, 13):
        return
    import linecache

    register = getattr(linecache, "_register_code", None)
    if register is not None:
        # 3.13.0 files the text under the name, later releases under the code object.
        by_code = hasattr(linecache, "_interactive_cache")
        register(code if by_code else code.co_filename, text, code.co_filename)


# Execution and its end


def _execute(
    prepare: Callable[[], CodeType],
    filename: str | None,
    loader: SourceFileLoader | SourcelessFileLoader | None,
) -> None:
    """Execute what `prepare` returns in `__main__`; its errors count as the program's."""
    namespace = vars(sys.modules["__main__"])
    if loader is not None:
        namespace["__loader__"] = loader
    if filename is not None:
        namespace["__file__"] = filename
        if sys.version_info < (3, 15):
            namespace["__cached__"] = None

    def forget_file() -> None:
        if filename is not None:
            namespace.pop("__file__", None)
            namespace.pop("__cached__", None)

    try:
        code = prepare()
    except BaseException as error:
        _Farewell(error, None, forget_file)
        raise
    try:
        exec(code, namespace)  # noqa: S102  running programs is what a runner is for
    except BaseException as error:
        _flush_standard_streams()
        _Farewell(error, _without_first(error.__traceback__), forget_file)
        raise
    _flush_standard_streams()
    forget_file()


def _execute_module(name: str, *, alter_argv: bool) -> None:
    import runpy

    try:
        runpy._run_module_as_main(name, alter_argv)  # type: ignore[attr-defined]
    except BaseException as error:
        _Farewell(error, _without_first(error.__traceback__), _nothing)
        raise


class _Farewell:
    """Stands in for `sys.excepthook` once, for the exception that ends the program.

    The exception travels on through the runner's frames to the interpreter, which then calls this
    object. It puts the traceback back to where the program ended, and the hook back to the
    program's.
    """

    __slots__ = ("afterwards", "hook", "traceback")

    def __init__(
        self,
        error: BaseException,
        traceback: TracebackType | None,
        afterwards: Callable[[], None],
    ) -> None:
        self.traceback = traceback
        self.hook: Any = getattr(sys, "excepthook", _MISSING)
        self.afterwards = afterwards
        if sys.version_info >= (
            3,
            14,
        ):  # there the interpreter forgets __file__ before the hook
            afterwards()
            self.afterwards = _nothing
        if not isinstance(error, SystemExit):  # the interpreter calls no hook for SystemExit
            sys.excepthook = self

    def __call__(
        self,
        kind: type[BaseException],
        error: BaseException,
        _: TracebackType | None,
        /,
    ) -> None:
        error.__traceback__ = self.traceback
        sys.last_traceback = self.traceback
        if self.hook is _MISSING:
            del sys.excepthook
            sys.stderr.write("sys.excepthook is missing\n")
            sys.__excepthook__(kind, error, self.traceback)
        else:
            sys.excepthook = self.hook
            self._call_hook(kind, error)
        self.afterwards()

    def _call_hook(self, kind: type[BaseException], error: BaseException) -> None:
        try:
            self.hook(kind, error, self.traceback)
        except SystemExit:
            raise
        except BaseException as second:  # noqa: BLE001  reported, as the interpreter does
            second.__traceback__ = _without_first(second.__traceback__)
            sys.stderr.write("Error in sys.excepthook:\n")
            sys.__excepthook__(type(second), second, second.__traceback__)
            sys.stderr.write("\nOriginal exception was:\n")
            sys.__excepthook__(kind, error, self.traceback)


def _without_first(traceback: TracebackType | None) -> TracebackType | None:
    return traceback.tb_next if traceback is not None else None


def _flush_standard_streams() -> None:
    """Do what the interpreter does between the end of a program and its traceback."""
    for stream in (sys.stderr, sys.stdout):
        try:
            stream.flush()
        except Exception:  # noqa: BLE001  as there; a broken stream shows when it is closed
            pass


def _nothing() -> None:
    pass
