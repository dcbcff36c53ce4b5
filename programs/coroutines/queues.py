import asyncio

async def producer(queue, count):
    for number in range(count):
        await queue.put(number)
    await queue.put(None)

async def consumer(queue):
    got = []
    while (item := await queue.get()) is not None:
        got.append(item)
        queue.task_done()
    queue.task_done()
    return got

async def main():
    queue = asyncio.Queue(maxsize=2)
    making = asyncio.create_task(producer(queue, 10))
    print(await consumer(queue), queue.empty(), queue.qsize())
    await queue.join()
    await making

    # 优先级队列, 后进先出队列
    for kind in (asyncio.Queue, asyncio.PriorityQueue, asyncio.LifoQueue):
        queue = kind(3)
        for item in (2, 3, 1):
            queue.put_nowait(item)
        try:
            queue.put_nowait(4)
        except asyncio.QueueFull as error:
            print(type(error).__name__, queue.full(), queue.maxsize)
        print(kind.__name__, [queue.get_nowait() for _ in range(3)])
        try:
            queue.get_nowait()
        except asyncio.QueueEmpty as error:
            print(type(error).__name__)

    # 取消等待不丢失数据
    queue = asyncio.Queue()
    getting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    getting.cancel()
    queue.put_nowait("kept")
    print(await queue.get())

asyncio.run(main())
