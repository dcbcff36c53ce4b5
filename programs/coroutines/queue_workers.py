"""asyncio.Queue: put, get, put_nowait, get_nowait, task_done, join, qsize, empty, full."""

import asyncio


async def worker(name, q, done):
    while True:
        number = await q.get()
        await asyncio.sleep(0)
        done[name].append(number**2)
        q.task_done()


async def main():
    q = asyncio.Queue(2)
    print(q.maxsize, q.qsize(), q.empty(), q.full())
    q.put_nowait(1)
    q.put_nowait(2)
    print(q.qsize(), q.empty(), q.full())
    try:
        q.put_nowait(3)
    except asyncio.QueueFull:
        print("QueueFull")
    try:
        await asyncio.wait_for(q.put(3), 0.01)
    except asyncio.TimeoutError:
        print("TimeoutError", q.qsize())

    # Who waits to put is let in by who gets, in order.
    putting = [asyncio.create_task(q.put(n)) for n in (3, 4, 5)]
    await asyncio.sleep(0)
    print([await q.get() for _ in range(5)], q.empty())
    await asyncio.gather(*putting)
    try:
        q.get_nowait()
    except asyncio.QueueEmpty:
        print("QueueEmpty")
    for _ in range(5):
        q.task_done()
    try:
        q.task_done()
    except ValueError as error:
        print(f"ValueError: {error}")

    q = asyncio.Queue()
    done = {name: [] for name in ("one", "two", "three")}
    workers = [asyncio.create_task(worker(name, q, done)) for name in done]
    for number in range(30):
        q.put_nowait(number)
    await q.join()  # 等待全部处理完
    for task in workers:
        task.cancel()
    results = await asyncio.gather(*workers, return_exceptions=True)
    print([type(result).__name__ for result in results])
    print(sorted(sum(done.values(), [])) == [n**2 for n in range(30)])
    print({name: len(squares) for name, squares in done.items()})


asyncio.run(main())
