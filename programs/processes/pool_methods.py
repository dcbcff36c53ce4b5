"""Every method of a Pool and of what it returns."""

import _start_method
import os
from multiprocessing import Pool, current_process, get_start_method


def begin(word):
    current_process().word = word


def told(number):
    return f"{current_process().word} {number}"


def power(base, exponent=2):
    return base**exponent


def fail(message):
    raise ValueError(message)


if __name__ == "__main__":
    called = []
    pool = Pool(2, initializer=begin, initargs=("hello",), maxtasksperchild=20)
    print(pool.apply(told, (1,)), pool.apply(power, (2,), {"exponent": 5}))
    try:
        pool.apply(fail, ("no",))
    except ValueError as error:
        print(f"ValueError: {error}")

    result = pool.apply_async(power, (3,), callback=called.append)
    result.wait(timeout=30)
    print(result.ready(), result.successful(), result.get(), called)
    result = pool.apply_async(
        fail, ("wrong",), error_callback=lambda error: called.append(str(error))
    )
    result.wait(30)
    print(result.ready(), result.successful(), called)

    print(pool.map(power, range(10), chunksize=3))
    print(pool.map_async(power, range(5), callback=called.append).get(30), called[-1])
    print(list(pool.imap(power, range(10), chunksize=4)))
    print(sorted(pool.imap_unordered(power, range(10))))
    print(pool.starmap(power, [(2, 3), (3, 2)]))
    print(pool.starmap_async(power, [(1, 2), (4, 2)]).get(timeout=30))
    print(pool.map(power, []), list(pool.imap(power, [])))
    try:
        pool.map(fail, ["first", "first"])
    except ValueError as error:
        print(f"ValueError: {error}")
    results = pool.imap(power, [1, "two", 3])
    print(next(results))
    try:
        next(results)
    except TypeError as error:
        print("TypeError")
    print(next(results))

    try:
        pool.join()
    except ValueError as error:
        print(f"ValueError: {error}")
    last = pool.map_async(power, range(3))
    pool.close()
    try:
        pool.apply_async(power, (1,))
    except ValueError as error:
        print(f"ValueError: {error}")
    pool.join()
    print(last.get())

    pool = Pool(2)
    ours = pool.map(os.getppid if get_start_method() != "forkserver" else os.getpid, [])
    pool.terminate()
    pool.join()
    print(ours, "terminated")
