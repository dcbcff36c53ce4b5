import asyncio

async def compute(x, y):        # 声明为协程
    print(f"Compute {x} + {y} ...")
    await asyncio.sleep(0.05)   # 让出控制权
    return x + y

async def print_sum(x, y):          # 声明为协程
    result = await compute(x, y)    # 让出控制权, 等compute完成
    print(f"{x} + {y} = {result}")

asyncio.set_event_loop(asyncio.new_event_loop())    # since 3.14 get_event_loop() makes none by itself
loop = asyncio.get_event_loop()             # 创建事件循环
loop.run_until_complete(print_sum(1, 2))    # 等待协程完成
loop.close()                                # 关闭事件循环
print(loop.is_closed())
