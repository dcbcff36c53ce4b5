"""打开网络连接, 创建网络服务器: streams over TCP and over a Unix socket."""

import asyncio
import os
import tempfile


async def serve(reader, writer):
    while line := await reader.readline():
        if line == b"stop\n":
            break
        writer.write(line.upper())
        await writer.drain()
    writer.write(b"bye\n")
    writer.close()
    await writer.wait_closed()


async def talk(reader, writer, name):
    answers = []
    for number in range(3):
        writer.write(f"{name} {number}\n".encode())
        await writer.drain()
        answers.append((await reader.readline()).decode().strip())
    writer.write(b"stop\n")
    answers.append((await reader.read()).decode().strip())
    print(reader.at_eof(), writer.can_write_eof(), writer.is_closing())
    writer.close()
    await writer.wait_closed()
    return answers


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        print(server.is_serving(), host)
        connections = [await asyncio.open_connection(host, port) for _ in range(3)]
        talks = [talk(*ends, name) for ends, name in zip(connections, "abc")]
        for answers in await asyncio.gather(*talks):
            print(answers)

        # Much more than a socket's buffers hold, while both sides write.
        reader, writer = await asyncio.open_connection(host, port)
        line = b"x" * 1000 + b"\n"
        received = asyncio.create_task(reader.readexactly(2000 * len(line)))
        for _ in range(2000):
            writer.write(line)
            await writer.drain()
        print(await received == 2000 * line.upper())
        writer.write_eof()
        print(await reader.read())
        writer.close()
        await writer.wait_closed()
    print(server.is_serving())
    try:
        await asyncio.open_connection(host, port)
    except ConnectionRefusedError:
        print("ConnectionRefusedError")

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        async with await asyncio.start_unix_server(serve, path):
            print(await talk(*await asyncio.open_unix_connection(path), "unix"))


asyncio.run(main())
