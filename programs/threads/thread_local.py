import threading

mydata = threading.local()
mydata.x = 1

def work(number):
    before = hasattr(mydata, "x")   # 其他线程看不到主线程的值
    mydata.x = number
    everybody_has_set_it.wait()
    seen[number] = (before, mydata.x)

everybody_has_set_it = threading.Barrier(3)
seen = {}
threads = [threading.Thread(target=work, args=(n,)) for n in (10, 20, 30)]
for t in threads:
    t.start()
for t in threads:
    t.join()
print(sorted(seen.items()))
print(mydata.x)
