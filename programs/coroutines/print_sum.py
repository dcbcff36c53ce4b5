import asyncio

async def compute(x, y):        # 声明为协程
    print(f"Compute {x} + {y} ...")
    await asyncio.sleep(0.05)   # 让出控制权
    return x + y

async def print_sum(x, y):          # 声明为协程
    result = await compute(x, y)    # 让出控制权, 等compute完成
    print(f"{x} + {y} = {result}")

asyncio.run(print_sum(1, 2))    # 创建事件循环, 运行协程, 完成后关闭事件循环
