"""全局变量: 如果仅一个写, 其余读, 可不加保护. One thread writes, the others only read."""

import threading

ROUNDS = 2000
published = 0
finished = threading.Event()


def writer():
    global published
    for value in range(1, ROUNDS + 1):
        published = value
    finished.set()


def reader(seen):
    last = 0
    while not finished.is_set():
        now = published
        seen.append(now >= last)
        last = now
    seen.append(published == ROUNDS)


readings = [[] for _ in range(3)]
threads = [threading.Thread(target=reader, args=(seen,)) for seen in readings]
threads.append(threading.Thread(target=writer))
for t in threads:
    t.start()
for t in threads:
    t.join()

for number, seen in enumerate(readings):
    print(f"reader {number}: never went back: {all(seen)}")
print(f"published: {published}")
