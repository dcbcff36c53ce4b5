"""asyncio.Task: Future的派生类, 主要方法."""

import asyncio
import io


async def compute(x):
    await asyncio.sleep(0)
    return x * 2


async def fail():
    raise ValueError("wrong")


async def stubborn():
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return "finished all the same"


async def stopped_here():
    await asyncio.Event().wait()


async def main():
    called = []
    task = asyncio.create_task(compute(21))
    print(task.done(), task.cancelled(), task.get_loop() is asyncio.get_running_loop())
    try:
        task.result()
    except asyncio.InvalidStateError as error:
        print(f"InvalidStateError: {error}")
    removed = called.append
    task.add_done_callback(lambda done: called.append(done.result()))
    task.add_done_callback(removed)
    print(task.remove_done_callback(removed))
    await task
    await asyncio.sleep(0)
    print(task.done(), task.result(), task.exception(), called, task.cancel())

    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    print(task.done(), repr(task.exception()))
    try:
        task.result()
    except ValueError as error:
        print(f"ValueError: {error}")

    task = asyncio.create_task(asyncio.Event().wait())
    await asyncio.sleep(0)
    print(task.cancel("enough"), task.cancelling(), task.cancelled())
    try:
        await task
    except asyncio.CancelledError as error:
        print(f"CancelledError: {error}", task.cancelled())

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    task.cancel()
    print(await task, task.cancelled())

    task = asyncio.create_task(stopped_here(), name="stopped")
    await asyncio.sleep(0)
    print([frame.f_code.co_name for frame in task.get_stack(limit=1)])
    file = io.StringIO()
    task.print_stack(limit=1, file=file)
    print("stopped_here" in file.getvalue(), task.get_coro().__name__, task.get_name())
    task.cancel()

    # A group of tasks: when one fails, the others are cancelled.
    waiting = None
    try:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(asyncio.Event().wait())
            group.create_task(fail())
    except* ValueError as errors:
        print(errors.exceptions, waiting.cancelled())


asyncio.run(main())
