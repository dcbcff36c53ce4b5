"""守护进程: 主进程结束时, 强制子进程结束. A daemon does not keep the program alive."""

import _start_method
from multiprocessing import Event, Process


def wait_for_ever(started, never):
    print("守护进程开始", flush=True)
    started.set()
    never.wait()
    print("this line is never reached", flush=True)


class Background(Process):
    def __init__(self, started, never):
        super().__init__(daemon=True)  # 方法 1: 初始化时
        self.events = started, never

    def run(self):
        wait_for_ever(*self.events)


if __name__ == "__main__":
    never = Event()
    for kind in (1, 2):
        started = Event()
        if kind == 1:
            p = Background(started, never)
        else:
            p = Process(target=wait_for_ever, args=(started, never))
            print(f"默认: {p.daemon}", flush=True)
            p.daemon = True  # 方法 2: 必须在 start() 之前设置好
        p.start()
        started.wait()
        try:
            p.daemon = False
        except AssertionError as error:
            print(f"start() 之后: {error}", flush=True)
        p.join(timeout=0.01)  # 等待结束, 最多 0.01 秒
        print(f"alive={p.is_alive()}, daemon={p.daemon}", flush=True)
    print("主进程结束", flush=True)
