"""特别注意: 防止死锁. 例如: A 线程对 a,b 加锁, 而 B 线程对 b,a 加锁, 则可能导致死锁.

On plain Python this program never ends. On tress the thread that closes the circle gets a DeadlockError
that tells who holds and who wants what; it lets go of its lock, and the other thread goes on.
"""

import threading

a = threading.Lock()
b = threading.Lock()
both_hold_one = threading.Barrier(2)


def lock_a_then_b():
    with a:
        both_hold_one.wait()
        with b:
            print("got both locks")


def lock_b_then_a():
    with b:
        both_hold_one.wait()
        with a:
            print("got both locks")


threads = [
    threading.Thread(target=lock_a_then_b, name="A"),
    threading.Thread(target=lock_b_then_a, name="B"),
]
for t in threads:
    t.start()
for t in threads:
    t.join()
print("程序结束")
