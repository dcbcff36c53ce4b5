"""Unix signals: loop.add_signal_handler, loop.remove_signal_handler."""

import asyncio
import os
import signal


async def main():
    loop = asyncio.get_running_loop()
    received = asyncio.Queue()
    for number in (signal.SIGUSR1, signal.SIGTERM):
        loop.add_signal_handler(number, received.put_nowait, number)
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGUSR1):
        os.kill(os.getpid(), number)
        print((await received.get()).name)
    print(loop.remove_signal_handler(signal.SIGUSR1), loop.remove_signal_handler(signal.SIGUSR1))
    print(signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL)
    for number in (signal.SIGKILL, 1000):
        try:
            loop.add_signal_handler(number, print)
        except (RuntimeError, ValueError) as error:
            print(f"{type(error).__name__}: {error}")


async def interrupted():
    try:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        print("cancelled")
        raise


asyncio.run(main())
try:
    asyncio.run(interrupted())
except KeyboardInterrupt:
    print("KeyboardInterrupt")
