"""threading.Barrier: threads wait until all have come, then go on together."""

import threading

PARTIES = 4
ROUNDS = 5
arrived = [0] * PARTIES
reports = []


def once_per_round():
    # Runs in one of the threads when all have arrived and before any goes on.
    reports.append(tuple(arrived))


barrier = threading.Barrier(PARTIES, action=once_per_round)
places = []


def walk(number):
    for _ in range(ROUNDS):
        arrived[number] += 1
        places.append(barrier.wait())


threads = [threading.Thread(target=walk, args=(n,)) for n in range(PARTIES)]
for t in threads:
    t.start()
for t in threads:
    t.join()
print(reports)
print(sorted(places) == sorted(list(range(PARTIES)) * ROUNDS))
print(barrier.parties, barrier.n_waiting, barrier.broken)


def try_to_wait():
    try:
        barrier.wait()
    except threading.BrokenBarrierError:
        print("BrokenBarrierError")


t = threading.Thread(target=try_to_wait)
t.start()
barrier.abort()
t.join()
print(barrier.broken)
barrier.reset()
try:
    barrier.wait(timeout=0.01)
except threading.BrokenBarrierError:
    print("BrokenBarrierError after a timeout")
