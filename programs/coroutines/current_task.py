"""asyncio.current_task(...), asyncio.all_tasks(...): 查看当前任务, 查看所有任务."""

import asyncio


async def look(name, gate):
    task = asyncio.current_task()
    print(f"{name} is in {task.get_name()}")
    await gate.wait()
    print(f"{name} is still in {task.get_name()}: {asyncio.current_task() is task}")


def call():
    print(f"a callback is in {asyncio.current_task()}")


async def main():
    loop = asyncio.get_running_loop()
    asyncio.current_task().set_name("main")
    gate = asyncio.Event()
    tasks = [asyncio.create_task(look(name, gate), name=f"task {name}") for name in "ABC"]
    loop.call_soon(call)
    await asyncio.sleep(0)
    print(sorted(task.get_name() for task in asyncio.all_tasks()))
    print(asyncio.all_tasks(loop) == {asyncio.current_task(loop), *tasks})
    gate.set()
    await asyncio.gather(*tasks)
    print(sorted(task.get_name() for task in asyncio.all_tasks()))
    await look("a coroutine without a task of its own", gate)


asyncio.run(main())
for look_up in (asyncio.current_task, asyncio.all_tasks):
    try:
        look_up()
    except RuntimeError as error:
        print(f"RuntimeError: {error}")
