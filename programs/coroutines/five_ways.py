import asyncio

async def func(name, x):
    print(f"Task {name} start")
    await asyncio.sleep(0.05)
    print(f"Task {name}: get result")
    return {name: x + x**2}

async def main():
    # 方式1: create_task
    _r = await asyncio.create_task(func("A", 2))
    print(f"create_task: {_r}")

    # 方式2.1: gather
    _r = await asyncio.gather(func("A", 2),
                              func("B", 3),
                              func("C", 4)
                              )
    print(f"gather: {_r}")

    # 方式2.2: gather
    tasks = [func("A", 2),
             func("B", 3),
             func("C", 4)]
    _r = await asyncio.gather(*tasks)
    print(f"gather: {_r}")

    # 方式3: wait_for
    _r = await asyncio.wait_for(func("A", 2), 10)
    print(f"wait_for: {_r}")

    # 方式4: wait
    # since 3.11 it takes tasks, and refuses coroutines
    task_done, _ = await asyncio.wait([asyncio.create_task(func("A", 2)),
                                       asyncio.create_task(func("B", 3)),
                                       asyncio.create_task(func("C", 4))
                                       ])
    _r = []
    for t in task_done:
        _r.append(t.result())
    _r.sort(key=str)    # it was a set
    print(f"wait: {_r}")

    # 方式5: as_completed
    tasks = [asyncio.create_task(func(name, x))
             for name, x in zip("ABC", [2, 3, 4])]
    _r = []
    for t in asyncio.as_completed(tasks):
        b = await t
        _r.append(b)

    # 返回值
    return _r

result = asyncio.run(func("A",2))
print(f"result = {result}")

result = asyncio.run(main())
print(f"result = {result}")
