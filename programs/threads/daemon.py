"""守护线程: 主线程结束时, 强制子线程结束. A daemon thread does not keep the program alive."""

import threading

started = threading.Event()
never = threading.Event()


def wait_for_ever():
    print("守护线程开始")
    started.set()
    never.wait()
    print("this line is never reached")


t = threading.Thread(target=wait_for_ever, name="后台")
print(f"默认: {t.isDaemon()}")
t.setDaemon(True)  # 必须在 start() 之前调用
t.start()
started.wait()
try:
    t.setDaemon(False)
except RuntimeError as error:
    print(f"start() 之后: {error}")
t.join(timeout=0.01)  # 等待结束, 最多 0.01 秒
print(f"{t.name}: alive={t.is_alive()}, daemon={t.daemon}")
print("主线程结束")
