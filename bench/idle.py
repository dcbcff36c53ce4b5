"""What a pool costs that has nothing to do: `python -m bench.idle` prints a Markdown table.

A process for each side and start method, with a pool of two workers that have worked. Processor
time is that of the owner and its workers, in nanoseconds of the scheduler; memory is a worker's.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean
from typing import TypedDict

from bench import sides, work
from bench.run import ROOT

WORKERS = 2
METHODS = ("fork", "spawn", "forkserver")
SETTLING_S = 1.0
GRACE_S = 60.0


class Idle(TypedDict):
    """One idle pool."""

    cpu: float
    """Of one CPU, in percent."""
    pss: float
    """Bytes a worker; what processes share is divided among them."""
    uss: float
    """Bytes a worker that are its own."""


def measure(side_name: str, method: str, seconds: float) -> Idle:
    """Start a pool in this process, have it work, and look at it for so many seconds."""
    side = sides.load(side_name)
    context = side.multiprocessing.get_context(method)
    with context.Pool(WORKERS) as pool:
        workers: set[int] = set()
        while len(workers) < WORKERS:
            workers |= set(pool.map(work.pid, range(64), chunksize=1))
        time.sleep(min(SETTLING_S, seconds))
        processes = ["self", *map(str, workers)]
        before, start = sum(map(_cpu_ns, processes)), time.perf_counter_ns()
        time.sleep(seconds)
        used, took = sum(map(_cpu_ns, processes)) - before, time.perf_counter_ns() - start
        memory = [_rollup(str(worker)) for worker in workers]
    return Idle(
        cpu=100 * used / took,
        pss=mean(one["Pss"] for one in memory),
        uss=mean(one["Private_Clean"] + one["Private_Dirty"] for one in memory),
    )


def _cpu_ns(process: str) -> int:
    threads = Path("/proc", process, "task").iterdir()
    return sum(int((one / "schedstat").read_text("ascii").split()[0]) for one in threads)


def _rollup(process: str) -> dict[str, int]:
    lines = Path("/proc", process, "smaps_rollup").read_text("ascii").splitlines()[1:]
    return {name.rstrip(":"): int(size) * 1024 for name, size, *_ in map(str.split, lines)}


def _elsewhere(side: str, method: str, seconds: float) -> Idle:
    one = [*(sys.executable, "-m", "bench.idle", "--one", side, method), "--seconds", str(seconds)]
    done = subprocess.run(
        one, check=True, cwd=ROOT, stdout=subprocess.PIPE, timeout=seconds + GRACE_S
    )
    found: Idle = json.loads(done.stdout)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.idle", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="(default %(default)s)")
    parser.add_argument("--one", nargs=2, metavar=("SIDE", "METHOD"), help="as JSON")
    parsed = parser.parse_args(arguments)
    if parsed.one is not None:
        side, method = parsed.one
        print(json.dumps(measure(side, method, parsed.seconds)))
        return 0
    print("| start method | side | idle pool, of a CPU | a worker's PSS | its own (USS) |")
    print("| --- | --- | --: | --: | --: |")
    for method in METHODS:
        for side in (sides.STD, sides.TRESS):
            one = _elsewhere(side, method, parsed.seconds)
            sizes = " | ".join(f"{size / 2**20:.1f} MiB" for size in (one["pss"], one["uss"]))
            print(f"| {method} | {side} | {one['cpu']:.3f} % | {sizes} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
