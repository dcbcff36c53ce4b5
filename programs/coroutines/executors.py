"""Executing code in thread or process pools: loop.run_in_executor, asyncio.to_thread."""

import asyncio
import concurrent.futures
import contextvars
import math
import threading

user = contextvars.ContextVar("user")


def fail():
    raise ValueError("wrong")


async def main():
    loop = asyncio.get_running_loop()

    # The loop's own pool.
    print(await loop.run_in_executor(None, math.factorial, 10))
    print(await asyncio.gather(*(loop.run_in_executor(None, pow, 2, n) for n in range(10))))
    name = await loop.run_in_executor(None, lambda: threading.current_thread().name)
    print(name.startswith("asyncio_"))
    try:
        await loop.run_in_executor(None, fail)
    except ValueError as error:
        print(f"ValueError: {error}")

    # Meanwhile the loop goes on: the thread waits for what a coroutine does.
    gate = threading.Event()
    waiting = loop.run_in_executor(None, gate.wait, 30)
    await asyncio.sleep(0)
    gate.set()
    print(await waiting)

    # to_thread takes the context along.
    user.set("somebody")
    print(await asyncio.to_thread(user.get), await asyncio.to_thread(int, "ff", base=16))

    with concurrent.futures.ThreadPoolExecutor(2, thread_name_prefix="mine") as pool:
        name = await loop.run_in_executor(pool, lambda: threading.current_thread().name)
        print(name.startswith("mine_"))

    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        print(await loop.run_in_executor(pool, math.gcd, 12, 18))
        print(await asyncio.gather(*(loop.run_in_executor(pool, pow, 3, n) for n in range(5))))

    pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="default")
    loop.set_default_executor(pool)
    print((await asyncio.to_thread(lambda: threading.current_thread().name)).startswith("default_"))
    await loop.shutdown_default_executor()
    try:
        loop.run_in_executor(None, print)
    except RuntimeError as error:
        print(f"RuntimeError: {error}")


if __name__ == "__main__":
    asyncio.run(main())
