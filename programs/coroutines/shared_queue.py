"""tress.queue and tress.threading between a thread and coroutines: aget, aput, ajoin, async with, await_, await_for.

On the standard library's loop or on tress's: the queue and the locks are tress's in either case.
"""

import asyncio
import threading

from tress.queue import Queue, ShutDown
from tress.threading import Condition, Event, Lock


def produce(jobs, count):
    for number in range(count):
        jobs.put(number)  # waits in its thread while the queue is full
    jobs.join()
    jobs.shutdown()


async def consume(jobs, squares):
    while True:
        try:
            number = await jobs.aget()  # waits in the loop
        except ShutDown:
            return
        squares.append(number**2)
        jobs.task_done()


def add(lock, total, count):
    for _ in range(count):
        with lock:
            before = total["thread and coroutine"]
            total["thread and coroutine"] = before + 1


async def add_too(lock, total, count):
    for _ in range(count):
        async with lock:
            before = total["thread and coroutine"]
            await asyncio.sleep(0)
            total["thread and coroutine"] = before + 1


async def main():
    # A thread produces, coroutines consume.
    jobs, squares = Queue(4), []
    producer = threading.Thread(target=produce, args=(jobs, 100))
    producer.start()
    await asyncio.gather(*(consume(jobs, squares) for _ in range(3)))
    producer.join()
    print(sorted(squares) == [number**2 for number in range(100)], jobs.qsize())

    # A coroutine produces, a thread consumes.
    answers, got = Queue(1), []
    consumer = threading.Thread(target=lambda: [got.append(answers.get()) for _ in range(5)])
    consumer.start()
    for number in range(5):
        await answers.aput(number)
    await asyncio.to_thread(consumer.join)
    print(got)

    # Giving up takes nothing.
    try:
        async with asyncio.timeout(0.01):
            await answers.aget()
    except TimeoutError:
        print("TimeoutError", answers.statistics()["getters"])

    # One lock, held in a thread by with and in a coroutine by async with.
    lock, total = Lock(), {"thread and coroutine": 0}
    adder = threading.Thread(target=add, args=(lock, total, 50))
    adder.start()
    await asyncio.gather(*(add_too(lock, total, 50) for _ in range(2)))
    adder.join()
    print(total)

    # A thread sets an event, and notifies a condition.
    ready, condition, said = Event(), Condition(), []

    def say():
        ready.set()
        for word in ("one", "two", "three"):
            with condition:
                said.append(word)
                condition.notify_all()

    threading.Thread(target=say).start()
    print(await ready.await_())
    async with condition:
        print(await condition.await_for(lambda: len(said) == 3), said)


asyncio.run(main())
