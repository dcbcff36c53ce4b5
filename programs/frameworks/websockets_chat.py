"""A chat on websockets: broadcasts, compression, limits, and how connections end."""

import asyncio
import ssl
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.asyncio.server import broadcast, serve
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus

CERTIFICATE = Path(__file__).parent.parent / "coroutines" / "_certificate.pem"
GUESTS = 40
room = set()


async def chat(ws):
    name = await ws.recv()
    room.add(ws)
    await ws.send(f"welcome {name}")
    try:
        async for message in ws:
            if message == "leave":
                await ws.close(4000, "as you wish")
            else:
                broadcast(room, f"{name}: {message}")
    except ConnectionClosedError:
        pass
    finally:
        room.discard(ws)


def bouncer(connection, request):
    if request.path == "/closed":
        return connection.respond(403, "members only\n")
    return None


async def guest(url, number, everyone, **options):
    async with connect(url, **options) as ws:
        await ws.send(f"guest{number}")
        assert await ws.recv() == f"welcome guest{number}"
        await everyone.wait()
        await ws.send(f"hello {number}")
        heard = {await ws.recv() for _ in range(GUESTS)}
        latency = await (await ws.ping())
        # Nobody leaves before all have heard all.
        await everyone.wait()
        return len(heard), latency >= 0


async def main():
    async with serve(chat, "127.0.0.1", 0, process_request=bouncer, max_size=2**20) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        everyone = asyncio.Barrier(GUESTS)
        async with asyncio.TaskGroup() as group:
            guests = [
                group.create_task(guest(url, number, everyone, compression=how))
                for number, how in zip(range(GUESTS), ("deflate", None) * GUESTS, strict=False)
            ]
        print("guests heard:", {task.result() for task in guests})

        async with connect(url) as ws:
            await ws.send("lonely")
            await ws.recv()
            await ws.send(part async for part in parts())
            print("in parts:", len(await ws.recv()))
            await ws.send("leave")
            try:
                await ws.recv()
            except ConnectionClosedError as error:
                print("left:", error.rcvd.code, error.rcvd.reason)

        async with connect(url) as ws:
            await ws.send("loud")
            await ws.recv()
            await ws.send("x" * 2**21)
            try:
                await ws.recv()
            except ConnectionClosedError as error:
                print("too loud:", error.rcvd.code)

        async with connect(url) as ws:
            await ws.send("clumsy")
            await ws.recv()
            waiting = asyncio.create_task(ws.recv())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            await ws.send("still here")
            print("after a cancelled recv:", await ws.recv())
            try:
                async with asyncio.timeout(0.02):
                    await ws.recv()
            except TimeoutError:
                print("nothing more: TimeoutError")

        try:
            await connect(url + "/closed")
        except InvalidStatus as error:
            print("closed to the public:", error.response.status_code)

        last = await connect(url)
        await last.send("last")
        await last.recv()
    # The server closes what is open when it ends.
    try:
        await last.recv()
    except ConnectionClosedOK as error:
        print("the end:", error.rcvd.code, len(room))

    of_server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    of_server.load_cert_chain(CERTIFICATE)
    of_client = ssl.create_default_context(cafile=str(CERTIFICATE))
    async with serve(chat, "127.0.0.1", 0, ssl=of_server) as server:
        url = f"wss://localhost:{server.sockets[0].getsockname()[1]}"
        async with connect(url, ssl=of_client) as ws:
            await ws.send("secret")
            print("over TLS:", await ws.recv())
            await ws.send("y" * 700_000)
            print("long over TLS:", len(await ws.recv()))


async def parts():
    for number in range(100):
        yield str(number % 10) * 1000
        await asyncio.sleep(0)


asyncio.run(main())
