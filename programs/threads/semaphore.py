"""threading.Semaphore: 管理一个计数器. acquire() 减1, release() 加1, 计数器为0时阻塞."""

import threading

PERMITS = 3
semaphore = threading.Semaphore(PERMITS)
full_house = threading.Barrier(PERMITS)
counting = threading.Lock()
inside = 0
most = 0


def visit():
    global inside, most
    with semaphore:  # 可以使用上下文管理器
        with counting:
            inside += 1
            most = max(most, inside)
        full_house.wait()  # opens when as many threads are inside as there are permits
        with counting:
            inside -= 1


visitors = [threading.Thread(target=visit) for _ in range(4 * PERMITS)]
for t in visitors:
    t.start()
for t in visitors:
    t.join()
print(f"at most {most} at once, {inside} left")

print([semaphore.acquire(blocking=False) for _ in range(PERMITS + 1)])
print(semaphore.acquire(timeout=0.01))  # 计数器为0时, 阻塞
t = threading.Thread(target=semaphore.acquire)
t.start()
semaphore.release()  # 计数器加1: the thread goes on
t.join()
semaphore.release(PERMITS)
print([semaphore.acquire(blocking=False) for _ in range(PERMITS + 1)])

bounded = threading.BoundedSemaphore(1)
try:
    bounded.release()
except ValueError as error:
    print(f"ValueError: {error}")
