"""What is sent: bytes by which it shows at once if some are missing, doubled or out of order."""

from __future__ import annotations

import random

_LENGTH = 1_048_583
"""A prime, so that pieces of equal size do not look alike."""

_ONCE = random.Random("pattern").randbytes(_LENGTH)
_TWICE = _ONCE * 2

MOST = _LENGTH
"""Bytes that one piece may have."""


def pattern(start: int, count: int) -> bytes:
    """So many bytes of what is sent, from this one on."""
    assert count <= MOST
    at = start % _LENGTH
    return _TWICE[at : at + count]


def is_pattern(start: int, data: bytes | bytearray) -> bool:
    """Whether these are the bytes that are sent from this one on, however many."""
    return all(
        data[at : at + MOST] == pattern(start + at, min(MOST, len(data) - at))
        for at in range(0, len(data), MOST)
    )
