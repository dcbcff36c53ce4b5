import _start_method
from multiprocessing import BoundedSemaphore, Process, Semaphore, Value


def enter(semaphore, inside, most):
    for _ in range(50):
        with semaphore:
            with inside.get_lock():
                inside.value += 1
                most.value = max(most.value, inside.value)
            with inside.get_lock():
                inside.value -= 1


if __name__ == "__main__":
    semaphore = Semaphore(2)
    inside, most = Value("i", 0), Value("i", 0)
    processes = [Process(target=enter, args=(semaphore, inside, most)) for _ in range(4)]
    for p in processes:
        p.start()
    for p in processes:
        p.join()
    print(inside.value, 1 <= most.value <= 2)

    print(
        semaphore.acquire(),
        semaphore.acquire(),
        semaphore.acquire(False),
        semaphore.acquire(timeout=0.01),
    )
    for _ in range(3):
        semaphore.release()  # a plain one counts on
    print([semaphore.acquire(False) for _ in range(4)])

    bounded = BoundedSemaphore(1)
    with bounded:
        print(bounded.acquire(False))
    try:
        bounded.release()
    except ValueError as error:
        print(f"ValueError: {error}")
