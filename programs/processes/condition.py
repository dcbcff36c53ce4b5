import _start_method
from multiprocessing import Condition, Process, Value


def consume(cv, items, consumed):
    with cv:
        while not items.value:
            cv.wait()  # 阻塞, 等待通知
        items.value -= 1
        consumed.value += 1


def produce(cv, items):
    with cv:
        items.value += 1
        cv.notify()  # 发出通知


def pass_when_opened(cv, opened, passed):
    with cv:
        cv.wait_for(lambda: opened.value)
        passed.value += 1


if __name__ == "__main__":
    cv = Condition()
    items, consumed = Value("i", 0, lock=False), Value("i", 0, lock=False)
    processes = [Process(target=consume, args=(cv, items, consumed)) for _ in range(3)]
    processes += [Process(target=produce, args=(cv, items)) for _ in range(3)]
    for p in processes:
        p.start()
    for p in processes:
        p.join()
    print(items.value, consumed.value)

    with cv:
        print(cv.wait(timeout=0.01), cv.wait_for(lambda: items.value, timeout=0.01))

    opened, passed = Value("b", 0, lock=False), Value("i", 0, lock=False)
    processes = [Process(target=pass_when_opened, args=(cv, opened, passed)) for _ in range(3)]
    for p in processes:
        p.start()
    with cv:
        opened.value = 1
        cv.notify_all()
    for p in processes:
        p.join()
    print(passed.value)

    try:
        cv.notify()
    except AssertionError as error:
        print(f"AssertionError: {error}")
