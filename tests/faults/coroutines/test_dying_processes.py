"""A subprocess that dies, or closes its pipes, in the middle of what is said to it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from asyncio.subprocess import PIPE, Process
from typing import Any

import pytest

from tests.faults.coroutines.conftest import Run
from tests.faults.coroutines.turning import quiet

LONG = b"x" * (4 << 20)
"""More than a pipe takes at once."""


async def python(program: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-S", "-c", program), stdin=PIPE, stdout=PIPE, stderr=PIPE
    )


ENDS: dict[str, tuple[str, bytes, bytes, int]] = {
    "before it reads": ("", b"", b"", 0),
    "after a part of it": ("import os; os.read(0, 10); os.write(1, b'part')", b"part", b"", 0),
    "with a status": ("import os; os.read(0, 10); os._exit(7)", b"", b"", 7),
    "killed": (
        "import os, signal; os.write(1, b'out'); os.write(2, b'err'); os.read(0, 9);"
        "os.kill(os.getpid(), signal.SIGKILL)",
        b"out",
        b"err",
        -signal.SIGKILL,
    ),
    "after it has closed its input": (
        "import os; os.close(0); os.write(1, b'y' * 300_000); os.write(2, b'z' * 300_000)",
        b"y" * 300_000,
        b"z" * 300_000,
        0,
    ),
    "after it has closed its outputs": (
        "import sys, os; os.close(1); os.close(2); sys.stdin.buffer.read()",
        b"",
        b"",
        0,
    ),
    "well": ("import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())", LONG, b"", 0),
}


@pytest.mark.parametrize(("program", "out", "err", "code"), ENDS.values(), ids=ENDS)
def test_it_ends(run: Run, program: str, out: bytes, err: bytes, code: int) -> None:
    """`communicate` returns all that it has written, whatever became of what it was sent."""

    async def scene() -> None:
        process = await python(program)
        assert await process.communicate(LONG) == (out, err)
        assert process.returncode == code
        assert await process.wait() == code
        await quiet()

    run(scene())


def test_it_is_killed_by_us(run: Run) -> None:
    """While `communicate` waits, in the middle of a long input and a long output."""

    async def scene() -> None:
        process = await python("import os\nwhile True: os.write(1, os.read(0, 1000) + b'y' * 1000)")
        communicating = asyncio.ensure_future(process.communicate(LONG))
        await asyncio.sleep(0.02)
        assert not communicating.done()
        process.kill()
        out, err = await communicating
        assert set(out) <= {ord("x"), ord("y")}
        assert err == b""
        assert process.returncode == -signal.SIGKILL
        await quiet()

    run(scene())


@pytest.mark.skipif(
    sys.version_info < (3, 12), reason="in the standard library of 3.11, `wait` waits for the pipes"
)
def test_it_leaves_a_child_with_its_pipes(run: Run) -> None:
    """`wait` returns with the process; `communicate` only when the pipes have ended."""

    async def scene() -> None:
        process = await python(
            "import os, sys, time\n"
            "if os.fork(): os._exit(3)\n"
            "os.read(0, 1)\n"
            "os.write(1, b'of the child')\n"
        )
        assert process.stdin
        assert await process.wait() == 3
        reading = asyncio.ensure_future(process.communicate())
        await quiet()
        out, _ = await reading  # its input has ended by now, and the child with it
        assert out == b"of the child"
        await quiet()

    run(scene())


def test_communicate_is_cancelled(run: Run) -> None:
    """The process goes on, and can be ended afterwards."""

    async def scene() -> None:
        process = await python("import os\nwhile os.read(0, 1): pass")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await process.communicate(b"x" * 20_000_000)
        assert process.returncode is None
        process.kill()
        assert await process.wait() == -signal.SIGKILL
        await quiet()

    run(scene())


async def write_for_ever(stdin: asyncio.StreamWriter) -> None:
    while True:
        stdin.write(LONG)
        await stdin.drain()


def test_writing_to_a_dead_one(run: Run) -> None:
    async def scene() -> None:
        process = await python("")
        assert await process.wait() == 0
        assert process.stdin
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            await write_for_ever(process.stdin)
        await quiet()
        # What ends with the process is only given back when its transport is.
        process._transport.close()  # type: ignore[attr-defined]
        await quiet()

    run(scene())


def test_many_that_die_at_once(run: Run) -> None:
    """Each has its own output and its own status."""

    async def one(number: int) -> None:
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", f"echo {number}; kill -{number % 2 * 9} $$; exit {number}"),
            stdout=PIPE,
            stdin=PIPE,
        )
        out, _ = await process.communicate(b"y" * 100_000)
        assert out == f"{number}\n".encode()
        assert process.returncode == (-9 if number % 2 else number)

    async def scene() -> None:
        await asyncio.gather(*(one(number) for number in range(40)))
        await quiet()

    run(scene())


def test_a_program_that_is_not_there(run: Run) -> None:
    async def scene() -> None:
        with pytest.raises(FileNotFoundError):
            await asyncio.create_subprocess_exec("/nowhere/at all", stdin=PIPE, stdout=PIPE)
        process: Any = None
        with contextlib.suppress(NotADirectoryError):
            process = await asyncio.create_subprocess_exec("true", cwd="/dev/null", stdin=PIPE)
        assert process is None
        await quiet()

    run(scene())
