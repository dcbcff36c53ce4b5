import asyncio

async def func(name, x):
    print(f"Task {name} start")
    await asyncio.sleep(0.05)
    print(f"Task {name}: get result")
    return {name: x + x**2}

async def main():
    # 方式3: wait_for
    _r = await asyncio.wait_for(func("A", 2), 10)

    # 如果超时, 抛出TimeoutError异常, 协程退出
    try:
        await asyncio.wait_for(never(), 0.01)
    except asyncio.TimeoutError as error:
        print(type(error).__name__)

    # 为防止协程从 cancellation 退出, 可使用 await asyncio.shield()
    task = asyncio.create_task(func("B", 3))
    try:
        await asyncio.wait_for(asyncio.shield(task), 0.01)
    except asyncio.TimeoutError:
        print(task.cancelled(), await task)
    return _r

async def never():
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        print("cancelled")
        raise

result = asyncio.run(main())
print(f"result = {result}")
