"""定时启动子线程: threading.Timer(interval, function, args=None, kwargs=None)."""

import threading
import time

fired = []
all_fired = threading.Semaphore(0)


def note(name, *, mark):
    fired.append((name, mark))
    all_fired.release()


began = time.monotonic()
timers = [
    threading.Timer(0.15, note, args=["later"], kwargs={"mark": "!"}),
    threading.Timer(0.05, note, args=["sooner"], kwargs={"mark": "?"}),
]
cancelled = threading.Timer(0.1, note, args=["never"], kwargs={"mark": ""})
for timer in (*timers, cancelled):
    timer.start()
print(all(timer.is_alive() for timer in (*timers, cancelled)))
cancelled.cancel()
for _ in timers:
    all_fired.acquire()
for timer in (*timers, cancelled):
    timer.join()
print(sorted(fired))
print(time.monotonic() - began >= 0.15)
print(any(timer.is_alive() for timer in (*timers, cancelled)))
print(isinstance(cancelled, threading.Thread), cancelled.finished.is_set())
