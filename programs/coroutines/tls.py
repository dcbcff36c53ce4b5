"""TLS, TLS Upgrade: a connection that is encrypted from the start, and one that becomes so."""

import asyncio
import pathlib
import ssl

CERTIFICATE = pathlib.Path(__file__).with_name("_certificate.pem")

of_server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
of_server.load_cert_chain(CERTIFICATE)
of_client = ssl.create_default_context(cafile=CERTIFICATE)


async def serve(reader, writer):
    while line := await reader.readline():
        if line == b"encrypt\n":
            writer.write(b"go on\n")
            await writer.start_tls(of_server)
            continue
        encrypted = writer.get_extra_info("ssl_object") is not None
        writer.write(line.strip().upper() + f" {encrypted}\n".encode())
        await writer.drain()
    writer.close()


async def ask(reader, writer, line):
    writer.write(line)
    await writer.drain()
    return await reader.readline()


async def main():
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=of_server) as server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=of_client, server_hostname="localhost"
        )
        print(await ask(reader, writer, b"from the start\n"))
        print(writer.get_extra_info("peercert")["subject"])
        writer.close()
        await writer.wait_closed()
        try:
            await asyncio.open_connection("127.0.0.1", port, ssl=of_client, server_hostname="other")
        except ssl.SSLCertVerificationError as error:
            print(f"SSLCertVerificationError: {error.verify_message}")

    # TLS Upgrade
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        print(await ask(reader, writer, b"plain\n"))
        print(await ask(reader, writer, b"encrypt\n"))
        await writer.start_tls(of_client, server_hostname="localhost")
        print(await ask(reader, writer, b"upgraded\n"))
        writer.close()
        await writer.wait_closed()


asyncio.run(main())
