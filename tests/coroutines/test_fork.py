"""A process that forks while its loop runs."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
@pytest.mark.parametrize("how", ["run", "loop"])
def test_fork_in_a_running_loop(how: str, library: ModuleType, tmp_path: Path) -> None:
    """The child has no running loop, and can run another; the parent's goes on."""
    said = tmp_path / "said"

    async def of_child() -> str:
        await asyncio.sleep(0.001)
        return await asyncio.to_thread(str, "fine")

    def child() -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError as error:
            said.write_text(str(error))
        if how == "run":
            result = library.run(of_child())
        else:
            loop = library.SelectorEventLoop()
            result = loop.run_until_complete(of_child())
            loop.close()
        said.write_text(f"{said.read_text()}, {result}")

    async def main() -> int:
        loop: Any = asyncio.get_running_loop()
        read_end, write_end = os.pipe()
        readable = loop.create_future()
        loop.add_reader(read_end, readable.set_result, "readable")
        timer = loop.create_future()
        loop.call_later(0.01, timer.set_result, "due")
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                signal.alarm(60)
                child()
                code = 0
            finally:
                os._exit(code)
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)
        os.write(write_end, b"x")
        assert [await readable, await timer] == ["readable", "due"]
        loop.remove_reader(read_end)
        os.close(read_end)
        os.close(write_end)
        return os.waitstatus_to_exitcode(status)

    assert library.run(main()) == 0
    assert said.read_text() == "no running event loop, fine"
