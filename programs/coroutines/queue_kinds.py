"""asyncio.Queue, asyncio.PriorityQueue, asyncio.LifoQueue: 协程通信."""

import asyncio

items = [3, 1, 4, 1, 5, 9, 2, 6]


async def main():
    for kind in (asyncio.Queue, asyncio.PriorityQueue, asyncio.LifoQueue):
        q = kind()
        for item in items:
            await q.put(item)
        print(kind.__name__, q.qsize(), [await q.get() for _ in items], q.empty())

    # Each of them hands items from task to task, and none gets lost.
    for kind in (asyncio.Queue, asyncio.PriorityQueue, asyncio.LifoQueue):
        q = kind(maxsize=5)
        received = []

        async def consume():
            while True:
                received.append(await q.get())
                q.task_done()

        consumers = [asyncio.create_task(consume()) for _ in range(3)]
        for item in range(1, 101):
            await q.put(item)
        await q.join()
        for task in consumers:
            task.cancel()
        await asyncio.gather(*consumers, return_exceptions=True)
        print(kind.__name__, len(received), sum(received))

    q = asyncio.PriorityQueue()
    for entry in [(2, "second"), (1, "first"), (3, "third")]:
        q.put_nowait(entry)
    print([q.get_nowait()[1] for _ in range(3)])


asyncio.run(main())
