"""await asyncio.wait(tasks, timeout=None, return_when=ALL_COMPLETED): 调度并等待多个任务完成 (可选退出模式), 或超时退出."""

import asyncio


async def func(name, x):
    print(f"Task {name} start")
    await asyncio.sleep(0.02)
    print(f"Task {name}: get result")
    return {name: x + x**2}


async def fail(gate):
    await gate.wait()
    raise ValueError("wrong")


async def main():
    # since 3.11 it takes tasks, and refuses coroutines
    done, pending = await asyncio.wait(
        [asyncio.create_task(func(name, x)) for name, x in zip("ABC", [2, 3, 4])]
    )
    print(sorted(str(task.result()) for task in done), len(pending))

    # 退出模式: FIRST_COMPLETED, FIRST_EXCEPTION, ALL_COMPLETED
    gates = [asyncio.Event() for _ in range(3)]
    tasks = [asyncio.create_task(gate.wait()) for gate in gates]
    gates[1].set()
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    print(done == {tasks[1]}, pending == {tasks[0], tasks[2]})

    failing = asyncio.create_task(fail(gates[0]))
    waiting = [failing, asyncio.create_task(asyncio.Event().wait())]
    gates[0].set()
    done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_EXCEPTION)
    print([repr(task.exception()) for task in done], pending == {waiting[1]})

    # A timeout raises nothing: it tells what is not done.
    done, pending = await asyncio.wait([tasks[0], tasks[2]], timeout=0.02)
    print(done == {tasks[0]}, pending == {tasks[2]})
    gates[2].set()
    done, pending = await asyncio.wait(tasks, return_when=asyncio.ALL_COMPLETED)
    print(len(done), len(pending))
    waiting[1].cancel()

    try:
        await asyncio.wait([])
    except ValueError:
        print("ValueError")


asyncio.run(main())
