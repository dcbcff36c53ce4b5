import _start_method
# step 1: 导入 Pool
from multiprocessing import Pool
# step 2: 定义 task
def f(x):
    return x*x
# 必须在 `__main__` 命名空间中运行
if __name__ == '__main__':
    with Pool(5) as p:              # step 3: 创建 Pool
        print(p.map(f, [1, 2, 3]))  # step 4: 启动进程
