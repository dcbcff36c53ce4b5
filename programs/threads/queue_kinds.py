"""queue.LifoQueue, queue.PriorityQueue, queue.SimpleQueue: 其他类似."""

import queue
import threading

items = [3, 1, 4, 1, 5, 9, 2, 6]


def drain(q):
    return [q.get() for _ in items]


for kind in (queue.Queue, queue.LifoQueue, queue.PriorityQueue, queue.SimpleQueue):
    q = kind()
    for item in items:
        q.put(item)
    print(kind.__name__, drain(q), q.empty())

# Each of them hands items from thread to thread, and none gets lost.
for kind in (queue.Queue, queue.LifoQueue, queue.PriorityQueue, queue.SimpleQueue):
    q = kind()
    received = queue.SimpleQueue()

    def consume():
        while (item := q.get()) >= 0:
            received.put(item)

    consumers = [threading.Thread(target=consume) for _ in range(3)]
    for t in consumers:
        t.start()
    for item in range(1, 301):
        q.put(item)
    # Wait until all have arrived: a LIFO or priority queue would give the ends out first.
    total = sum(received.get() for _ in range(300))
    for _ in consumers:
        q.put(-1)
    for t in consumers:
        t.join()
    print(kind.__name__, total)
