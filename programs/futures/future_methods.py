"""Future: add_done_callback, cancel; running, done, cancelled; exception."""

import concurrent.futures
import threading

started, go_on = threading.Event(), threading.Event()


def work():
    started.set()
    go_on.wait()
    return 42


def state(future):
    return f"running={future.running()} done={future.done()} cancelled={future.cancelled()}"


with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
    first = pool.submit(work)
    second = pool.submit(print, "never printed")  # waits: the only worker is busy
    failing = pool.submit(int, "x")
    started.wait()
    print("first  ", state(first))
    print("second ", state(second))
    print("cancel ", first.cancel(), second.cancel())  # what runs cannot be cancelled
    print("second ", state(second))
    first.add_done_callback(lambda future: print("callback", future.result(), future is first))
    second.add_done_callback(lambda future: print("callback", future.cancelled()))
    try:
        first.result(timeout=0.01)
    except concurrent.futures.TimeoutError:
        print("TimeoutError")
    go_on.set()
    print(repr(failing.exception(timeout=60)))  # the callback of first has run: one worker, in order
    print("first  ", state(first), first.exception())
    for future in (second, failing):
        try:
            future.result()
        except (concurrent.futures.CancelledError, ValueError) as error:
            print(type(error).__name__, error)
