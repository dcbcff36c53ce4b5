import asyncio

async def func(name, x):
    print(f"Task {name} start")
    await asyncio.sleep(0.05)
    print(f"Task {name}: get result")
    return {name: x + x**2}

async def main():
    # 方式5: as_completed
    tasks = [asyncio.create_task(func(name, x))
             for name, x in zip("ABC", [2, 3, 4])]
    _r = []
    for t in asyncio.as_completed(tasks):
        b = await t
        _r.append(b)

    # 先完成的先得到
    tasks = [after(0.06, "slow"), after(0.02, "quick")]
    for t in asyncio.as_completed(tasks):
        print(await t)

    # 返回值
    return _r

async def after(delay, value):
    return await asyncio.sleep(delay, result=value)

result = asyncio.run(main())
print(f"result = {sorted(result, key=str)}")
