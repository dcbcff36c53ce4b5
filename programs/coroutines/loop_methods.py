"""事件循环: 获取, 启动和停止, 调度回调、延迟的回调, 创建 Futures 和 Tasks."""

import asyncio

try:
    asyncio.get_running_loop()
except RuntimeError as error:
    print(f"RuntimeError: {error}")

loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
print(asyncio.get_event_loop() is loop, isinstance(loop, asyncio.AbstractEventLoop))
print(loop.is_running(), loop.is_closed())


# 启动和停止
async def look():
    print(asyncio.get_running_loop() is loop, asyncio.get_event_loop() is loop, loop.is_running())
    return "done"


print(loop.run_until_complete(look()))
future = loop.create_future()
loop.call_soon(future.set_result, "a future's result")
print(loop.run_until_complete(future))

loop.call_soon(print, "called in run_forever")
loop.call_soon(loop.stop)
loop.call_soon(print, "the turn is finished first")
loop.run_forever()
print(loop.is_running())


# 调度回调、延迟的回调
calls = []


def add_more():
    calls.append("first turn")
    loop.call_soon(calls.append, "next turn")


loop.call_soon(add_more)
loop.call_soon(calls.append, "first turn, too")
handle = loop.call_soon(calls.append, "never")
handle.cancel()
now = loop.time()
loop.call_at(now + 0.03, calls.append, "at 0.03")
loop.call_later(0.02, calls.append, "after 0.02")
late = loop.call_later(0.01, calls.append, "never")
late.cancel()
loop.call_later(0.1, loop.stop)
loop.run_forever()
print(calls)
print(handle.cancelled(), late.cancelled(), late.when() > now, loop.time() >= now + 0.1)


# 创建 Futures 和 Tasks
class Task(asyncio.Task):
    pass


def factory(loop, coro, **options):
    return Task(coro, loop=loop, **options)


print(type(loop.create_future()).__name__, loop.get_task_factory())
loop.set_task_factory(factory)
task = loop.create_task(look())
print(type(task) is Task, loop.get_task_factory() is factory, loop.run_until_complete(task))
loop.set_task_factory(None)


# coroutine loop.shutdown_asyncgens()
async def generator():
    try:
        while True:
            yield "item"
    finally:
        await asyncio.sleep(0)
        print("the generator was closed")


async def begin(items):
    print(await items.asend(None))


items = generator()
loop.run_until_complete(begin(items))
loop.run_until_complete(loop.shutdown_asyncgens())

loop.close()
loop.close()    # once more does nothing
asyncio.set_event_loop(None)
print(loop.is_closed())
for call in (loop.run_forever, lambda: loop.call_soon(print), lambda: loop.call_later(1, print)):
    try:
        call()
    except RuntimeError as error:
        print(f"RuntimeError: {error}")
