import asyncio

async def func(name, x):
    print(f"Task {name} start")
    await asyncio.sleep(0.05)
    print(f"Task {name}: get result")
    return {name: x + x**2}

async def main():
    # 方式4: wait
    # Python 3.11 起只接受 Task 和 Future
    task_done, _ = await asyncio.wait([asyncio.create_task(func("A", 2)),
                                       asyncio.create_task(func("B", 3)),
                                       asyncio.create_task(func("C", 4))
                                       ])
    _r = []
    for t in task_done:
        _r.append(t.result())
    _r.sort(key=str)

    # 退出模式: FIRST_COMPLETED, FIRST_EXCEPTION, ALL_COMPLETED
    gate = asyncio.Event()
    waits = asyncio.create_task(gate.wait())
    for mode in (asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION):
        ends = asyncio.create_task(end(mode))
        done, pending = await asyncio.wait({ends, waits}, return_when=mode)
        print(mode, done == {ends}, pending == {waits})
        ends.exception()
    done, pending = await asyncio.wait({waits}, timeout=0.01)
    print(len(done), len(pending))
    gate.set()
    done, pending = await asyncio.wait({waits}, return_when=asyncio.ALL_COMPLETED)
    print(len(done), len(pending))
    try:
        await asyncio.wait([func("D", 5)])
    except TypeError as error:
        print(f"TypeError: {error}")
    return _r

async def end(mode):
    if mode == asyncio.FIRST_EXCEPTION:
        raise ValueError(mode)

import warnings
warnings.simplefilter("ignore", RuntimeWarning)   # func("D", 5) 没有被等待
result = asyncio.run(main())
print(f"result = {result}")
