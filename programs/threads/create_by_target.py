import threading

def foo(num):
    for i in range(5):
        print(f"Thread {num}: {i}")

t1 = threading.Thread(target=foo, args=(1,))
t2 = threading.Thread(target=foo, args=(2,))
t1.start()
t2.start()
t1.join()   # 可选
t2.join()   # 可选
