"""asyncio.create_task(coro): 创建一个 Task, 返回 Task 对象【推荐】."""

import asyncio


async def func(name, x):
    print(f"Task {name} start")
    await asyncio.sleep(0.02)
    print(f"Task {name}: get result")
    return {name: x + x**2}


async def fail():
    raise ValueError("wrong")


async def main():
    task = asyncio.create_task(func("A", 2), name="first")
    print(isinstance(task, asyncio.Task), isinstance(task, asyncio.Future), task.get_name())
    print("created, not yet started")
    print(await task)

    # They run side by side from the moment they are made.
    tasks = [asyncio.create_task(func(name, x)) for name, x in zip("BC", [3, 4])]
    for task in tasks:
        print(await task)

    task = asyncio.create_task(fail())
    try:
        await task
    except ValueError as error:
        print(f"ValueError: {error}")

    try:
        asyncio.create_task(func)   # 普通函数不行
    except TypeError:
        print("TypeError")

    # ensure_future takes whatever can be awaited, and leaves a task as it is
    print(asyncio.ensure_future(task) is task, await asyncio.ensure_future(func("D", 5)))


asyncio.run(main())
coroutine = func("E", 6)
try:
    asyncio.create_task(coroutine)  # 没有运行中的事件循环
except RuntimeError as error:
    print(f"RuntimeError: {error}")
coroutine.close()
