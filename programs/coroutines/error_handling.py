"""Error Handling API, Enabling debug mode."""

import asyncio
import gc
import logging
import time


class Printing(logging.Handler):
    def emit(self, record):
        first_line = record.getMessage().splitlines()[0]
        print(f"{record.levelname}: {first_line.partition(' at ')[0]}")


logging.getLogger("asyncio").addHandler(Printing())


def fail():
    raise ValueError("wrong")


async def failing():
    raise KeyError("wrong key")


async def main():
    loop = asyncio.get_running_loop()
    contexts = []
    print(loop.get_exception_handler())
    loop.set_exception_handler(lambda loop, context: contexts.append(context))

    # An exception in a callback ends neither the loop nor the turn.
    loop.call_soon(fail)
    loop.call_soon(contexts.append, None)
    await asyncio.sleep(0)
    context, marker = contexts
    print(sorted(context), repr(context["exception"]), marker)
    contexts.clear()

    # The exception of a task that nobody asks for.
    task = asyncio.create_task(failing())
    await asyncio.wait([task])
    del task
    gc.collect()
    print(contexts[0]["message"], repr(contexts[0]["exception"]))
    contexts.clear()

    loop.call_exception_handler({"message": "by hand"})
    print(contexts)

    # A handler that fails itself, and the default one: both log.
    def bad_handler(loop, context):
        raise RuntimeError("bad handler")

    loop.set_exception_handler(bad_handler)
    loop.call_exception_handler({"message": "this"})
    loop.set_exception_handler(None)
    loop.call_exception_handler({"message": "that", "detail": 1})


async def debugged():
    loop = asyncio.get_running_loop()
    print(loop.get_debug(), loop.slow_callback_duration)
    loop.slow_callback_duration = 60

    def slow():
        loop.slow_callback_duration = 0.01
        time.sleep(0.02)

    loop.call_soon(slow)
    loop.call_soon(setattr, loop, "slow_callback_duration", 60)
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    # What belongs to a loop, called from elsewhere.
    def outside():
        try:
            loop.call_soon(print)
        except RuntimeError as error:
            return f"RuntimeError: {error}"

    print(await asyncio.to_thread(outside))


asyncio.run(main())
asyncio.run(debugged(), debug=True)
