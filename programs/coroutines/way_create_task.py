import asyncio

async def func(name, x):
    print(f"Task {name} start")
    await asyncio.sleep(0.05)
    print(f"Task {name}: get result")
    return {name: x + x**2}

# result =  asyncio.run(func("A",2))
# print(f"result = {result}")

async def main():
    # 方式1: create_task
    _r = await asyncio.create_task(func("A", 2))
    return _r

result = asyncio.run(main())
print(f"result = {result}")
