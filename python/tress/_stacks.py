"""Stacks of threads, as far as they are the program's own."""

from __future__ import annotations

import sys
import traceback
import types


def is_ours(frame: types.FrameType) -> bool:
    """Whether the frame runs code of tress."""
    return str(frame.f_globals.get("__name__", "")).startswith("tress.")


def outside(frame: types.FrameType | None) -> types.FrameType | None:
    """The innermost frame that is not tress's own."""
    while frame is not None and is_ours(frame):
        frame = frame.f_back
    return frame


def level_outside() -> int:
    """The `stacklevel` with which the caller's warning points at the program's own line."""
    frame = sys._getframe(1)
    level = 1
    while frame.f_back is not None and is_ours(frame):
        frame = frame.f_back
        level += 1
    return level


def stack_of(frame: types.FrameType | None) -> traceback.StackSummary:
    """The stack of a frame, outermost call first, without tress's own inner frames."""
    if frame is None:
        return traceback.StackSummary()
    own = (entry for entry in traceback.walk_stack(frame) if not is_ours(entry[0]))
    stack = traceback.StackSummary.extract(own)
    stack.reverse()
    return stack
