"""延时: asyncio.sleep(delay, result=None)."""

import asyncio
import time


async def main():
    print(await asyncio.sleep(0.01), await asyncio.sleep(0.01, "result"), await asyncio.sleep(0, 0))

    began = time.monotonic()
    await asyncio.sleep(0.05)
    print(time.monotonic() - began >= 0.05)

    # Whoever sleeps less is up first, and all of them sleep at the same time.
    order = []

    async def sleep(delay):
        order.append(await asyncio.sleep(delay, delay))

    await asyncio.gather(*(sleep(delay) for delay in (0.15, 0.05, 0.1, 0)))
    print(order)

    # sleep(0) lets each of the others run once.
    turns = []

    async def take_turns(name):
        for _ in range(3):
            turns.append(name)
            await asyncio.sleep(0)

    await asyncio.gather(take_turns("a"), take_turns("b"))
    print("".join(turns))

    task = asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        print("CancelledError")


asyncio.run(main())
