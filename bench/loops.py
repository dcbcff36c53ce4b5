"""The event loops: what a side offers for cases of coroutines, and how such a case is made.

The two libraries bring their own `asyncio`; uvloop and rloop are loops below the standard one.
Their servers run in processes of their own (`bench/serve.py`), and so does that of tress-load,
which is no Python at all.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import dataclass
from typing import Any

from bench import generator

STD = "std"
TRESS = "tress"
UVLOOP = "uvloop"
RLOOP = "rloop"
EPOLL = "epoll"
RIVALS = (STD, UVLOOP, RLOOP)

# What a case needs: the module, and the loop that is meant.
ASYNCIO = "asyncio"
NEW_EVENT_LOOP = "new_event_loop"

# The servers that are measured, and what has to be installed for them.
PROTOCOL, STREAMS, SOCK, TLS, AIOHTTP, UVICORN = SERVERS = (
    *("protocol", "streams", "sock", "tls"),
    *("aiohttp", "uvicorn"),
)
FRAMEWORKS = {AIOHTTP: ("aiohttp",), UVICORN: ("uvicorn", "httptools")}


@dataclass(frozen=True)
class OnDemand:
    """A module, or a name of one, that is imported by whoever asks for it, and by nobody else."""

    module: str
    name: str | None = None

    def load(self) -> Any:
        module = importlib.import_module(self.module)
        return module if self.name is None else getattr(module, self.name)


def server(kind: str) -> str:
    """The name under which a side offers the command that starts such a server."""
    return f"serve_{kind}"


def offers(side: str) -> dict[str, Any]:
    """What the side has; `ImportError` when it is not installed."""
    if side == EPOLL:
        return {server(PROTOCOL): (str(generator.program()), "serve", "--until-eof")}
    library = "tress.asyncio" if side == TRESS else "asyncio"
    loop = library if side in (STD, TRESS) else side
    if importlib.util.find_spec(loop.partition(".")[0]) is None:
        raise ImportError(f"{side} is not installed")
    return {
        ASYNCIO: OnDemand(library),
        NEW_EVENT_LOOP: OnDemand(loop, NEW_EVENT_LOOP),
        **{
            server(kind): (sys.executable, "-m", "bench.serve", kind, "--side", side)
            for kind in SERVERS
            if _serves(side, kind)
        },
    }


def _serves(side: str, kind: str) -> bool:
    if side == RLOOP and kind == TLS:
        return False  # it has none
    return all(importlib.util.find_spec(name) for name in FRAMEWORKS.get(kind, ()))
