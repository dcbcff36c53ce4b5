import _start_method
from multiprocessing import Pool, TimeoutError
import time

def f(x):
    return x*x

if __name__ == '__main__':
    with Pool(processes=4) as pool:         # start 4 worker processes
        result = pool.apply_async(f, (10,)) # 异步调用进程
        print(result.get(timeout=30))       # 输出: 100

        print(pool.map(f, range(10)))       # 输出: [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]

        it = pool.imap(f, range(10))
        print(next(it))                     # 输出:  0
        print(next(it))                     # 输出:  1
        print(it.next(timeout=30))          # 输出:  4

        result = pool.apply_async(time.sleep, (60,))
        try:
            print(result.get(timeout=0.1))  # 触发异常: multiprocessing.TimeoutError
        except TimeoutError as error:
            print(type(error).__name__, error)
