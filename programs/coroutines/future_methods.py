"""asyncio.Future: 本质是一个回调管理器."""

import asyncio
import contextvars

number = contextvars.ContextVar("number")


async def set_later(future, value):
    future.set_result(value)


async def main():
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    print(future.done(), future.cancelled(), future.get_loop() is loop, asyncio.isfuture(future))
    try:
        future.result()
    except asyncio.InvalidStateError as error:
        print(f"InvalidStateError: {error}")

    called = []
    context = contextvars.copy_context()
    context.run(number.set, 7)
    future.add_done_callback(lambda done: called.append(("first", done.result())))
    future.add_done_callback(lambda done: called.append(("second", number.get())), context=context)
    future.add_done_callback(print)
    print(future.remove_done_callback(print))
    task = asyncio.create_task(set_later(future, "value"))
    print(await future, await task)
    print(called)
    future.add_done_callback(lambda done: called.append("at once, but not before the next turn"))
    print(len(called))
    await asyncio.sleep(0)
    print(called[2:])
    try:
        future.set_result("another")
    except asyncio.InvalidStateError:
        print("InvalidStateError")

    future = loop.create_future()
    future.set_exception(ValueError("wrong"))
    print(repr(future.exception()))
    try:
        await future
    except ValueError as error:
        print(f"ValueError: {error}")

    future = loop.create_future()
    print(future.cancel("no more"), future.cancelled(), future.done(), future.cancel())
    try:
        await future
    except asyncio.CancelledError as error:
        print(f"CancelledError: {error}")

    # A future of concurrent.futures, awaited.
    import concurrent.futures

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        print(await asyncio.wrap_future(pool.submit(pow, 2, 10)))


asyncio.run(main())
