"""asyncio.Condition: 协程同步."""

import asyncio
from collections import deque


async def main():
    cv = asyncio.Condition()
    items = deque()
    consumed = []

    async def consume():
        async with cv:
            while not items:
                await cv.wait()     # 阻塞, 等待通知
            consumed.append(items.popleft())

    async def produce(number):
        async with cv:
            items.append(number)
            cv.notify()             # 发出通知

    await asyncio.gather(
        *(consume() for _ in range(20)), *(produce(n) for n in range(20))
    )
    print(consumed == list(range(20)), len(items), cv.locked())

    opened = False
    passed = []

    async def pass_when_opened(name):
        async with cv:
            passed.append((name, await cv.wait_for(lambda: opened)))

    tasks = [asyncio.create_task(pass_when_opened(name)) for name in "ABC"]
    await asyncio.sleep(0)
    async with cv:
        cv.notify_all()     # too early: each looks, and waits on
    await asyncio.sleep(0)
    print(passed)
    async with cv:
        opened = True
        cv.notify_all()
    await asyncio.gather(*tasks)
    print(passed)

    # One that was told, and is cancelled before it goes on, passes it on.
    woken = []

    async def wait(name):
        async with cv:
            await cv.wait()
            woken.append(name)

    tasks = [asyncio.create_task(wait(name)) for name in "AB"]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.sleep(0)
    async with cv:
        cv.notify(1)
    await asyncio.gather(*tasks, return_exceptions=True)
    print(woken)

    for call in (cv.notify, cv.notify_all):
        try:
            call()
        except RuntimeError as error:
            print(f"RuntimeError: {error}")
    try:
        await cv.wait()
    except RuntimeError as error:
        print(f"RuntimeError: {error}")


asyncio.run(main())
