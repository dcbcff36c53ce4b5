"""asyncio.Semaphore, asyncio.BoundedSemaphore: 协程同步."""

import asyncio


async def work(semaphore, inside, most):
    async with semaphore:
        inside.add(asyncio.current_task())
        most.append(len(inside))
        await asyncio.sleep(0)
        inside.discard(asyncio.current_task())


async def main():
    for kind in (asyncio.Semaphore, asyncio.BoundedSemaphore):
        semaphore = kind(3)
        inside, most = set(), []
        await asyncio.gather(*(work(semaphore, inside, most) for _ in range(20)))
        print(kind.__name__, max(most), len(inside), semaphore.locked())

    semaphore = asyncio.Semaphore(0)
    print(semaphore.locked())
    served = []

    async def wait(name):
        await semaphore.acquire()
        served.append(name)

    tasks = [asyncio.create_task(wait(name)) for name in "ABC"]
    await asyncio.sleep(0)
    for _ in tasks:
        semaphore.release()
    await asyncio.gather(*tasks)
    print(served)

    semaphore.release()     # 可以超过初始值
    print(await semaphore.acquire(), semaphore.locked())
    bounded = asyncio.BoundedSemaphore(1)
    try:
        bounded.release()   # 不可以超过初始值
    except ValueError as error:
        print(f"ValueError: {error}")
    try:
        asyncio.Semaphore(-1)
    except ValueError as error:
        print(f"ValueError: {error}")


asyncio.run(main())
