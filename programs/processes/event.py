import _start_method
from multiprocessing import Event, Process, Value


def wait_for(event, passed):
    if event.wait():
        with passed.get_lock():
            passed.value += 1


if __name__ == "__main__":
    event, passed = Event(), Value("i", 0)
    processes = [Process(target=wait_for, args=(event, passed)) for _ in range(3)]
    for p in processes:
        p.start()
    print(event.is_set(), event.wait(timeout=0.01), passed.value)
    event.set()
    for p in processes:
        p.join()
    print(event.is_set(), event.wait(), passed.value)
    event.clear()
    print(event.is_set(), event.wait(0))
