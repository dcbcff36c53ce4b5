"""A server for tress-load: `python -m bench.serve protocol --side uvloop --cpu 1`.

It prints its port as JSON, and ends with its standard input. The echo servers are written as a user
of that part of asyncio would write them, the same for every side.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import socket
import ssl
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from bench import loops, sides
from bench.load import CERTIFICATE
from bench.sides import Side

HOST = "127.0.0.1"
BACKLOG = 1024
READ_BYTES = 256 << 10
BODY = b"Hello, world!"

# Servers and tasks, until the process ends: a loop need not hold them.
_kept: list[Any] = []


def _echo_protocol(asyncio: Any) -> type:
    class Echo(asyncio.Protocol):  # type: ignore[misc]
        def connection_made(self, transport: Any) -> None:
            self.write = transport.write

        def data_received(self, data: bytes) -> None:
            self.write(data)

    return Echo


async def protocol(side: Side, listener: socket.socket) -> None:
    """Echo, in `data_received`."""
    loop = side.asyncio.get_running_loop()
    _kept.append(await loop.create_server(_echo_protocol(side.asyncio), sock=listener))


async def tls(side: Side, listener: socket.socket) -> None:
    """The same, encrypted."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    loop = side.asyncio.get_running_loop()
    server = await loop.create_server(_echo_protocol(side.asyncio), sock=listener, ssl=context)
    _kept.append(server)


async def streams(side: Side, listener: socket.socket) -> None:
    """Echo, in a coroutine for each connection: read, write, drain."""

    async def echo(reader: Any, writer: Any) -> None:
        while data := await reader.read(READ_BYTES):
            writer.write(data)
            await writer.drain()
        writer.close()

    _kept.append(await side.asyncio.start_server(echo, sock=listener))


async def sock(side: Side, listener: socket.socket) -> None:
    """Echo, with the loop's `sock_` methods."""
    loop = side.asyncio.get_running_loop()
    listener.setblocking(False)

    async def echo(connection: socket.socket) -> None:
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := await loop.sock_recv(connection, READ_BYTES):
                await loop.sock_sendall(connection, data)

    async def accept() -> None:
        while True:
            connection, _ = await loop.sock_accept(listener)
            _kept.append(side.asyncio.create_task(echo(connection)))

    _kept.append(side.asyncio.create_task(accept()))


async def aiohttp(side: Side, listener: socket.socket) -> None:
    """aiohttp: one handler, a short text, no access log."""
    web: Any = importlib.import_module("aiohttp.web")

    async def hello(request: Any) -> Any:
        return web.Response(body=BODY)

    application = web.Application()
    application.router.add_get("/", hello)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    _kept.append(runner)


async def uvicorn(side: Side, listener: socket.socket) -> None:
    """uvicorn with httptools: an ASGI application of a few lines, no access log."""
    library: Any = importlib.import_module("uvicorn")
    start = {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-length", str(len(BODY)).encode())],
    }

    async def hello(scope: Any, receive: Any, send: Any) -> None:
        await send(start)
        await send({"type": "http.response.body", "body": BODY})

    config = library.Config(
        hello, http="httptools", lifespan="off", access_log=False, log_level="warning"
    )
    server = library.Server(config)
    serving = side.asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        if serving.done():
            raise RuntimeError("uvicorn ended before it listened")
        await side.asyncio.sleep(0.01)
    _kept.append(serving)


_SERVERS: dict[str, Callable[[Side, socket.socket], Coroutine[Any, Any, None]]] = {
    loops.PROTOCOL: protocol,
    loops.STREAMS: streams,
    loops.SOCK: sock,
    loops.TLS: tls,
    loops.AIOHTTP: aiohttp,
    loops.UVICORN: uvicorn,
}


def _listener() -> socket.socket:
    """As asyncio's `create_server(host, port)` makes it.

    The protocol is named: asyncio switches off Nagle's algorithm only where it sees TCP.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, 0))
    listener.listen(BACKLOG)
    return listener


async def _serve(side: Side, kind: str) -> None:
    loop = side.asyncio.get_running_loop()
    ended = loop.create_future()
    listener = _listener()
    port = listener.getsockname()[1]  # asked for now: rloop takes the descriptor away
    await _SERVERS[kind](side, listener)
    loop.add_reader(sys.stdin.fileno(), ended.set_result, None)
    print(json.dumps({"port": port}), flush=True)
    await ended
    # What is under way is nobody's any more: an orderly end would only be waited for.
    os._exit(0)


def main() -> int:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m bench.serve", description=__doc__)
    parser.add_argument("kind", choices=loops.SERVERS)
    parser.add_argument("--side", required=True, choices=(loops.TRESS, *loops.RIVALS))
    parser.add_argument("--cpu", type=int, help="run on that CPU only")
    parsed = parser.parse_args()
    if parsed.cpu is not None:
        os.sched_setaffinity(0, {parsed.cpu})
    side = sides.load(parsed.side)
    if parsed.side == loops.TRESS and parsed.kind in loops.FRAMEWORKS:
        # A framework imports asyncio: this is how its user has it run on tress.
        importlib.import_module("tress").install("coroutines")
    with side.asyncio.Runner(loop_factory=side.new_event_loop) as runner:
        runner.run(_serve(side, parsed.kind))
    return 0


if __name__ == "__main__":
    sys.exit(main())
