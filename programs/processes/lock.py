import _start_method
from multiprocessing import Lock, Process, Value


def count(myLock, value):
    for _ in range(200):
        myLock.acquire()
        value.value += 1
        myLock.release()  # 必须释放, 否则会阻塞其他进程

        with myLock:
            value.value += 1


if __name__ == "__main__":
    myLock = Lock()
    value = Value("i", 0, lock=False)
    processes = [Process(target=count, args=(myLock, value)) for _ in range(4)]
    for p in processes:
        p.start()
    for p in processes:
        p.join()
    print(value.value)

    # acquire(block=True, timeout=None) -> bool
    print(myLock.acquire())
    print(myLock.acquire(block=False), myLock.acquire(timeout=0.01))
    myLock.release()
    try:
        myLock.release()
    except ValueError as error:
        print(f"ValueError: {error}")
