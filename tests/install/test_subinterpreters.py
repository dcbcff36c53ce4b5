"""In a subinterpreter tress says that it cannot be imported, and the main one is none the worse."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

# The low-level module has two names and two ways, by version; both kinds of interpreter are tried:
# one that shares the lock of the main one, and one that has its own where Python has such.
PROGRAM = """
    import os
    import tress
    import tress.threading

    code = '''
    import os
    try:
        import tress
    except ImportError as error:
        os.write(1, str(error).encode() + b"\\\\n")
    else:
        os.write(1, b"imported\\\\n")
    import threading
    event = threading.Event()
    event.set()
    assert event.wait(0)
    '''

    import textwrap
    code = textwrap.dedent(code)
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters
        for isolated in (False, True):
            number = interpreters.create(isolated=isolated)
            interpreters.run_string(number, code)
            interpreters.destroy(number)
    else:
        for kind in ("legacy", "isolated"):
            number = interpreters.create(kind)
            failure = interpreters.exec(number, code)
            assert failure is None, failure
            interpreters.destroy(number)

    event = tress.threading.Event()
    event.set()
    assert event.wait(0)
    print("the main one works")
"""


@pytest.mark.bound(60)
@pytest.mark.parametrize("installed", [False, True])
def test_a_subinterpreter_is_refused(installed: bool) -> None:
    program = textwrap.dedent(PROGRAM)
    if installed:
        program = "import tress\ntress.install()\n" + program
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    refusal = "tress cannot be imported in a subinterpreter, only in the main one"
    assert done.stderr == ""
    assert done.stdout.splitlines() == [refusal, refusal, "the main one works"]
    assert done.returncode == 0
