import asyncio

async def locks():
    lock = asyncio.Lock()
    order = []
    async def work(name):
        async with lock:
            order.append(name)
            await asyncio.sleep(0)
            order.append(name)
    await asyncio.gather(*map(work, "ABC"))
    print("Lock", order, lock.locked())

async def semaphores():
    semaphore = asyncio.Semaphore(2)
    inside = most = 0
    async def work():
        nonlocal inside, most
        async with semaphore:
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1
    await asyncio.gather(*(work() for _ in range(6)))
    print("Semaphore", most, semaphore.locked())
    bounded = asyncio.BoundedSemaphore(1)
    await bounded.acquire()
    bounded.release()
    try:
        bounded.release()
    except ValueError as error:
        print("BoundedSemaphore", error)

async def conditions():
    condition = asyncio.Condition()
    items, got = [], []
    async def consume(name):
        async with condition:
            await condition.wait_for(lambda: items)
            got.append((name, items.pop()))
    consumers = [asyncio.create_task(consume(name)) for name in "AB"]
    await asyncio.sleep(0)
    for item in (1, 2):
        async with condition:
            items.append(item)
            condition.notify()
    await asyncio.gather(*consumers)
    print("Condition", sorted(got), items)
    async with condition:
        condition.notify_all()

async def events():
    event = asyncio.Event()
    waiters = [asyncio.create_task(event.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    print("Event", event.is_set(), any(waiter.done() for waiter in waiters))
    event.set()
    print(await asyncio.gather(*waiters), event.is_set())
    event.clear()
    print(event.is_set())

async def barriers():
    barrier = asyncio.Barrier(3)
    print("Barrier", sorted(await asyncio.gather(*(barrier.wait() for _ in range(3)))))

async def main():
    for part in (locks, semaphores, conditions, events, barriers):
        await part()

asyncio.run(main())
