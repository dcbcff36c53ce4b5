"""`await`: 只对`Awaitables`对象 (coroutines, Tasks, Futures) 有用, 对普通函数无效."""

import asyncio
import inspect
import types


async def native(x):        # 用`async def`声明
    await asyncio.sleep(0)
    return x + 1


@types.coroutine            # instead of `@asyncio.coroutine`, which ended with 3.10
def by_generator(x):
    yield
    result = yield from native(x).__await__()
    return result


class Later:
    def __init__(self, value):
        self.value = value

    def __await__(self):
        yield from asyncio.sleep(0).__await__()
        return self.value


async def numbers(count):
    for n in range(count):
        await asyncio.sleep(0)
        yield n


def ordinary():
    return 1


async def main():
    print(inspect.iscoroutinefunction(native))
    coroutine = native(1)
    print(asyncio.iscoroutine(coroutine), inspect.isawaitable(coroutine), await coroutine)
    print(await by_generator(1))
    print(await Later("an object of a class with __await__"))
    print(await asyncio.create_task(native(2)))
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, 4)
    print(await future)
    print([n async for n in numbers(3)], [await native(n) for n in range(3)])
    try:
        await ordinary()
    except TypeError:
        print("TypeError")
    try:
        await coroutine
    except RuntimeError as error:
        print(f"RuntimeError: {error}")


asyncio.run(main())
