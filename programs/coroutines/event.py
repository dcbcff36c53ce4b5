"""asyncio.Event: 协程同步."""

import asyncio


async def waiter(event, name, order):
    print(f"{name} waits")
    order.append((name, await event.wait()))


async def main():
    event = asyncio.Event()
    order = []
    tasks = [asyncio.create_task(waiter(event, name, order)) for name in "ABC"]
    await asyncio.sleep(0)
    print(event.is_set(), order)
    event.set()
    await asyncio.gather(*tasks)
    print(event.is_set(), order)

    print(await event.wait())   # 不等待
    event.clear()
    print(event.is_set())
    try:
        await asyncio.wait_for(event.wait(), 0.01)
    except asyncio.TimeoutError:
        print("TimeoutError")

    # set() tells those that wait now, even if it is cleared before they run.
    task = asyncio.create_task(event.wait())
    await asyncio.sleep(0)
    event.set()
    event.clear()
    print(await task, event.is_set())


asyncio.run(main())
