"""submit(fn, *args, **kwargs): 可以提交不同或相同的多个线程; 提交后会立即执行."""

import concurrent.futures


def func(x):
    return x * 2


def describe(*args, **kwargs):
    return args, kwargs


pool = concurrent.futures.ThreadPoolExecutor()  # 直接创建
task = pool.submit(func, [1, 2, 3])
print(task.result())
task_list = [pool.submit(func, x) for x in [1, 2, 3]]  # 通过列表推导式批量提交
print([task.result(timeout=10) for task in task_list])
print(pool.submit(describe, 1, 2, key="value").result())
pool.shutdown(wait=True)  # 关闭线程池
try:
    pool.submit(func, 4)
except RuntimeError as error:
    print(f"RuntimeError: {error}")

with concurrent.futures.ThreadPoolExecutor() as pool:  # 使用上下文管理器 with
    tasks = [pool.submit(pow, 2, n) for n in range(8)]
print([task.done() for task in tasks], [task.result() for task in tasks])
