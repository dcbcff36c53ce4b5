"""ThreadPoolExecutor(max_workers=None, thread_name_prefix='', initializer=None, initargs=())."""

import concurrent.futures
import threading

local = threading.local()
everybody = threading.Barrier(3)


def prepare(first, second):
    local.prepared = (first, second)


def report():
    everybody.wait()  # three tasks at once: so three workers
    return threading.current_thread().name, local.prepared


with concurrent.futures.ThreadPoolExecutor(
    max_workers=3, thread_name_prefix="爬虫", initializer=prepare, initargs=("a", 1)
) as pool:
    for line in sorted(future.result() for future in [pool.submit(report) for _ in range(3)]):
        print(line)

with concurrent.futures.ThreadPoolExecutor(max_workers=None) as pool:
    print(len(list(pool.map(abs, range(100)))))

for arguments in ({"max_workers": 0}, {"initializer": 1}):
    try:
        concurrent.futures.ThreadPoolExecutor(**arguments)
    except (ValueError, TypeError) as error:
        print(f"{type(error).__name__}: {error}")
