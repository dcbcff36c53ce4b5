"""Stacks of tasks: the frames of what a task awaits."""

from __future__ import annotations

import sys
import traceback
from asyncio import Task
from types import FrameType
from typing import Any

from tress import _native
from tress._stacks import is_ours, outside

_FRAMES = ("cr_frame", "gi_frame", "ag_frame")


def frame_of(coroutine: Any) -> FrameType | None:
    """The frame of a coroutine, generator or asynchronous generator; None of anything else, and at
    the end.
    """
    for name in _FRAMES:
        frame: FrameType | None = getattr(coroutine, name, None)
        if frame is not None:
            return frame
    return None


def awaited_by(task: Task[Any]) -> list[Any]:
    """The coroutine of a task, what it awaits, and so on to the last, which is usually a future."""
    chain: list[Any] = _native.awaited_by(task.get_coro())
    return chain


def frames_of(chain: list[Any]) -> list[FrameType]:
    """The frames of what `awaited_by` returns, outermost first, without tress's own."""
    frames = (frame_of(coroutine) for coroutine in chain)
    return [frame for frame in frames if frame is not None and not is_ours(frame)]


def frames_of_running(task: Task[Any]) -> list[FrameType]:
    """The frames of the task that calls this, outermost first."""
    first = frame_of(task.get_coro())
    frame = outside(sys._getframe())
    frames = []
    while frame is not None:
        frames.append(frame)
        if frame is first:
            return frames[::-1]
        frame = frame.f_back
    return []


def summary_of(frames: list[FrameType]) -> traceback.StackSummary:
    """Where each of the frames is."""
    return traceback.StackSummary.extract((frame, frame.f_lineno) for frame in frames)
