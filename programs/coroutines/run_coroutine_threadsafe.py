"""asyncio.run_coroutine_threadsafe(coro, loop): 从其他线程调度."""

import asyncio
import concurrent.futures
import threading


async def where(x):
    await asyncio.sleep(0)
    return x + x**2, threading.current_thread().name


async def fail():
    raise ValueError("wrong")


def run_loop(loop):
    asyncio.set_event_loop(loop)
    loop.run_forever()


loop = asyncio.new_event_loop()
thread = threading.Thread(target=run_loop, args=(loop,), name="loop's thread")
thread.start()

future = asyncio.run_coroutine_threadsafe(where(2), loop)
print(isinstance(future, concurrent.futures.Future), future.result(timeout=30))
print(repr(asyncio.run_coroutine_threadsafe(fail(), loop).exception(timeout=30)))

# From many threads at once.
results = []


def ask(number):
    results.append(asyncio.run_coroutine_threadsafe(where(number), loop).result(timeout=30))


threads = [threading.Thread(target=ask, args=(n,)) for n in range(20)]
for t in threads:
    t.start()
for t in threads:
    t.join()
print(sorted(results) == [(n + n**2, "loop's thread") for n in range(20)])

# A call without a coroutine: call_soon_threadsafe.
called = threading.Event()
loop.call_soon_threadsafe(called.set)
print(called.wait(30))

future = asyncio.run_coroutine_threadsafe(asyncio.sleep(60), loop)
print(future.cancel(), future.cancelled())

# The other way round: a thread's function awaited in a coroutine.
print(asyncio.run(asyncio.to_thread(sum, [1, 2, 3])))

loop.call_soon_threadsafe(loop.stop)
thread.join()
loop.run_until_complete(loop.shutdown_asyncgens())
loop.close()
try:
    loop.call_soon_threadsafe(print)
except RuntimeError as error:
    print(f"RuntimeError: {error}")
