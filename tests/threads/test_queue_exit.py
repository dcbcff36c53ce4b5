"""The interpreter ends while daemon threads are busy in queues that run Python code."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
import threading
from tress.queue import PriorityQueue, Queue

class Item:
    def __init__(self, value):
        self.value = value
    def __lt__(self, other):
        for _ in range(20):
            pass
        return self.value < other.value

class Hooked(Queue):
    def _put(self, item):
        super()._put(item)

def use(q):
    for number in range(10**9):
        q.put(Item(number % 7), timeout=60)
        if number > 20:
            q.get(timeout=60)
        if number > 50:
            running.set()

running = threading.Event()
q = {"compares": PriorityQueue, "has hooks": Hooked, "was opened": Queue}[sys.argv[1]]()
if sys.argv[1] == "was opened":
    q.mutex
for _ in range(20):
    threading.Thread(target=use, args=(q,), daemon=True).start()
running.wait()
"""


@pytest.mark.parametrize("kind", ["compares", "has hooks", "was opened"])
def test_exit_beside_busy_daemon_threads(kind: str) -> None:
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, kind], capture_output=True, timeout=50, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")
