import asyncio

async def func(name, x):
    print(f"Task {name} start")
    await asyncio.sleep(0.05)
    print(f"Task {name}: get result")
    return {name: x + x**2}

async def main():
    # 方式2.1: gather
    _r = await asyncio.gather(func("A", 2),
                              func("B", 3),
                              func("C", 4)
                              )
    print(_r)

    # 方式2.2: gather
    tasks = [func("A", 2),
             func("B", 3),
             func("C", 4)]
    _r = await asyncio.gather(*tasks)
    return _r

result = asyncio.run(main())
print(f"result = {result}")

# return_exceptions
async def fail(name):
    raise ValueError(name)

async def with_exceptions():
    print(await asyncio.gather(func("D", 1), fail("E"), return_exceptions=True))
    try:
        await asyncio.gather(fail("F"), asyncio.sleep(60))
    except ValueError as error:
        print(repr(error))

asyncio.run(with_exceptions())
