"""A site of aiohttp's and its visitors: pages, uploads, streams, files, websockets, TLS."""

import asyncio
import hashlib
import ssl
import tempfile
from pathlib import Path

from aiohttp import (
    ClientConnectorError,
    ClientSession,
    ClientTimeout,
    FormData,
    ServerDisconnectedError,
    TCPConnector,
    WSMsgType,
    web,
)

CERTIFICATE = Path(__file__).parent.parent / "coroutines" / "_certificate.pem"
BLOB = bytes(range(256)) * 8192
VISITS = web.AppKey("visits", dict)
CLOCK = web.AppKey("clock", asyncio.Task)
TICKED = web.AppKey("ticked", asyncio.Event)


async def hello(request):
    request.app[VISITS]["hello"] += 1
    return web.json_response({"hello": request.match_info["name"], "by": request["by"]})


async def add(request):
    numbers = await request.json()
    return web.json_response({"sum": sum(numbers)})


async def download(request):
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    for start in range(0, len(BLOB), 60_000):
        await response.write(BLOB[start : start + 60_000])
    await response.write_eof()
    return response


async def upload(request):
    digest = hashlib.sha256()
    async for piece in request.content.iter_chunked(16_384):
        digest.update(piece)
    return web.Response(text=digest.hexdigest())


async def form(request):
    found = []
    async for part in await request.multipart():
        content = await part.read(decode=False)
        found.append(f"{part.name}={part.filename or bytes(content).decode()}:{len(content)}")
    return web.Response(text=" ".join(found))


async def talk(request):
    ws = web.WebSocketResponse(heartbeat=30)
    await ws.prepare(request)
    async for message in ws:
        if message.type is WSMsgType.BINARY:
            await ws.send_bytes(message.data[::-1])
        elif message.data == "bye":
            await ws.close(code=4001, message=b"see you")
        else:
            await ws.send_str(message.data.upper())
    return ws


async def never(request):
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        request.app[VISITS]["cancelled"] += 1
        request.app[TICKED].set()
        raise


async def broken(request):
    raise web.HTTPGone(text="sold out")


async def drop(request):
    request.transport.abort()
    return web.Response()


@web.middleware
async def sign(request, handler):
    request["by"] = "middleware"
    return await handler(request)


async def ticking(app):
    """A task in the background for as long as the site is up."""

    async def tick():
        while True:
            await asyncio.sleep(0.001)
            app[VISITS]["ticks"] += 1

    app[CLOCK] = asyncio.create_task(tick())
    yield
    app[CLOCK].cancel()
    await asyncio.gather(app[CLOCK], return_exceptions=True)
    print("background task cancelled:", app[CLOCK].cancelled(), app[VISITS]["ticks"] > 0)


def make_site(files):
    app = web.Application(middlewares=[sign], client_max_size=2**24)
    app[VISITS] = {"hello": 0, "cancelled": 0, "ticks": 0}
    app[TICKED] = asyncio.Event()
    app.cleanup_ctx.append(ticking)
    app.router.add_get("/hello/{name}", hello)
    app.router.add_post("/add", add)
    app.router.add_get("/download", download)
    app.router.add_post("/upload", upload)
    app.router.add_post("/form", form)
    app.router.add_get("/talk", talk)
    app.router.add_get("/never", never)
    app.router.add_get("/broken", broken)
    app.router.add_route("*", "/drop", drop)
    app.router.add_static("/files", files)
    return app


async def visit(session, url, app):
    async def one(number):
        async with session.get(f"{url}/hello/{number}") as response:
            return response.status, (await response.json())["hello"]

    answers = await asyncio.gather(*map(one, range(300)))
    print("pages:", len(answers), sorted({status for status, _ in answers}))
    print("each its own:", [name for _, name in answers] == [str(n) for n in range(300)])
    print("counted:", app[VISITS]["hello"])

    async with session.post(f"{url}/add", json=list(range(1000))) as response:
        print("sum:", (await response.json())["sum"])
    async with session.get(f"{url}/broken") as response:
        print("broken:", response.status, await response.text())

    async with session.get(f"{url}/download") as response:
        received = b"".join([piece async for piece in response.content.iter_any()])
        print("download:", response.headers["Transfer-Encoding"], received == BLOB)

    async def pieces():
        for start in range(0, len(BLOB), 100_000):
            yield BLOB[start : start + 100_000]
            await asyncio.sleep(0)

    async with session.post(f"{url}/upload", data=pieces()) as response:
        print("upload:", await response.text() == hashlib.sha256(BLOB).hexdigest())
    data = FormData()
    data.add_field("name", "tea")
    data.add_field("file", BLOB[:70_000], filename="blob.bin")
    async with session.post(f"{url}/form", data=data) as response:
        print("form:", await response.text())
    async with session.get(f"{url}/files/blob.bin") as response:
        print("file:", response.status, await response.read() == BLOB)
    async with session.get(f"{url}/files/blob.bin", headers={"Range": "bytes=5-9"}) as response:
        print("part of the file:", response.status, list(await response.read()))

    async with session.ws_connect(f"{url}/talk") as ws:
        for number in range(200):
            await ws.send_str(f"line {number}")
        print("websocket:", [await ws.receive_str() for _ in range(200)][-1])
        await ws.send_bytes(BLOB[:300_000])
        print("long message:", await ws.receive_bytes() == BLOB[:300_000][::-1])
        await ws.send_str("bye")
        last = await ws.receive()
        print("closed by the site:", last.type.name, last.data, last.extra, ws.closed)


async def meet_trouble(session, url, app):
    try:
        async with session.get(f"{url}/never", timeout=ClientTimeout(total=0.05)):
            print("answered?")
    except TimeoutError:
        print("too slow: TimeoutError")
    await app[TICKED].wait()
    print("the site noticed:", app[VISITS]["cancelled"])
    try:
        async with session.post(f"{url}/drop", data=b"x"):
            print("answered?")
    except ServerDisconnectedError as error:
        print("dropped:", type(error).__name__)


async def main():
    with tempfile.TemporaryDirectory() as files:
        Path(files, "blob.bin").write_bytes(BLOB)
        app = make_site(files)
        runner = web.AppRunner(app, handler_cancellation=True)
        await runner.setup()
        server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server_tls.load_cert_chain(CERTIFICATE)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_tls).start()
        await web.UnixSite(runner, f"{files}/site.sock").start()
        plain, secure = (address[1] for address in runner.addresses[:2])

        async with ClientSession(connector=TCPConnector(limit=30)) as session:
            await visit(session, f"http://127.0.0.1:{plain}", app)
            await meet_trouble(session, f"http://127.0.0.1:{plain}", app)

        client_tls = ssl.create_default_context(cafile=str(CERTIFICATE))
        async with ClientSession(connector=TCPConnector(ssl=client_tls)) as session:
            async with session.get(f"https://localhost:{secure}/download") as response:
                print("over TLS:", await response.read() == BLOB)
            async with session.ws_connect(f"https://localhost:{secure}/talk") as ws:
                await ws.send_bytes(BLOB[:300_000])
                print("websocket over TLS:", await ws.receive_bytes() == BLOB[:300_000][::-1])
        await runner.cleanup()

        async with ClientSession() as session:
            try:
                await session.get(f"http://127.0.0.1:{plain}/hello/late")
            except ClientConnectorError as error:
                print("after the end:", type(error).__name__)


asyncio.run(main())
