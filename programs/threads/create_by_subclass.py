import threading

def foo(n): return n**2

class MyThread(threading.Thread):
    def __init__(self, a):
        super().__init__(name="foo线程类")  # 参数包括: group, target, name, daemon
        self.a = a

    def run(self):
        self.result = foo(self.a)

    def get_result(self):
        try:
            return self.result
        except Exception:
            return None

t1 = MyThread(3)
t2 = MyThread(7)

t1.start()
t2.start()
t1.join()
t2.join()

print(t1.get_result())
print(t2.get_result())
