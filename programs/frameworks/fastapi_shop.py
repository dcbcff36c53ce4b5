"""A shop of FastAPI's, served by uvicorn, and its customers with httpx: all in one loop."""

import asyncio
import contextlib
import socket
import ssl
import threading
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import httpx
import uvicorn
import websockets
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel
from starlette.middleware.base import BaseHTTPMiddleware

CERTIFICATE = Path(__file__).parent.parent / "coroutines" / "_certificate.pem"
MAIN_THREAD = threading.get_ident()


class Order(BaseModel):
    item: str
    count: int


@asynccontextmanager
async def lifespan(app):
    app.state.orders = {}
    app.state.mailed = asyncio.Queue()
    app.state.patience = asyncio.Event()
    print("the shop opens")
    yield
    print("the shop closes with", sum(app.state.orders.values()), "things sold")


app = FastAPI(lifespan=lifespan)


async def stamp(request, call_next):
    response = await call_next(request)
    response.headers["x-stamp"] = request.method
    return response


app.add_middleware(BaseHTTPMiddleware, dispatch=stamp)


async def orders(request: Request):
    yield request.app.state.orders


Orders = Annotated[dict, Depends(orders)]


async def mail(item, mailed):
    await asyncio.sleep(0)
    await mailed.put(item)


@app.post("/orders", status_code=201)
async def order(order: Order, background: BackgroundTasks, orders: Orders):
    orders[order.item] = orders.get(order.item, 0) + order.count
    background.add_task(mail, order.item, app.state.mailed)
    return {"item": order.item}


@app.get("/orders/{item}")
def look_up(item: str, orders: Orders):
    # Not a coroutine function: called in a thread.
    if item not in orders:
        raise HTTPException(404, f"no {item}")
    return {"count": orders[item], "in a thread": threading.get_ident() != MAIN_THREAD}


@app.get("/catalogue")
async def catalogue():
    async def lines():
        for number in range(300):
            yield f"item {number}\n"

    return StreamingResponse(lines(), media_type="text/plain")


@app.get("/source")
async def source():
    return FileResponse(__file__)


@app.post("/stream")
async def stream(request: Request):
    size = 0
    async for piece in request.stream():
        size += len(piece)
    return {"size": size}


@app.get("/slow")
async def slow(request: Request):
    await request.app.state.patience.wait()


@app.websocket("/support")
async def support(websocket: WebSocket):
    await websocket.accept()
    async for question in websocket.iter_text():
        await websocket.send_json({"answer": question[::-1]})


async def shop(client):
    async def buy(number):
        answer = await client.post("/orders", json={"item": f"item{number % 7}", "count": number})
        return answer.status_code, answer.headers["x-stamp"]

    print("orders:", set(await asyncio.gather(*map(buy, range(70)))))
    print("mailed:", len([await app.state.mailed.get() for _ in range(70)]))
    print("looked up:", (await client.get("/orders/item3")).json())
    missing = await client.get("/orders/teapot")
    print("missing:", missing.status_code, missing.json())
    wrong = await client.post("/orders", json={"item": "tea", "count": "many"})
    print("wrong:", wrong.status_code, wrong.json()["detail"][0]["loc"])

    async with client.stream("GET", "/catalogue") as answer:
        lines = [line async for line in answer.aiter_lines()]
    print("catalogue:", len(lines), lines[-1])
    print("source:", (await client.get("/source")).text == Path(__file__).read_text())

    async def pieces():
        for _ in range(50):
            yield bytes(20_000)

    print("stream:", (await client.post("/stream", content=pieces())).json())
    try:
        await client.get("/slow", timeout=0.05)
    except httpx.ReadTimeout as error:
        print("slow:", type(error).__name__)
    many = [asyncio.create_task(client.get("/slow")) for _ in range(20)]
    await asyncio.sleep(0)
    for task in many:
        task.cancel()
    ends = await asyncio.gather(*many, return_exceptions=True)
    print("given up:", {type(end).__name__ for end in ends})
    app.state.patience.set()


async def ask(url, **options):
    async with websockets.connect(url, **options) as ws:
        await asyncio.gather(*(ws.send(f"question {number}") for number in range(100)))
        answers = [await ws.recv() for _ in range(100)]
    print("support:", len(set(answers)), answers[0])


@contextlib.asynccontextmanager
async def open_shop(**options):
    """Serve in a task; ends when the shop is closed and all customers are gone."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", **options))
    task = asyncio.create_task(server.serve([listening]))
    while not server.started:
        await asyncio.sleep(0.001)
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await task


async def main():
    for http in ("h11", "httptools"):
        print("---", http)
        async with open_shop(http=http, ws="websockets-sansio") as port:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
                await shop(client)
            await ask(f"ws://127.0.0.1:{port}/support")

    print("--- TLS")
    trust = ssl.create_default_context(cafile=str(CERTIFICATE))
    async with open_shop(ssl_certfile=CERTIFICATE) as port:
        async with httpx.AsyncClient(verify=trust, base_url=f"https://localhost:{port}") as client:
            answers = await asyncio.gather(*(client.get("/catalogue") for _ in range(10)))
            print("catalogues:", {len(answer.content) for answer in answers})
        await ask(f"wss://localhost:{port}/support", ssl=trust)


asyncio.run(main())
