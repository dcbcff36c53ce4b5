"""Processes are started, and end, also where something dies on the way."""

from __future__ import annotations

import errno
import multiprocessing
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing import spawn
from pathlib import Path
from typing import Any

import pytest

import tress.multiprocessing as mp
from tests.processes import jobs
from tests.processes.jobs import BOUND_S
from tress.multiprocessing._fork_server import fork_server

pytestmark = pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")

Start = Callable[..., Any]
LARGE = bytes(1 << 20)
"""More than a pipe holds."""


def ended(process: Any) -> int:
    """The exit code of a process that ends by itself."""
    process.join(BOUND_S)
    assert process.exitcode is not None, "the process does not end"
    code: int = process.exitcode
    return code


def wait_for_end(pid: int) -> None:
    """Wait until a process that need not be a child is gone, or has ended and is not waited for."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    ended = poller.poll(BOUND_S * 1000)
    os.close(pidfd)
    assert ended, f"process {pid} lives on"


def children_of(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


@pytest.fixture
def server() -> Any:
    """A fork server that runs and has a child waiting; returns its process id."""
    process = mp.get_context("forkserver").Process(target=jobs.nothing)
    process.start()
    assert ended(process) == 0
    process.close()
    return fork_server._launched[-1]


@pytest.fixture
def refusing_server() -> Iterator[Any]:
    """A context whose fork server cannot fork two times of three."""
    context = mp.get_context("forkserver")
    forget_server()
    context.set_forkserver_preload(["tests.processes.refusing_fork"])
    yield context
    context.set_forkserver_preload(["__main__"])
    forget_server()


def forget_server() -> None:
    """Let the next start launch a new one."""
    if fork_server._socket is not None:
        fork_server._end()


@pytest.mark.parametrize(
    ("job", "arguments", "code"),
    [
        (jobs.nothing, (), 0),
        (sys.exit, (7,), 7),
        (jobs.kill_itself, (signal.SIGKILL,), -signal.SIGKILL),
        (jobs.kill_itself, (signal.SIGTERM,), -signal.SIGTERM),
        (os._exit, (9,), 9),
    ],
    ids=["return", "sys.exit", "SIGKILL", "SIGTERM", "os._exit"],
)
def test_exit_codes(
    start: Start, job: Callable[..., Any], arguments: tuple[Any, ...], code: int
) -> None:
    process = start(job, *arguments)
    assert ended(process) == code
    assert not process.is_alive()


def test_processes_are_of_the_standard_classes(ctx: Any) -> None:
    process = ctx.Process(target=jobs.nothing)
    assert isinstance(process, multiprocessing.process.BaseProcess)
    standard: Any = multiprocessing.get_context(ctx.get_start_method())
    assert isinstance(process, standard.Process)
    assert mp.get_context().Process is type(mp.get_context().Process())


def test_a_large_argument_arrives(ctx: Any, ask: Start) -> None:
    assert ask(jobs.send_length, LARGE) == len(LARGE)


def test_many_at_once(start: Start) -> None:
    processes = [start(sys.exit, code) for code in range(12)]
    assert [ended(process) for process in processes] == list(range(12))


def test_a_child_starts_a_child(ctx: Any, ask: Start) -> None:
    own, child, grandchild = ask(jobs.send_family, ctx.get_start_method())
    assert own == os.getpid() or ctx.get_start_method() == "forkserver"
    assert grandchild != child
    if ctx.get_start_method() == "forkserver":
        # One server for the whole family.
        assert own == fork_server._launched[-1]


def test_no_descriptor_is_left(ctx: Any) -> None:
    def run() -> None:
        process = ctx.Process(target=jobs.nothing)
        process.start()
        assert ended(process) == 0
        process.close()

    run()
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        run()
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_spawned_process_that_dies_before_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    context = mp.get_context("spawn")
    multiprocessing.resource_tracker.ensure_running()
    executable = spawn.get_executable()
    context.set_executable("/bin/false")
    try:
        process = context.Process(target=jobs.nothing, args=(LARGE,))
        process.start()
    finally:
        context.set_executable(executable)
    assert ended(process) == 1
    process.close()


def test_the_server_is_killed_beside_its_processes(server: int) -> None:
    context = mp.get_context("forkserver")
    ready, told = context.Pipe(duplex=False)
    killed, ends = (context.Process(target=jobs.say_and_wait, args=(told,)) for _ in range(2))
    for process in (killed, ends):
        process.start()
    waiting = set(children_of(server)) - {killed.pid, ends.pid}
    os.kill(server, signal.SIGKILL)
    for pid in (server, *waiting):
        wait_for_end(pid)
    assert killed.is_alive()
    assert ends.is_alive()
    killed.kill()
    assert ended(killed) == 255, "nobody is left who could know"
    process = context.Process(target=sys.exit, args=(3,))
    process.start()
    assert ended(process) == 3
    assert fork_server._launched[-1] != server
    for _ in range(2):
        assert ready.poll(BOUND_S)
    os.kill(ends.pid, signal.SIGUSR1)
    assert ended(ends) == 5


def test_the_child_that_waits_is_killed(server: int) -> None:
    for _ in range(2):
        for child in children_of(server):
            os.kill(child, signal.SIGKILL)
            wait_for_end(child)
        process = mp.get_context("forkserver").Process(target=sys.exit, args=(3,))
        process.start()
        assert ended(process) == 3
    assert fork_server._launched[-1] == server


def test_a_server_that_cannot_fork_says_so_and_lives(refusing_server: Any) -> None:
    def start() -> Any:
        process = refusing_server.Process(target=sys.exit, args=(3,))
        process.start()
        return process

    # The first fork, ahead of any request, fails; so does the third; the fourth is for a request.
    assert ended(start()) == 3
    with pytest.raises(BlockingIOError, match="the fork server cannot fork") as caught:
        start()
    assert caught.value.errno == errno.EAGAIN
    assert ended(start()) == 3


def test_a_server_with_a_client_left_is_let_go_of(server: int) -> None:
    context = mp.get_context("forkserver")
    ready, told = context.Pipe(duplex=False)
    running = context.Process(target=jobs.say_and_wait, args=(told,))
    running.start()
    assert ready.poll(BOUND_S)
    forget_server()
    process = context.Process(target=sys.exit, args=(3,))
    process.start()
    assert ended(process) == 3
    assert fork_server._launched[-1] != server
    os.kill(running.pid, signal.SIGUSR1)
    assert ended(running) == 5
    wait_for_end(server)
    forget_server()
    assert server not in fork_server._launched, "it is reaped"


def test_too_many_descriptors() -> None:
    with pytest.raises(ValueError, match=r"^fds: 300 are too many to send, 248 is the most$"):
        fork_server.start(b"", [0] * 300)


def test_a_forked_process_uses_the_server_of_its_parent(server: int) -> None:
    context = mp.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=jobs.send_family, args=(sender, "forkserver"))
    process.start()
    assert receiver.poll(BOUND_S)
    receiver.recv()
    assert ended(process) == 0
    assert fork_server._launched[-1] == server
    assert children_of(server), "the server lives"


ORPHANS = """
import os, sys
import tress.multiprocessing as mp
from tests.processes import jobs
from tress.multiprocessing._fork_server import fork_server

