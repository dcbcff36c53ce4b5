"""put(item, block=True, timeout=None) and get(block=True, timeout=None) of a bounded queue."""

import queue
import threading

q = queue.Queue(maxsize=2)
q.put("a")
q.put("b", block=True, timeout=1)
print(q.full(), q.qsize())
for attempt in (
    lambda: q.put("c", block=False),
    lambda: q.put("c", timeout=0.01),
    lambda: q.put_nowait("c"),
):
    try:
        attempt()
    except queue.Full:
        print("queue.Full")

print(q.get(), q.get(timeout=1))
for attempt in (lambda: q.get(block=False), lambda: q.get(timeout=0.01), q.get_nowait):
    try:
        attempt()
    except queue.Empty:
        print("queue.Empty")
print(q.empty())

# A put that has no room waits until a get makes some, and a get until there is an item.
items = list(range(100))
received = []
producer = threading.Thread(target=lambda: [q.put(item) for item in items])
consumer = threading.Thread(target=lambda: [received.append(q.get()) for _ in items])
producer.start()
consumer.start()
producer.join()
consumer.join()
print(received == items)

# task_done() tells join() that an item has been dealt with; here 102 have been put.
for _ in range(102):
    q.task_done()
q.join()
try:
    q.task_done()
except ValueError as error:
    print(f"ValueError: {error}")
