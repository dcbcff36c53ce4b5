"""map(func, *iterables, timeout=None, chunksize=1): results in the order of the arguments."""

import concurrent.futures
import threading

with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
    print(list(pool.map(pow, [2, 3, 10], [5, 2, 3])))
    print(list(pool.map(str, range(5), timeout=60, chunksize=2)))

    # The first task ends last, and its result comes first all the same.
    others = threading.Barrier(4)

    def meet(name):
        others.wait()
        return name

    print("".join(pool.map(meet, "abcd")))

    # An exception comes out where its result would have come.
    results = pool.map(int, ["1", "2", "three", "4"])
    try:
        for number in results:
            print(number)
    except ValueError as error:
        print(f"ValueError: {error}")

    # timeout counts from the call of map.
    release = threading.Event()
    try:
        list(pool.map(lambda _: release.wait(), range(2), timeout=0.05))
    except concurrent.futures.TimeoutError:
        print("TimeoutError")
    release.set()
