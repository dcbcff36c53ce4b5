"""multiprocessing.Barrier: processes wait until all have come, then go on together."""

import _start_method
import threading
from multiprocessing import Array, Barrier, Process, SimpleQueue

PARTIES = 3
ROUNDS = 5


def walk(number, barrier, arrived, places):
    for turn in range(ROUNDS):
        arrived[number] = turn + 1
        place = barrier.wait()
        together = min(arrived) >= turn + 1
        places.put((place, together))
        barrier.wait()


def try_to_wait(barrier, places):
    try:
        barrier.wait()
    except threading.BrokenBarrierError as error:
        places.put(type(error).__name__)


if __name__ == "__main__":
    barrier, arrived, places = Barrier(PARTIES), Array("i", PARTIES), SimpleQueue()
    processes = [Process(target=walk, args=(n, barrier, arrived, places)) for n in range(PARTIES)]
    for p in processes:
        p.start()
    seen = [places.get() for _ in range(PARTIES * ROUNDS)]
    for p in processes:
        p.join()
    print(sorted(place for place, _ in seen) == sorted(list(range(PARTIES)) * ROUNDS))
    print(all(together for _, together in seen), list(arrived))
    print(barrier.parties, barrier.n_waiting, barrier.broken)

    p = Process(target=try_to_wait, args=(barrier, places))
    p.start()
    barrier.abort()
    print(places.get())
    p.join()
    print(barrier.broken)
    barrier.reset()
    try:
        barrier.wait(timeout=0.01)
    except threading.BrokenBarrierError:
        print("BrokenBarrierError after a timeout")
