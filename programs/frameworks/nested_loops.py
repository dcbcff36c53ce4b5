"""A loop run inside of itself with nest_asyncio, as in a notebook."""

import asyncio

import nest_asyncio


async def answer(value):
    await asyncio.sleep(0.001)
    return value


def ask(value):
    """A function, not a coroutine, that is called in a running loop and wants an answer."""
    return asyncio.get_running_loop().run_until_complete(answer(value))


async def nested(depth):
    if depth == 0:
        return ["bottom"]
    return [depth, *asyncio.run(nested(depth - 1))]


async def serve(reader, writer):
    writer.write(await reader.readline())
    writer.close()


async def echo(port, line):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(line)
    got = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return got


async def wait_within(future):
    return asyncio.get_running_loop().run_until_complete(future)


async def fail():
    raise ValueError("on purpose")


async def main():
    print("asked:", [ask(value) for value in ("one", "two")])
    print("nested:", await nested(5))

    ticks = []

    async def tick():
        while True:
            ticks.append(1)
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    print("meanwhile:", asyncio.run(answer("others run")), len(ticks) > 1)
    ticking.cancel()

    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print("connection:", loop.run_until_complete(echo(port, b"hello\n")))
    server.close()

    late = loop.create_future()
    threads = loop.run_in_executor(
        None, lambda: loop.call_soon_threadsafe(late.set_result, "from a thread")
    )
    print("woken:", loop.run_until_complete(late))
    await threads
    try:
        asyncio.run(fail())
    except ValueError as error:
        print("raised:", error)
    never = asyncio.create_task(asyncio.Event().wait())
    done, pending = loop.run_until_complete(asyncio.wait([never], timeout=0.01))
    print("timeout:", len(done), len(pending))
    never.cancel()
    print("cancelled:", loop.run_until_complete(asyncio.wait([never]))[0] == {never})

    # Both are to be called in the same turn of the loop, and the first waits for the second.
    flag = loop.create_future()
    first = asyncio.create_task(wait_within(flag))
    loop.call_soon(flag.set_result, "by the next in the line")
    print("waited:", await first)
    print("tasks left:", len(asyncio.all_tasks() - {asyncio.current_task()}))


nest_asyncio.apply()
asyncio.run(main())
