"""threading.Event: a flag that threads wait for."""

import threading

flag = threading.Event()
print(flag.is_set(), flag.wait(timeout=0.01))

woken = []
threads = [threading.Thread(target=lambda n=n: woken.append((n, flag.wait()))) for n in range(5)]
for t in threads:
    t.start()
print(woken)
flag.set()  # wakes them all
for t in threads:
    t.join()
print(sorted(woken))

print(flag.is_set(), flag.wait())  # set: nobody waits any more
flag.clear()
print(flag.is_set(), flag.wait(timeout=0.01))

# Two threads, turn and turn about
ping, pong = threading.Event(), threading.Event()
talk = []


def answer():
    for _ in range(3):
        ping.wait()
        ping.clear()
        talk.append("pong")
        pong.set()


t = threading.Thread(target=answer)
t.start()
for _ in range(3):
    talk.append("ping")
    ping.set()
    pong.wait()
    pong.clear()
t.join()
print(talk)
