"""await asyncio.wait_for(aw, timeout): 调度并等待一个任务完成, 或超时退出."""

import asyncio


async def func(name, x):
    print(f"Task {name} start")
    await asyncio.sleep(0.02)
    print(f"Task {name}: get result")
    return {name: x + x**2}


async def forever():
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        print("cancelled")  # 如果超时, 执行 cancel, 协程退出
        raise


async def main():
    print(await asyncio.wait_for(func("A", 2), 10))
    print(await asyncio.wait_for(func("B", 3), None))

    try:
        await asyncio.wait_for(forever(), 0.02)
    except asyncio.TimeoutError:
        print("TimeoutError")   # 如果超时, 抛出 TimeoutError 异常

    # 为防止协程从 cancellation 退出, 可使用 asyncio.shield()
    finish = asyncio.Event()
    shielded = asyncio.create_task(finish.wait())
    try:
        await asyncio.wait_for(asyncio.shield(shielded), 0.02)
    except asyncio.TimeoutError:
        print("TimeoutError", shielded.done())
    finish.set()
    print(await shielded)

    # Since 3.11 the same as a block.
    try:
        async with asyncio.timeout(0.02):
            await forever()
    except TimeoutError:
        print("TimeoutError")
    async with asyncio.timeout(10) as limit:
        print(await func("C", 4), limit.expired())


asyncio.run(main())
