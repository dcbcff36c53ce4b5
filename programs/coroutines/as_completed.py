"""for i in asyncio.as_completed(...): 调度并等待多个任务完成."""

import asyncio


async def wait_at_gate(gate, number):
    await gate.wait()
    return number


async def main():
    gates = [asyncio.Event() for _ in range(4)]
    tasks = [asyncio.create_task(wait_at_gate(gate, n)) for n, gate in enumerate(gates)]
    order = [2, 0, 3, 1]
    gates[order[0]].set()
    seen = []
    for t in asyncio.as_completed(tasks, timeout=60):
        seen.append(await t)
        if len(seen) < len(order):
            gates[order[len(seen)]].set()   # the next one ends only after this one was given out
    print(seen)

    never = asyncio.create_task(asyncio.Event().wait())
    quick = asyncio.create_task(wait_at_gate(gates[0], 7))
    try:
        for t in asyncio.as_completed([never, quick], timeout=0.03):
            print(await t)
    except asyncio.TimeoutError:
        print("TimeoutError", never.done())
    never.cancel()

    for t in asyncio.as_completed([asyncio.sleep(0.04, "late"), asyncio.sleep(0, "soon")]):
        print(await t)


asyncio.run(main())
