"""特别注意: 防止死锁. Two ways in which two threads can take two locks and never wait for each other."""

import threading

a = threading.Lock()
b = threading.Lock()
accounts = {"a": 1000, "b": 1000}


def move(source, target):
    accounts[source] -= 1
    accounts[target] += 1


def in_one_order(source, target):
    # Whatever is moved where, a is always taken before b.
    for _ in range(300):
        with a, b:
            move(source, target)


def by_giving_way(first, second, source, target):
    # The second lock is only tried; without it the first is given back, for the other thread to go on.
    moved = 0
    while moved < 300:
        with first:
            if second.acquire(timeout=0.001):
                try:
                    move(source, target)
                    moved += 1
                finally:
                    second.release()


def run(*threads):
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print(accounts)


run(
    threading.Thread(target=in_one_order, args=("a", "b")),
    threading.Thread(target=in_one_order, args=("b", "a")),
)
run(
    threading.Thread(target=by_giving_way, args=(a, b, "a", "b")),
    threading.Thread(target=by_giving_way, args=(b, a, "b", "a")),
)
