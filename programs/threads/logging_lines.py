"""建议使用 logging: a line of logging stays in one piece, whatever other threads write."""

import logging
import sys
import threading

logging.basicConfig(stream=sys.stdout, format="%(threadName)s: %(message)s", level=logging.INFO)


def foo(num):
    for i in range(5):
        logging.info("%d", i)


threads = [threading.Thread(target=foo, args=(n,), name=f"Thread {n}") for n in (1, 2)]
for t in threads:
    t.start()
for t in threads:
    t.join()
