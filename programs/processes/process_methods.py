"""start(), join(timeout), terminate(), kill(), is_alive(), close() and what a Process tells of itself."""

import _start_method
import os
import signal
import sys
from multiprocessing import Event, Pipe, Process, connection, current_process, parent_process


def wait_for(event, sender):
    me = current_process()
    sender.send((me.name, me.pid == os.getpid(), parent_process() is not None, me.daemon))
    event.wait()


def leave(code):
    sys.exit(code)


def fail():
    sys.stderr = open(os.devnull, "w")  # the traceback is not what this is about
    raise ValueError("failed")


def kill_itself(number):
    os.kill(os.getpid(), number)


if __name__ == "__main__":
    event = Event()
    receiver, sender = Pipe(duplex=False)
    p = Process(target=wait_for, name="worker", args=(event,), kwargs={"sender": sender})
    print(p.name, p.daemon, p.pid, p.exitcode, p.is_alive())
    print(p.authkey == current_process().authkey)
    p.start()
    print(receiver.recv())
    print(p.pid is not None, p.exitcode, p.is_alive())
    p.join(timeout=0.01)  # comes back because the time is over: the process goes on
    print(p.exitcode, p.is_alive(), connection.wait([p.sentinel], timeout=0))
    event.set()
    print(connection.wait([p.sentinel]) == [p.sentinel])
    p.join()  # comes back because the process has ended
    p.join()  # may be called again
    print(p.exitcode, p.is_alive())
    p.close()
    try:
        p.is_alive()
    except ValueError as error:
        print(f"ValueError: {error}")

    print("exit codes:")
    for target, arguments in (
        (print, ()),
        (leave, (0,)),
        (leave, (7,)),
        (fail, ()),
        (kill_itself, (signal.SIGTERM,)),
    ):
        p = Process(target=target, args=arguments)
        p.start()
        p.join()
        print(target.__name__, arguments and int(arguments[0]), p.exitcode)

    for end in ("terminate", "kill"):
        # The standard event is of no use any more when a process that waits is killed.
        of_its_own = Event()
        p = Process(target=wait_for, args=(of_its_own, sender))
        p.start()
        receiver.recv()
        getattr(p, end)()
        p.join()
        print(end, p.exitcode, p.is_alive())

    event.clear()
    p = Process(target=wait_for, args=(event, sender))
    p.start()
    receiver.recv()
    try:
        p.close()
    except ValueError as error:
        print(f"ValueError: {error}")
    try:
        p.start()
    except AssertionError as error:
        print(f"AssertionError: {error}")
    event.set()
    p.join()
