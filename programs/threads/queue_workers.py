import threading
import queue

num_worker_threads = 4
done = []

def do_work(item):
    done.append(item * item)

def source():
    return range(1000)

q = queue.Queue()
threads = []

def worker(q):
    while True:
        item = q.get()
        if item is None:
            break
        do_work(item)
        q.task_done()

for i in range(num_worker_threads):
    t = threading.Thread(target=worker, args=(q,))
    t.start()
    threads.append(t)

for item in source():
    q.put(item)

# block until all tasks are done
q.join()
print(f"{len(done)} tasks done, sum {sum(done)}")
# stop workers
for i in range(num_worker_threads):
    q.put(None)
for t in threads:
    t.join()
print(f"{sum(t.is_alive() for t in threads)} workers left, {q.qsize()} items left")
