"""concurrent.futures.wait(fs, timeout=None, return_when=ALL_COMPLETED) with each return_when."""

import threading
from concurrent.futures import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    ThreadPoolExecutor,
    wait,
)


def names(futures):
    return sorted(name for name, future in tasks.items() if future in futures)


def wait_then(gate, outcome):
    gate.wait()
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


with ThreadPoolExecutor(max_workers=3) as pool:
    gates = {name: threading.Event() for name in ("a", "b", "c")}
    tasks = {
        "a": pool.submit(wait_then, gates["a"], 1),
        "b": pool.submit(wait_then, gates["b"], ValueError("b went wrong")),
        "c": pool.submit(wait_then, gates["c"], 3),
    }
    futures = list(tasks.values())

    done, not_done = wait(futures, timeout=0.01)
    print("timeout        ", names(done), names(not_done))
    gates["a"].set()
    done, not_done = wait(futures, return_when=FIRST_COMPLETED)
    print("FIRST_COMPLETED", names(done), names(not_done))
    gates["b"].set()
    done, not_done = wait(futures, return_when=FIRST_EXCEPTION)
    print("FIRST_EXCEPTION", names(done), names(not_done))
    gates["c"].set()
    done, not_done = wait(futures, return_when=ALL_COMPLETED)
    print("ALL_COMPLETED  ", names(done), names(not_done))
    print(repr(tasks["b"].exception()), tasks["a"].result(), tasks["c"].result())
