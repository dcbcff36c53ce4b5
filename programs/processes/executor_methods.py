"""ProcessPoolExecutor, its futures, and wait() and as_completed() on them."""

import _start_method
import concurrent.futures
import math
import multiprocessing
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION, ProcessPoolExecutor

factor = 1


def begin(value):
    global factor
    factor = value


def multiply(number):
    return number * factor


def fail(message):
    raise ValueError(message)


def main():
    called = []
    context = multiprocessing.get_context()
    with ProcessPoolExecutor(
        max_workers=2, mp_context=context, initializer=begin, initargs=(10,)
    ) as pool:
        futures = [pool.submit(multiply, number) for number in range(5)]
        print([future.result(timeout=30) for future in futures])
        print(list(pool.map(multiply, range(6), chunksize=2)))
        print(list(pool.map(math.gcd, [12, 18], [8, 27], timeout=30)))

        future = pool.submit(multiply, 4)
        future.add_done_callback(lambda done: called.append(done.result()))
        print(future.result(), future.done(), future.running(), future.cancelled(), future.cancel())
        print(future.exception())
        failed = pool.submit(fail, "wrong")
        print(repr(failed.exception()))

        done, waiting = concurrent.futures.wait([failed, future], return_when=FIRST_EXCEPTION)
        print(failed in done)
        done, waiting = concurrent.futures.wait(futures, timeout=30, return_when=ALL_COMPLETED)
        print(len(done), len(waiting))
        done, waiting = concurrent.futures.wait(futures, return_when=FIRST_COMPLETED)
        print(len(done) >= 1)
        completed = concurrent.futures.as_completed(
            [pool.submit(multiply, n) for n in range(4)], timeout=30
        )
        print(sorted(future.result() for future in completed))
        print(called)
    try:
        pool.submit(multiply, 1)
    except RuntimeError as error:
        print(f"RuntimeError: {error}")

    pool = ProcessPoolExecutor(1)
    futures = [pool.submit(pow, 2, number) for number in range(50)]
    pool.shutdown(wait=True, cancel_futures=True)
    print(all(future.done() for future in futures))
    print(
        {future.result() == 2**n for n, future in enumerate(futures) if not future.cancelled()}
        <= {True}
    )


if __name__ == "__main__":
    main()
