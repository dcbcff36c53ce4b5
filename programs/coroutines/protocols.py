"""数据通讯和协议抽象: transports and protocols over TCP, UDP and pipes."""

import asyncio
import os


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data[::-1])

    def eof_received(self):
        self.transport.write(b"!")


class Client(asyncio.Protocol):
    def __init__(self, words):
        self.words = list(words)
        self.answers = []
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.send()

    def send(self):
        if self.words:
            self.transport.write(self.words.pop(0))
        elif self.transport.can_write_eof():
            self.transport.write_eof()

    def data_received(self, data):
        self.answers.append(data)
        self.send()

    def connection_lost(self, error):
        self.lost.set_result(error)


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self):
        self.received = asyncio.Queue()

    def datagram_received(self, data, address):
        self.received.put_nowait((data, address))


class Reading(asyncio.Protocol):
    def __init__(self):
        self.data = bytearray()
        self.ended = asyncio.get_running_loop().create_future()

    def data_received(self, data):
        self.data += data

    def connection_lost(self, error):
        self.ended.set_result(error)


async def main():
    loop = asyncio.get_running_loop()

    server = await loop.create_server(Echo, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    transport, client = await loop.create_connection(lambda: Client([b"abc", b"de"]), *address)
    print(transport.get_extra_info("peername") == address, transport.get_protocol() is client)
    print(await client.lost, client.answers[:2], client.answers[2:], transport.is_closing())
    server.close()
    await server.wait_closed()

    one, there = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 0))
    another, here = await loop.create_datagram_endpoint(
        Datagrams, remote_addr=one.get_extra_info("sockname")
    )
    another.sendto(b"question")
    data, address = await there.received.get()
    print(data, address == another.get_extra_info("sockname"))
    one.sendto(b"answer", address)
    print((await here.received.get())[0])
    one.close()
    another.close()

    # Working with pipes
    read_end, write_end = os.pipe()
    reading, reader = await loop.connect_read_pipe(Reading, os.fdopen(read_end, "rb", 0))
    writing, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(write_end, "wb", 0))
    writing.write(b"0123456789" * 100_000)
    writing.write_eof()
    print(await reader.ended, len(reader.data), reading.is_closing())


asyncio.run(main())
