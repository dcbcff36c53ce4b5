"""shutdown(wait=True), and what cancel_futures adds: tasks that have not begun are given up."""

import concurrent.futures
import threading

started, go_on = threading.Event(), threading.Event()


def work():
    started.set()
    go_on.wait()
    return "finished"


pool = concurrent.futures.ThreadPoolExecutor(max_workers=1)
running = pool.submit(work)
waiting = [pool.submit(print, "never printed") for _ in range(3)]
started.wait()
pool.shutdown(wait=False, cancel_futures=True)  # comes back at once
print(running.running(), [future.cancelled() for future in waiting])
go_on.set()
pool.shutdown(wait=True)  # comes back when the last task has ended
print(running.done(), running.result())
