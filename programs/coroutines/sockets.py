"""Working with socket objects directly, DNS, 传送文件."""

import asyncio
import socket
import tempfile


async def answer(loop, listener):
    connection, address = await loop.sock_accept(listener)
    with connection:
        while data := await loop.sock_recv(connection, 1000):
            await loop.sock_sendall(connection, data.upper())
    return address


async def receive(loop, listener):
    connection, _ = await loop.sock_accept(listener)
    buffer, parts = bytearray(10_000), []
    with connection:
        while count := await loop.sock_recv_into(connection, buffer):
            parts.append(bytes(buffer[:count]))
    return b"".join(parts)


def new_socket():
    made = socket.socket()
    made.setblocking(False)
    return made


async def main():
    loop = asyncio.get_running_loop()

    # DNS
    found = await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
    print(found[0][0] == socket.AF_INET, found[0][4])
    print(await loop.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV))

    with new_socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = listener.getsockname()

        answering = asyncio.create_task(answer(loop, listener))
        with new_socket() as client:
            await loop.sock_connect(client, address)
            for message in (b"one", b"two"):
                await loop.sock_sendall(client, message)
                print(await loop.sock_recv(client, 100))
            name = client.getsockname()
        print(await answering == name)

        receiving = asyncio.create_task(receive(loop, listener))
        data = b"0123456789" * 50_000
        with new_socket() as client, tempfile.TemporaryFile() as file:
            file.write(data)
            file.flush()
            await loop.sock_connect(client, address)
            print(await loop.sock_sendfile(client, file, offset=5))
        print(await receiving == data[5:])

        # A wait that is cancelled, and one whose time is up.
        with new_socket() as client:
            await loop.sock_connect(client, address)
            try:
                await asyncio.wait_for(loop.sock_recv(client, 10), 0.02)
            except asyncio.TimeoutError:
                print("TimeoutError")


asyncio.run(main())
