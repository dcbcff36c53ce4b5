import _start_method
# step 1: 导入 Process 类
from multiprocessing import Process
import os, time
# step 2: 创建 Process_子类
class myProcess(Process):
    def __init__(self, i):
        super().__init__()  # 必须调用父类的构造方法
        self.i = i  # 内部变量
    # 重写 run 函数
    def run(self) -> None:
        print(f"子进程 (pid={os.getpid()}) 开始", flush=True)
        time.sleep(0.1)
        print(f"子进程 (pid={os.getpid()}) 完成, 结果: 2**{self.i} = {2 ** self.i}", flush=True)
# 必须在 `__main__` 命名空间中运行
if __name__ == "__main__":
    print(f"当前母进程: {os.getpid()}", flush=True)
    start = time.time()
    p1 = myProcess(16)  # step 3: 创建 Process_子类对象
    p2 = myProcess(32)  # step 3: 创建 Process_子类对象
    print("等待所有子进程完成", flush=True)
    p1.start()  # step 4: 启动进程
    p2.start()  # step 4: 启动进程
    p1.join()   # step 5: 等到结束
    p2.join()   # step 5: 等到结束
    print(f"总共用时 {time.time() - start}秒")
