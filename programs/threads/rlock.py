import threading

global_var = 0
myRLock = threading.RLock()

def thread_func(myRLock):
    global global_var
    myRLock.acquire()
    myRLock.acquire() # RLock可以连续获取多次
    global_var += 1
    myRLock.release()
    myRLock.release() # 需要释放相同次数

    with myRLock, myRLock:
        global_var += 1

def repeat():
    for _ in range(500):
        thread_func(myRLock)

threads = [threading.Thread(target=repeat) for _ in range(4)]
for t in threads:
    t.start()
for t in threads:
    t.join()
print(global_var)

def attempt():
    print(myRLock.acquire(blocking=False), myRLock.acquire(timeout=0.01))

myRLock.acquire()
myRLock.acquire()
myRLock.release()
t = threading.Thread(target=attempt)    # released once only: another thread does not get it
t.start()
t.join()
myRLock.release()
try:
    myRLock.release()
except RuntimeError as error:
    print(f"RuntimeError: {error}")
