import threading
from collections import deque

cv = threading.Condition()
items = deque()

def an_item_is_available():
    return bool(items)

def get_an_available_item():
    consumed.append(items.popleft())

def make_an_item_available():
    items.append(len(produced))
    produced.append(len(produced))

produced = []
consumed = []

def consume():
    # Consume one item
    with cv:
        while not an_item_is_available():
            cv.wait()   # 阻塞, 等待通知
        get_an_available_item()

def produce():
    # Produce one item
    with cv:
        make_an_item_available()
        cv.notify()     # 发出通知

threads = [threading.Thread(target=consume) for _ in range(50)]
threads += [threading.Thread(target=produce) for _ in range(50)]
for t in threads:
    t.start()
for t in threads:
    t.join()
print(len(produced), sorted(consumed) == produced, len(items))

# acquire, release, wait, notify, ...
cv.acquire()
print(cv.wait(timeout=0.01))
print(cv.wait_for(lambda: items, timeout=0.01))
cv.release()

opened = False
passed = []

def pass_when_opened(number):
    with cv:
        cv.wait_for(lambda: opened)
        passed.append(number)

threads = [threading.Thread(target=pass_when_opened, args=(n,)) for n in range(10)]
for t in threads:
    t.start()
with cv:
    opened = True
    cv.notify_all()
for t in threads:
    t.join()
print(sorted(passed))

try:
    cv.notify()
except RuntimeError as error:
    print(f"RuntimeError: {error}")
