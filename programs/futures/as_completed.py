"""concurrent.futures.as_completed(fs, timeout=None): 任意一个线程完成, 都将返回一次."""

import concurrent.futures
import threading

gates = [threading.Event() for _ in range(4)]


def wait_at_gate(number):
    gates[number].wait()
    return number


with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
    futures = {pool.submit(wait_at_gate, n): n for n in range(4)}
    order = [2, 0, 3, 1]
    gates[order[0]].set()
    seen = []
    for future in concurrent.futures.as_completed(futures, timeout=60):
        seen.append(future.result())
        if len(seen) < len(order):
            gates[order[len(seen)]].set()  # the next one ends only after this one was given out
    print(seen)

    never = threading.Event()
    slow = pool.submit(never.wait)
    quick = pool.submit(int, "7")
    concurrent.futures.wait([quick])
    try:
        for future in concurrent.futures.as_completed([slow, quick], timeout=0.05):
            print(future.result())
    except concurrent.futures.TimeoutError as error:
        print(f"TimeoutError: {error}")
    never.set()
