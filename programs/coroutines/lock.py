"""asyncio.Lock: 协程同步."""

import asyncio

total = 0


async def change(lock, times):
    global total
    for _ in range(times):
        async with lock:
            before = total
            await asyncio.sleep(0)  # 让出控制权: without the lock, others would come in between
            total = before + 1


async def enter(lock, name, entered):
    print(f"{name} wants it")
    await lock.acquire()
    try:
        entered.append(name)
    finally:
        lock.release()


async def main():
    lock = asyncio.Lock()
    await asyncio.gather(*(change(lock, 20) for _ in range(10)))
    print(total, lock.locked())

    # First come, first served.
    entered = []
    await lock.acquire()
    print(lock.locked())
    tasks = [asyncio.create_task(enter(lock, name, entered)) for name in "ABCD"]
    await asyncio.sleep(0)
    tasks[1].cancel()   # one who goes away is passed over
    lock.release()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    print(entered, [type(result).__name__ for result in results])

    async with lock:
        try:
            await asyncio.wait_for(lock.acquire(), 0.01)
        except asyncio.TimeoutError:
            print("TimeoutError")
    try:
        lock.release()
    except RuntimeError as error:
        print(f"RuntimeError: {error}")


asyncio.run(main())
