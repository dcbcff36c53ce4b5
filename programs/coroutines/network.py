import asyncio
import os
import tempfile

async def handle(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()

class Reverse(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        self.transport.write(data[::-1])
    def eof_received(self):
        return False

class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport
    def datagram_received(self, data, addr):
        self.transport.sendto(data * 2, addr)

class Client(asyncio.DatagramProtocol):
    def __init__(self):
        self.received = asyncio.get_running_loop().create_future()
    def datagram_received(self, data, addr):
        self.received.set_result(data)

async def main():
    loop = asyncio.get_running_loop()

    # 流: TCP 和 unix
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.writelines([b"first\n", b"second\n"])
    writer.write_eof()
    print(await reader.read())
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        server = await asyncio.start_unix_server(handle, path)
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"unix\n")
        print(await reader.readline())
        writer.close()
        server.close()

    # 协议
    async with await loop.create_server(Reverse, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"abc")
        print(await reader.readexactly(3))
        writer.close()

    # UDP
    transport, _ = await loop.create_datagram_endpoint(Datagrams, ("127.0.0.1", 0))
    address = transport.get_extra_info("sockname")
    sender, protocol = await loop.create_datagram_endpoint(Client, remote_addr=address)
    sender.sendto(b"udp")
    print(await protocol.received)
    sender.close()
    transport.close()

asyncio.run(main())
