import _start_method
from multiprocessing import Process, RLock, Value


def descend(lock, value, depth):
    with lock:
        value.value += 1
        if depth:
            descend(lock, value, depth - 1)


def release_what_another_holds(lock):
    try:
        lock.release()
    except AssertionError as error:
        print(f"AssertionError: {error}", flush=True)
    print(lock.acquire(False), flush=True)


if __name__ == "__main__":
    lock = RLock()
    value = Value("i", 0, lock=False)
    processes = [Process(target=descend, args=(lock, value, 20)) for _ in range(4)]
    for p in processes:
        p.start()
    for p in processes:
        p.join()
    print(value.value)

    print(lock.acquire(), lock.acquire(), flush=True)
    p = Process(target=release_what_another_holds, args=(lock,))
    p.start()
    p.join()
    lock.release()
    lock.release()
    try:
        lock.release()
    except AssertionError as error:
        print(f"AssertionError: {error}")
