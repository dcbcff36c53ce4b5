"""await asyncio.gather(*aws, return_exceptions=False): 调度并等待多个任务完成【推荐】."""

import asyncio


async def func(name, x):
    print(f"Task {name} start")
    await asyncio.sleep(0.02)
    print(f"Task {name}: get result")
    return {name: x + x**2}


async def fail(message):
    raise ValueError(message)


async def main():
    print(await asyncio.gather(func("A", 2), func("B", 3), func("C", 4)))

    # 注意: 如果 tasks 是列表, 需要使用 `* 变量` 解包
    tasks = [func(name, x) for name, x in zip("ABC", [2, 3, 4])]
    print(await asyncio.gather(*tasks))

    # Results come in the order of the arguments, however long each took.
    print(await asyncio.gather(*(asyncio.sleep(0.03 - 0.01 * n, n) for n in range(3))))
    print(await asyncio.gather())

    print(await asyncio.gather(fail("one"), func("A", 2), fail("two"), return_exceptions=True))
    others = asyncio.create_task(func("others go on", 1))
    try:
        await asyncio.gather(fail("one"), others)
    except ValueError as error:
        print(f"ValueError: {error}", others.done())
    print(await others)

    # To cancel it is to cancel each.
    tasks = [asyncio.create_task(asyncio.sleep(60)) for _ in range(3)]
    together = asyncio.gather(*tasks)
    await asyncio.sleep(0)
    print(together.cancel())
    try:
        await together
    except asyncio.CancelledError:
        print("CancelledError", [task.cancelled() for task in tasks])


asyncio.run(main())
