"""管理器: multiprocessing.Manager and every kind of object that it offers."""

import _start_method
from multiprocessing import Manager, Process


def change(things, names, lock, space, queue, done):
    with lock:
        things["count"] += 1
        names.append(f"process {len(names)}")
        space.total += 10
        queue.put(things["count"])
    done.release()


if __name__ == "__main__":
    with Manager() as manager:
        things, names, lock = manager.dict(count=0), manager.list(), manager.Lock()
        space, queue, done = manager.Namespace(total=0), manager.Queue(), manager.Semaphore(0)
        arguments = (things, names, lock, space, queue, done)
        processes = [Process(target=change, args=arguments) for _ in range(3)]
        for p in processes:
            p.start()
        for p in processes:
            p.join()
        print(things, names, space.total)
        print(sorted(queue.get() for _ in range(3)), queue.empty())
        print([done.acquire(False) for _ in range(4)])
        print(dict(things), list(names), len(names), names[-1], "count" in things)

        value, array = manager.Value("i", 1), manager.Array("i", [1, 2, 3])
        value.value += 1
        array[0] = 9
        print(value.value, array[:])

        rlock, bounded, event = manager.RLock(), manager.BoundedSemaphore(1), manager.Event()
        print(rlock.acquire(), rlock.acquire(), bounded.acquire(), bounded.acquire(False))
        event.set()
        print(event.is_set(), event.wait(30))
        condition, barrier = manager.Condition(), manager.Barrier(1)
        with condition:
            print(condition.wait(0.01))
        print(barrier.wait(), barrier.parties)
        try:
            bounded.release()
            bounded.release()
        except ValueError as error:
            print(f"ValueError: {error}")
