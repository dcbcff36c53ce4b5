import asyncio

async def compute(x, y):
    print(f"Compute {x} + {y} ...")
    await asyncio.sleep(0.05)
    return x + y

async def print_sum(x, y):
    result = await compute(x, y)
    print(f"{x} + {y} = {result}")

loop = asyncio.new_event_loop()             # 创建事件循环
asyncio.set_event_loop(loop)
print(asyncio.get_event_loop() is loop)
loop.run_until_complete(print_sum(1, 2))    # 等待协程完成
print(loop.is_running(), loop.is_closed())
loop.close()                                # 关闭事件循环
print(loop.is_running(), loop.is_closed())
