"""What anyio offers: scopes, streams, threads, subprocesses, sockets, TLS, signals."""

import os
import signal
import ssl
import sys
import tempfile
import threading
from pathlib import Path

import anyio
from anyio import (
    BrokenResourceError,
    CancelScope,
    CapacityLimiter,
    Condition,
    EndOfStream,
    Event,
    Lock,
    Semaphore,
    create_memory_object_stream,
    create_task_group,
    fail_after,
    from_thread,
    move_on_after,
    to_thread,
)
from anyio.abc import TaskStatus
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSListener, TLSStream

CERTIFICATE = Path(__file__).parent.parent / "coroutines" / "_certificate.pem"


async def groups_and_scopes():
    done = []

    async def sleeper(number, *, task_status: TaskStatus = anyio.TASK_STATUS_IGNORED):
        task_status.started(number * 10)
        try:
            await anyio.sleep(60)
        finally:
            with CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
                done.append(number)

    async with create_task_group() as group:
        print("started:", [await group.start(sleeper, number) for number in range(3)])
        group.cancel_scope.cancel()
    print("cancelled, and cleaned up:", sorted(done))

    with move_on_after(0.01) as scope:
        await anyio.sleep(60)
    print("moved on:", scope.cancelled_caught)
    try:
        with fail_after(0.01):
            await Event().wait()
    except TimeoutError:
        print("failed after")

    async def fail(number):
        raise ValueError(number)

    try:
        async with create_task_group() as group:
            group.start_soon(fail, 1)
            group.start_soon(anyio.sleep, 60)
    except* ValueError as errors:
        print("errors:", errors.exceptions)


async def streams_in_memory():
    send, receive = create_memory_object_stream(5)
    sums = []

    async def produce(sender):
        async with sender:
            for number in range(500):
                await sender.send(number)

    async def consume(receiver):
        async with receiver:
            sums.append(sum([number async for number in receiver]))

    async with create_task_group() as group:
        for _ in range(4):
            group.start_soon(produce, send.clone())
            group.start_soon(consume, receive.clone())
        send.close()
        receive.close()
    print("sum through a stream:", sum(sums))
    send, receive = create_memory_object_stream()
    receive.close()
    try:
        await send.send(1)
    except BrokenResourceError:
        print("nobody receives")
    finally:
        send.close()


async def primitives():
    lock, condition, semaphore, limiter = Lock(), Condition(), Semaphore(3), CapacityLimiter(2)
    state = {"inside": 0, "most": 0, "woken": 0}

    async def use(guard):
        async with guard:
            state["inside"] += 1
            state["most"] = max(state["most"], state["inside"])
            await anyio.lowlevel.checkpoint()
            state["inside"] -= 1

    for guard in (lock, semaphore, limiter):
        state["most"] = 0
        async with create_task_group() as group:
            for _ in range(10):
                group.start_soon(use, guard)
        print(type(guard).__mro__[-2].__name__, "lets in", state["most"])

    async def wait():
        async with condition:
            state["inside"] += 1
            await condition.wait()
            state["woken"] += 1

    async with create_task_group() as group:
        for _ in range(5):
            group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        async with condition:
            condition.notify_all()
    print("woken:", state["woken"])


async def threads():
    loop_thread = threading.get_ident()

    def work(number):
        # From the thread into the loop and back.
        back = from_thread.run(twice, number)
        return back + from_thread.run_sync(int, "1"), threading.get_ident() != loop_thread

    async def twice(number):
        await anyio.sleep(0)
        return 2 * number

    results = []

    async def call(number):
        results.append(await to_thread.run_sync(work, number))

    async with create_task_group() as group:
        for number in range(50):
            group.start_soon(call, number)
    print("from threads:", sum(result for result, _ in results), all(own for _, own in results))

    def portal():
        with from_thread.start_blocking_portal() as other:
            future = other.start_task_soon(twice, 21)
            return future.result(), other.call(twice, 4)

    print("a loop in another thread:", await to_thread.run_sync(portal))