if __name__ == "__main__":
    process = mp.get_context("forkserver").Process(target=jobs.nothing)
    process.start()
    process.join()
    print(fork_server._launched[-1], flush=True)
    sys.stdin.read()
"""


def test_the_server_ends_with_a_parent_that_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ORPHANS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        server = int(parent.stdout.readline())
        family = [server, *children_of(server)]
        parent.kill()
    for pid in family:
        wait_for_end(pid)


WHERE = """
import os, sys
import tress
{head}
from multiprocessing import get_context
{rest}
imported_in = os.getpid()

def tell():
    print(imported_in == os.getppid(), sorted(tress.installed()))

if __name__ == "__main__":
    process = get_context("forkserver").Process(target=tell)
    process.start()
    process.join()
"""


@pytest.mark.parametrize("is_installed", [False, True], ids=["imported", "installed"])
def test_the_server_imports_the_main_module(is_installed: bool, tmp_path: Path) -> None:
    head = "if __name__ == '__main__': tress.install()" if is_installed else ""
    rest = "" if is_installed else "from tress.multiprocessing import get_context"
    file = tmp_path / "program.py"
    file.write_text(WHERE.format(head=head, rest=rest))
    told = subprocess.run(
        [sys.executable, file], capture_output=True, text=True, timeout=BOUND_S, check=True
    ).stdout
    # Pythons before 3.13.2 do not: there each process imports it for itself.
    once = sys.version_info >= (3, 13, 2)
    assert told == f"{once} {['coroutines', 'processes', 'threads'] if is_installed else []}\n"


OWN = """
import sys
from tress.multiprocessing import get_context

def tell():
    print(*(f"tress.multiprocessing.{name}" in sys.modules for name in ("connection", "queues")))

if __name__ == "__main__":
    import tress.multiprocessing.connection

    process = get_context("forkserver").Process(target=tell)
    process.start()
    process.join()
"""


def test_the_server_has_the_modules_of_tress_that_its_client_has(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(OWN)
    told = subprocess.run(
        [sys.executable, file], capture_output=True, text=True, timeout=BOUND_S, check=True
    ).stdout
    assert told == "True False\n"
