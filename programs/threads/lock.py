import threading

global_var = 0
myLock = threading.Lock()

def thread_func(myLock):
    global global_var
    myLock.acquire()    # 方法原型 acquire(blocking=True, timeout=-1) -> bool
    global_var += 1
    myLock.release()    # 必须释放, 否则会阻塞其他线程

    with myLock:
        global_var += 1
    """上述写法等效于
    myLock.acquire()
    global_var += 1
    myLock.release()
    """

def repeat():
    for _ in range(500):
        thread_func(myLock)

threads = [threading.Thread(target=repeat) for _ in range(4)]
for t in threads:
    t.start()
for t in threads:
    t.join()
print(global_var)

# acquire(blocking=True, timeout=-1) -> bool
print(myLock.acquire(), myLock.locked())
print(myLock.acquire(blocking=False), myLock.acquire(timeout=0.01))
myLock.release()
print(myLock.locked())
try:
    myLock.release()
except RuntimeError as error:
    print(f"RuntimeError: {error}")
