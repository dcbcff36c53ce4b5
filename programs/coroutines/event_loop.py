import asyncio
import os
import signal
import socket

loop = asyncio.new_event_loop()
order = []

# 调度回调、延迟的回调
loop.call_soon(order.append, "soon")
loop.call_later(0.02, order.append, "later")
loop.call_at(loop.time() + 0.01, order.append, "at")
cancelled = loop.call_soon(order.append, "cancelled")
cancelled.cancel()
loop.call_later(0.03, loop.stop)
loop.run_forever()
print(order, cancelled.cancelled())

# 错误处理
def handler(loop, context):
    print(context["message"].partition(" in ")[0], repr(context["exception"]))
loop.set_exception_handler(handler)
loop.call_soon(lambda: 1 / 0)
loop.call_soon(loop.stop)
loop.run_forever()
print(loop.get_exception_handler() is handler)

# 监视文件描述符
ours, theirs = socket.socketpair()
ours.setblocking(False)
def readable():
    print("readable:", ours.recv(100))
    loop.remove_reader(ours)
    loop.stop()
loop.add_reader(ours, readable)
theirs.send(b"data")
loop.run_forever()

# Working with socket objects directly
async def sockets():
    theirs.setblocking(False)
    await loop.sock_sendall(ours, b"there")
    print(await loop.sock_recv(theirs, 100))
loop.run_until_complete(sockets())
ours.close(); theirs.close()

# Unix signals
def on_signal():
    print("signal")
    loop.stop()
loop.add_signal_handler(signal.SIGUSR1, on_signal)
loop.call_soon(os.kill, os.getpid(), signal.SIGUSR1)
loop.run_forever()
print(loop.remove_signal_handler(signal.SIGUSR1))

# Executing code in thread pools, DNS, pipes
async def more():
    print(await loop.run_in_executor(None, sum, [1, 2, 3]))
    found = await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
    print(found[0][4])
    reading, writing = os.pipe()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), open(reading, "rb", 0))
    os.write(writing, b"through a pipe")
    os.close(writing)
    print(await reader.read())
loop.run_until_complete(more())

# debug mode
print(loop.get_debug())
loop.set_debug(True)
print(loop.get_debug())
loop.run_until_complete(loop.shutdown_asyncgens())
loop.run_until_complete(loop.shutdown_default_executor())
loop.close()
try:
    loop.call_soon(print)
except RuntimeError as error:
    print(error)
