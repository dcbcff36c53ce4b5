import asyncio
import threading

async def add(x, y):
    await asyncio.sleep(0.01)
    return x + y

async def fail():
    raise ValueError("no")

loop = asyncio.new_event_loop()
thread = threading.Thread(target=loop.run_forever)
thread.start()

# 从其他线程调度, 返回 concurrent.futures.Future
future = asyncio.run_coroutine_threadsafe(add(1, 2), loop)
print(future.result(timeout=10))
print(repr(asyncio.run_coroutine_threadsafe(fail(), loop).exception(timeout=10)))

stuck = asyncio.run_coroutine_threadsafe(asyncio.sleep(60), loop)
print(stuck.cancel(), stuck.cancelled())

said = threading.Event()
loop.call_soon_threadsafe(said.set)
print(said.wait(10))

loop.call_soon_threadsafe(loop.stop)
thread.join()
loop.run_until_complete(loop.shutdown_asyncgens())
loop.close()
print(loop.is_closed())
