"""监视文件描述符: loop.add_reader, remove_reader, add_writer, remove_writer."""

import asyncio
import os
import socket


async def main():
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    received = asyncio.Queue()

    loop.add_reader(left, lambda: received.put_nowait(left.recv(100)))
    for message in (b"one", b"two"):
        right.send(message)
        print(await received.get())
    loop.add_reader(left, lambda prefix: received.put_nowait(prefix + left.recv(100)), b"replaced: ")
    right.send(b"three")
    print(await received.get())
    print(loop.remove_reader(left), loop.remove_reader(left))
    right.send(b"four")
    await asyncio.sleep(0.01)
    print(received.empty(), left.recv(100))

    # There is room to write at once, and again and again while nobody says stop.
    writable = loop.create_future()
    count = 0

    def write():
        nonlocal count
        count += right.send(b"x")
        if count == 5:
            writable.set_result(loop.remove_writer(right))

    loop.add_writer(right, write)
    print(await writable, left.recv(100))

    read_end, write_end = os.pipe()
    ended = loop.create_future()
    loop.add_reader(read_end, lambda: ended.set_result(os.read(read_end, 10)))
    os.close(write_end)     # the end of the file is readable, too
    print(await ended, loop.remove_reader(read_end))
    os.close(read_end)
    left.close()
    right.close()


asyncio.run(main())
