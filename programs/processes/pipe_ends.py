"""管道: 一对儿 Connection 对象."""

import _start_method
from multiprocessing import Pipe, Process


def talk(sub_pipe):
    with sub_pipe:
        for message in iter(sub_pipe.recv, None):
            sub_pipe.send((message, type(message).__name__))
        data = sub_pipe.recv_bytes()
        sub_pipe.send_bytes(data.upper(), 2, 3)
        buffer = bytearray(16)
        count = sub_pipe.recv_bytes_into(buffer, 1)
        sub_pipe.send(bytes(buffer[: count + 1]))


if __name__ == "__main__":
    main_pipe, sub_pipe = Pipe()
    p = Process(target=talk, args=(sub_pipe,))
    p.start()
    sub_pipe.close()  # the child has its own
    for message in (1, "text", [1, {"two": (3,)}], b"\0" * 100_000):
        main_pipe.send(message)
        answer, kind = main_pipe.recv()
        print(answer == message, kind)
    main_pipe.send(None)
    main_pipe.send_bytes(b"abcdef")
    print(main_pipe.poll(timeout=30), main_pipe.recv_bytes(maxlength=10))
    main_pipe.send_bytes(memoryview(b"0123"))
    print(main_pipe.recv())
    p.join()
    print(main_pipe.poll(30))
    try:
        main_pipe.recv()
    except EOFError:
        print("EOFError")
    main_pipe.close()
    try:
        main_pipe.send(1)
    except OSError as error:
        print(f"OSError: {error}")

    receiver, sender = Pipe(duplex=False)
    print(receiver.readable, receiver.writable, sender.readable, sender.writable)
    print(receiver.poll(), receiver.closed)
    try:
        receiver.send(1)
    except OSError as error:
        print(f"OSError: {error}")
