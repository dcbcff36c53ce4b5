"""Which loops a program has run in, told by a hook and not by the program."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.programs.processes import PLAIN, TRESS, Outcome, run_process

SIDES = {"plain": PLAIN, "tress": TRESS}

LOOPS = {"plain": "_UnixSelectorEventLoop False", "tress": "EventLoop True"}
"""What is told of each side: the class of every loop, and whether it is tress's."""

_LOOPS_THAT_RUN = """
import runpy, sys
from asyncio import events

def note(loop):
    if loop is not None:
        loops.add(f"{type(loop).__name__} {type(loop) is getattr(ours, 'EventLoop', None)}")
    set_running_loop(loop)

loops, ours = set(), sys.modules.get("tress.asyncio")
set_running_loop, events._set_running_loop = events._set_running_loop, note
sys.path[0] = sys.argv[2]
runpy.run_path(sys.argv[1], run_name="__main__")
print(*loops, file=sys.stderr)
"""


def run_and_tell_loops(
    program: Path, side: str, *, cwd: Path, environment: Mapping[str, str] | None = None
) -> Outcome:
    """Run a program, and have it say as its last line of stderr which loops it has run in."""
    command = [*SIDES[side], "-c", _LOOPS_THAT_RUN, str(program), str(program.parent)]
    return run_process(command, cwd=cwd, environment=environment)
