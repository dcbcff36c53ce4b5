"""A server of a side under the load of tress-load: the server on one CPU, the load on another."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import generator, usage
from bench.case import Sample

CERTIFICATE = Path(__file__).resolve().parent / "localhost.pem"
CONNECTIONS = 8
# This part of a round comes first, uncounted: the server has been everywhere once.
WARM_UP_PART = 5
# How long a server that is told to end may take, and how long the load waits for an answer.
ENDING_S = 10.0
SILENCE_S = 20.0


def cpus() -> tuple[int, int]:
    """The server's and the generator's; the same where this process may use one only."""
    allowed = os.sched_getaffinity(0)
    return max(allowed), min(allowed)


def measure(server: Sequence[str], request: Sequence[str], requests: int) -> Sample:
    """Start the server, and ask it so many times.

    `server` is its command, `request` the arguments of tress-load that say what is asked, the
    address left out. The usage is the server's. `RuntimeError` when an answer is wrong or missing.
    """
    if not generator.program().is_file():
        raise RuntimeError(f"there is no {generator.program()}: `python -m bench` builds it")
    server_cpu, generator_cpu = cpus()
    with _running(server, server_cpu) as (process, port):
        kind, *options = request
        ask = [kind, f"127.0.0.1:{port}", *options, "--connections", str(CONNECTIONS)]
        ask += ["--cpu", str(generator_cpu), "--timeout", str(SILENCE_S), "--requests"]
        generator.run([*ask, str(max(1, requests // WARM_UP_PART))])
        before = usage.of_process(process.pid)
        report = generator.run([*ask, str(requests)])
        used = usage.of_process(process.pid).since(before)
    return Sample(report["elapsed_ns"], used, report["latency_ns"], report["cpu_ns"])


@contextmanager
def _running(server: Sequence[str], cpu: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The server's process and its port; it ends with its standard input."""
    with subprocess.Popen(
        [*server, "--cpu", str(cpu)],
        cwd=generator.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"{' '.join(server)} ended before it listened")
            yield process, json.loads(line)["port"]
            process.stdin.close()
            process.wait(ENDING_S)
        finally:
            process.kill()  # nothing to one that has ended