async def processes():
    done = await anyio.run_process(["cat"], input=b"x" * 300_000)
    print("process:", len(done.stdout), done.returncode)
    program = "for line in iter(input, 'end'): print(line.upper(), flush=True)"
    async with await anyio.open_process([sys.executable, "-c", program]) as process:
        lines = BufferedByteReceiveStream(process.stdout)
        for word in (b"one\n", b"two\n"):
            await process.stdin.send(word)
            print("said:", await lines.receive_until(b"\n", 100))
        await process.stdin.send(b"end\n")
        print("ended:", await process.wait())
    with move_on_after(0.05):
        await anyio.run_process(["sleep", "60"])
    print("killed in time")


async def shout(stream):
    async with stream:
        try:
            while True:
                await stream.send((await stream.receive()).upper())
        except EndOfStream:
            pass


async def talk(stream):
    received = b""
    async with stream:
        for number in range(100):
            await stream.send(b"line %d\n" % number)
        if not isinstance(stream, TLSStream):
            await stream.send_eof()
        while received.count(b"\n") < 100:
            received += await stream.receive()
    return received.count(b"LINE"), received[-8:]


async def sockets():
    of_server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    of_server.load_cert_chain(CERTIFICATE)
    of_client = ssl.create_default_context(cafile=str(CERTIFICATE))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "socket")
        tcp = await anyio.create_tcp_listener(local_host="127.0.0.1")
        unix = await anyio.create_unix_listener(path)
        under_tls = await anyio.create_tcp_listener(local_host="127.0.0.1")
        tls = TLSListener(under_tls, of_server)
        port, tls_port = (
            listener.listeners[0].extra(anyio.abc.SocketAttribute.local_port)
            for listener in (tcp, under_tls)
        )
        async with create_task_group() as group:
            for listener in (tcp, unix, tls):
                group.start_soon(listener.serve, shout)
            print("tcp:", await talk(await anyio.connect_tcp("127.0.0.1", port)))
            print("unix:", await talk(await anyio.connect_unix(path)))
            secure = await anyio.connect_tcp(
                "127.0.0.1", tls_port, ssl_context=of_client, tls_hostname="localhost"
            )
            print("tls:", await talk(secure))
            group.cancel_scope.cancel()
        for listener in (tcp, unix, tls):
            await listener.aclose()
        try:
            await anyio.connect_tcp("127.0.0.1", port)
        except OSError as error:
            print("nobody listens:", isinstance(error.__cause__, ConnectionRefusedError))

    async with await anyio.create_udp_socket(local_host="127.0.0.1") as one:
        one_port = one.extra(anyio.abc.SocketAttribute.local_port)
        async with await anyio.create_connected_udp_socket("127.0.0.1", one_port) as other:
            await other.send(b"datagram")
            data, address = await one.receive()
            await one.sendto(data[::-1], *address)
            print("udp:", await other.receive())


async def files_and_signals():
    async with await anyio.open_file(__file__) as file:
        print("file:", (await file.readline()).startswith('"""What'))
    print("path:", await anyio.Path(__file__).is_file())
    with anyio.open_signal_receiver(signal.SIGUSR1) as signals:
        os.kill(os.getpid(), signal.SIGUSR1)
        async for number in signals:
            print("signal:", number.name)
            break
    read, write = os.pipe()
    os.set_blocking(read, False)
    async with create_task_group() as group:
        group.start_soon(anyio.wait_readable, read)
        await anyio.wait_all_tasks_blocked()
        os.write(write, b"x")
    print("readable:", os.read(read, 10))
    os.close(read)
    os.close(write)


async def main():
    for part in (
        *(groups_and_scopes, streams_in_memory, primitives, threads, processes, sockets),
        files_and_signals,
    ):
        print("---", part.__name__)
        await part()


if __name__ == "__main__":
    anyio.run(main)
