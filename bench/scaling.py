"""How processes scale: `python -m bench.scaling --json scaling.json --svg scaling.svg`.

Calls a second of an executor with 1 to 64 workers, and bytes a second of payloads from 1 KiB to
1 GiB: as the argument of a call, through a Queue, and through a Pipe. Each figure is the best of a
few, of a process of its own; the sides take turns.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns
from typing import Any, TypedDict

from bench import crew, sides, work
from bench.run import ROOT
from bench.scaling_plot import svg

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
WORKERS = (1, 2, 4, 8, 16, 32, 64)
SIZES = (KIB, 8 * KIB, 64 * KIB, 512 * KIB, 4 * MIB, 32 * MIB, 256 * MIB, GIB)
CALLS = 8000
# So many bytes are sent in one go, but no more than so many payloads.
GO = 512 * MIB
MOST = 4000
BEST_OF = 3
LIMIT_S = 120.0
# A payload is in memory as often as that on the dearest side.
COPIES = 6


class Point(TypedDict):
    """One figure."""

    what: str
    side: str
    at: int
    """Workers, or bytes."""
    a_second: float | None
    """Calls, or bytes; None where it was not measured."""
    why: str
    """Why it was not."""


def _calls(side: sides.Side, workers: int) -> float:
    with side.ProcessPoolExecutor(workers) as executor:
        list(executor.map(work.task, range(CALLS // 4)))  # all workers are there
        best = _best(lambda: list(executor.map(work.task, range(CALLS))))
    return CALLS * 1e9 / best


def _argument(side: sides.Side, size: int) -> float:
    data, count = _payload(size)
    with side.ProcessPoolExecutor(1) as executor:

        def go() -> None:
            for _ in range(count):
                executor.submit(work.length, data).result()

        go()
        return count * size * 1e9 / _best(go)


def _queue(side: sides.Side, size: int) -> float:
    data, count = _payload(size)
    context = side.multiprocessing.get_context()
    queue = context.Queue()

    def once() -> int:
        with crew.processes(context, 1, work.put_each, queue, data, count) as go:
            start = perf_counter_ns()
            go()
            for _ in range(count):
                queue.get()
            return perf_counter_ns() - start

    return count * size * 1e9 / min(once() for _ in range(BEST_OF))


def _pipe(side: sides.Side, size: int) -> float:
    data, count = _payload(size)
    context = side.multiprocessing.get_context()
    ours, theirs = context.Pipe()
    process = context.Process(target=work.echo_bytes, args=(theirs,), daemon=True)
    process.start()

    def go() -> None:
        for _ in range(count):
            ours.send_bytes(data)
            ours.recv_bytes()

    go()
    best = _best(go)
    process.kill()
    process.join()
    return 2 * count * size * 1e9 / best


KINDS: dict[str, Callable[[sides.Side, int], float]] = {
    "calls": _calls,
    "argument": _argument,
    "queue": _queue,
    "pipe": _pipe,
}


def _payload(size: int) -> tuple[bytes, int]:
    return bytes(size), max(min(GO // size, MOST), 1)


def _best(go: Callable[[], Any]) -> int:
    times = []
    for _ in range(BEST_OF):
        start = perf_counter_ns()
        go()
        times.append(perf_counter_ns() - start)
    return min(times)


def _available() -> int:
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text("ascii").splitlines())
    return int(lines["MemAvailable"].split()[0]) * KIB


def _elsewhere(what: str, side: str, at: int) -> Point:
    point = Point(what=what, side=side, at=at, a_second=None, why="")
    if what != "calls" and at * COPIES > _available():
        point["why"] = f"{at} bytes: there is not enough memory"
        return point
    command = [sys.executable, "-W", "ignore", "-m", "bench.scaling", "--one", what, side, str(at)]
    try:
        done = subprocess.run(
            command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=LIMIT_S
        )
    except subprocess.TimeoutExpired:
        point["why"] = f"more than {LIMIT_S:g} s"
    except subprocess.CalledProcessError as error:
        point["why"] = (error.stderr.strip().splitlines() or ["it failed"])[-1]
    else:
        point["a_second"] = json.loads(done.stdout)
    return point


def main(arguments: list[str] | None = None) -> int:
    """Measure, print and plot."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__)
    parser.add_argument("--what", action="append", choices=KINDS, help="may repeat; default: all")
    parser.add_argument("--sides", default="std,tress,loky", help="(default %(default)s)")
    parser.add_argument("--most", type=int, help="leave out more workers or bytes than that")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--svg", type=Path, help="write the plot there")
    parser.add_argument("--one", nargs=3, metavar=("WHAT", "SIDE", "AT"), help="print one figure")
    parsed = parser.parse_args(arguments)
    if parsed.one is not None:
        what, side, at = parsed.one
        print(json.dumps(KINDS[what](sides.load(side), int(at))))
        return 0
    points: list[Point] = []
    for what in parsed.what or KINDS:
        for at in WORKERS if what == "calls" else SIZES:
            if parsed.most is not None and at > parsed.most:
                continue
            for side in parsed.sides.split(","):
                if side not in (sides.STD, sides.TRESS) and what not in ("calls", "argument"):
                    continue
                points.append(_elsewhere(what, side, at))
                print(_line(points[-1]), flush=True)
    if parsed.json is not None:
        parsed.json.write_text(json.dumps(points, indent=1) + "\n")
    if parsed.svg is not None:
        parsed.svg.write_text(svg([dict(point) for point in points]))
    return 0 if all(point["a_second"] is not None for point in points) else 1


def _line(point: Point) -> str:
    unit = "workers" if point["what"] == "calls" else "bytes"
    head = f"{point['what']:8} {point['at']:>10} {unit:7} {point['side']:6}"
    if point["a_second"] is None:
        return f"{head} - {point['why']}"
    if point["what"] == "calls":
        return f"{head} {point['a_second']:>10.0f} calls/s"
    return f"{head} {point['a_second'] / MIB:>10.1f} MiB/s"


if __name__ == "__main__":
    sys.exit(main())
