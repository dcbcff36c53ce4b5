import asyncio

async def child(gate):
    await gate.wait()
    return asyncio.current_task().get_name()

async def main():
    # 查看当前任务, 所有任务
    main_task = asyncio.current_task()
    gate = asyncio.Event()
    tasks = [asyncio.create_task(child(gate), name=f"child {n}") for n in range(3)]
    print(asyncio.all_tasks() == {main_task, *tasks})
    print(all(task.get_loop() is asyncio.get_running_loop() for task in tasks))

    # result, done, add_done_callback, remove_done_callback, cancel, cancelled, exception
    ended = []
    def note(task):
        ended.append(task.get_name())
    def unused(task):
        ended.append("unused")
    for task in tasks:
        task.add_done_callback(note)
        task.add_done_callback(unused)
        print(task.remove_done_callback(unused), task.done())
    await asyncio.sleep(0)
    print(len(tasks[0].get_stack()), tasks[0].get_coro().__name__)
    print(tasks[2].cancel("enough"))
    gate.set()
    print(await asyncio.gather(*tasks, return_exceptions=True))
    print(ended, tasks[2].cancelled(), tasks[0].result(), tasks[0].exception())

    # Future: 回调管理器
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    future.add_done_callback(lambda future: print("done:", future.result()))
    print(future.done(), future.get_loop() is loop, asyncio.isfuture(future))
    loop.call_soon(future.set_result, 1)
    print(await future)
    try:
        future.set_result(2)
    except asyncio.InvalidStateError as error:
        print(type(error).__name__)
    future = loop.create_future()
    future.set_exception(ValueError("no"))
    print(repr(future.exception()))
    future = loop.create_future()
    print(future.cancel(), future.cancelled())

    # TaskGroup, timeout
    async with asyncio.TaskGroup() as group:
        first = group.create_task(asyncio.sleep(0.01, "first"))
        second = group.create_task(asyncio.sleep(0, "second"))
    print(first.result(), second.result())
    try:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)
    except TimeoutError:
        print("TimeoutError")

asyncio.run(main())
