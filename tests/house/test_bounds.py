"""The rules of `tests/conftest.py`: each is broken, in a pytest of its own, and must be noticed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 50.0


def run_pytest(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Run one test file under the rules, as a project of its own."""
    folder.joinpath("test_it.py").write_text(text)
    command = [
        *(sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider"),
        *("--config-file", str(ROOT / "pyproject.toml"), "--rootdir", str(folder)),
        *("--override-ini", f"pythonpath={ROOT}", str(folder)),
    ]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


HANGS = """
import threading
import pytest

def waits_for_ever(lock):
    lock.acquire()

@pytest.mark.bound(0.5)
def test_that_hangs():
    lock = threading.Lock()
    lock.acquire()
    other = threading.Thread(target=waits_for_ever, args=(lock,))
    other.start()
    waits_for_ever(lock)
"""


def test_a_hang_ends_the_run_with_the_stack_of_every_thread(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, HANGS)
    assert done.returncode != 0
    assert "Timeout" in done.stderr
    assert "test_that_hangs" in done.stderr
    assert done.stderr.count("waits_for_ever") == 2


LEAVES_A_THREAD = """
import threading
import pytest
import tests.conftest

tests.conftest.GRACE_S = 0.1
leave = threading.Event()

{mark}
def test_that_leaves_a_thread():
    threading.Thread(target=leave.wait, name="left behind").start()

def test_that_lets_it_go():
    leave.set()
"""


def test_a_thread_left_behind_fails_its_test(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, LEAVES_A_THREAD.format(mark=""))
    assert done.returncode == 1
    assert "left 1 non-daemon thread(s) running" in done.stdout
    assert "left behind" in done.stdout
    assert "2 passed, 1 error" in done.stdout


def test_a_thread_may_be_left_where_the_test_says_so(tmp_path: Path) -> None:
    mark = "@pytest.mark.leaves_threads('shown here')"
    done = run_pytest(tmp_path, LEAVES_A_THREAD.format(mark=mark))
    assert "2 passed" in done.stdout
    assert done.returncode == 0, done.stdout


LEAVES_AN_EXECUTOR = """
from concurrent.futures import ThreadPoolExecutor

def test_that_forgets_an_executor():
    assert ThreadPoolExecutor().submit(int, "7").result() == 7
"""


def test_an_executor_that_nobody_holds_is_no_thread_left_behind(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, LEAVES_AN_EXECUTOR)
    assert done.returncode == 0, done.stdout


LEAVES_TRESS_INSTALLED = """
import tress

def test_that_installs():
    tress.install()

def test_after_it():
    assert not tress.installed()
"""


def test_an_install_left_behind_fails_its_test_and_is_undone(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, LEAVES_TRESS_INSTALLED)
    assert done.returncode == 1
    assert "left tress installed" in done.stdout
    assert "2 passed, 1 error" in done.stdout


RAISES_IN_A_THREAD = """
import threading

def test_with_a_thread_that_raises():
    thread = threading.Thread(target=int, args=("seven",))
    thread.start()
    thread.join()
"""


def test_an_exception_that_a_thread_swallows_fails_the_test(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, RAISES_IN_A_THREAD)
    assert done.returncode == 1
    assert "invalid literal for int()" in done.stdout


@pytest.mark.parametrize("phase", ["setup", "teardown"])
def test_set_up_and_tear_down_are_bounded_too(tmp_path: Path, phase: str) -> None:
    text = f"""
import threading
import pytest

@pytest.fixture
def hanging_fixture():
    lock = threading.Lock()
    lock.acquire()
    if {phase == "setup"}:
        lock.acquire()
    yield
    lock.acquire()

@pytest.mark.bound(0.5)
def test_it(hanging_fixture):
    pass
"""
    done = run_pytest(tmp_path, text)
    assert done.returncode != 0
    assert "hanging_fixture" in done.stderr
