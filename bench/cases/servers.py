"""Servers under load: eight connections, one request under way on each, the generator compiled."""

from __future__ import annotations

from collections.abc import Sequence

from bench import load, loops
from bench.case import Case, Runner, Sample
from bench.loops import AIOHTTP, EPOLL, PROTOCOL, RIVALS, SOCK, STREAMS, TLS, UVICORN
from bench.serve import BODY
from bench.sides import Side

SIZES = (1, 10, 100)

# What is measured, how it is called, messages a round of 1, 10 and 100 KiB, and the target.
_ECHO: tuple[tuple[str, str, tuple[int, int, int], float], ...] = (
    (PROTOCOL, "protocol", (40_000, 30_000, 8_000), 1.05),
    (STREAMS, "streams", (25_000, 20_000, 6_000), 1.3),
    (SOCK, "sock_*", (25_000, 20_000, 6_000), 1.1),
    (TLS, "TLS", (20_000, 10_000, 2_000), 1.3),
)
_HTTP: tuple[tuple[str, int], ...] = ((AIOHTTP, 8_000), (UVICORN, 15_000))
_FLOOR_TARGET = 0.95


def _case(
    name: str, title: str, kind: str, request: Sequence[str], operations: int, target: float
) -> Case:
    return Case(
        name=name,
        title=title,
        run=_runner(kind, request),
        operations=operations,
        needs=(loops.server(kind),),
        target=target,
        rivals=RIVALS,
        floor=EPOLL if kind == PROTOCOL else None,
        floor_target=_FLOOR_TARGET if kind == PROTOCOL else None,
        fresh_process=True,
        warm_up=False,  # each server gets its own
        placed=True,
    )


def _runner(kind: str, request: Sequence[str]) -> Runner:
    def run(side: Side, operations: int) -> Sample:
        return load.measure(getattr(side, loops.server(kind)), request, operations)

    return run


def _message(kind: str, kib: int) -> list[str]:
    size = ["echo", "--size", str(kib << 10)]
    return [*size, "--tls", str(load.CERTIFICATE)] if kind == TLS else size


CASES = (
    *(
        _case(
            f"echo_{kind}_{kib}k",
            f"echo of {kib} KiB, {called}",
            kind,
            _message(kind, kib),
            operations,
            target,
        )
        for kind, called, counts, target in _ECHO
        for kib, operations in zip(SIZES, counts, strict=True)
    ),
    *(
        _case(
            f"http_{kind}",
            f"GET from {kind}",
            kind,
            ["http", "--length", str(len(BODY))],
            operations,
            1.1,
        )
        for kind, operations in _HTTP
    ),
)
