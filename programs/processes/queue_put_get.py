"""消息队列: multiprocessing.Queue, and its relations."""

import _start_method
import queue
from multiprocessing import JoinableQueue, Process, Queue, SimpleQueue


def produce(q, numbers):
    for number in numbers:
        q.put({"number": number, "square": number**2})
    q.put(None)


def work(tasks, results):
    while True:
        number = tasks.get()
        if number is None:
            break
        results.put(number * number)
        tasks.task_done()


def answer(questions, answers):
    for question in iter(questions.get, None):
        answers.put(question[::-1])


if __name__ == "__main__":
    q = Queue()
    p = Process(target=produce, args=(q, range(100)))
    p.start()
    items = list(iter(q.get, None))
    p.join()
    print(len(items), items[7], sum(item["square"] for item in items), q.empty())

    q = Queue(maxsize=2)
    q.put("a")
    q.put("b", block=True, timeout=30)
    print(q.full(), q.qsize())
    for put in (q.put_nowait, lambda item: q.put(item, timeout=0.01)):
        try:
            put("c")
        except queue.Full:
            print("Full")
    print(q.get(), q.get(timeout=30))
    for get in (q.get_nowait, lambda: q.get(timeout=0.01)):
        try:
            get()
        except queue.Empty:
            print("Empty")
    q.close()
    q.join_thread()
    try:
        q.put("d")
    except ValueError as error:
        print("ValueError")

    tasks, results = JoinableQueue(), Queue()
    workers = [Process(target=work, args=(tasks, results)) for _ in range(2)]
    for p in workers:
        p.start()
    for number in range(20):
        tasks.put(number)
    tasks.join()
    print(sum(results.get() for _ in range(20)))
    for _ in workers:
        tasks.put(None)
    for p in workers:
        p.join()
    print([p.exitcode for p in workers])

    questions, answers = SimpleQueue(), SimpleQueue()
    p = Process(target=answer, args=(questions, answers))
    p.start()
    for question in ("abc", "tress", None):
        questions.put(question)
    print(answers.get(), answers.get())
    p.join()
    print(questions.empty(), answers.empty())
