"""start(), join(timeout), is_alive(): a thread from its first moment to its last."""

import threading

go_on = threading.Event()
t = threading.Thread(target=go_on.wait, name="worker")

print(t.is_alive(), t.ident)
t.start()
print(t.is_alive(), t.ident is not None, t.native_id is not None)
t.join(timeout=0.01)  # comes back because the time is over: the thread goes on
print(t.is_alive())
go_on.set()
t.join()  # comes back because the thread has ended
t.join()  # may be called again
print(t.is_alive())

for mistake in (t.start, threading.current_thread().join):
    try:
        mistake()
    except RuntimeError as error:
        print(f"RuntimeError: {error}")
