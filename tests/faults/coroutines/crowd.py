"""Many clients in a process of their own: `crowd.py PORT COUNT FIRST`.

Each has a number, beginning with FIRST; it is greeted with four bytes, sends its number and gets it
back. What this process says, and is told, is one line at a time.
"""

from __future__ import annotations

import resource
import socket
import struct
import sys

BATCH = 200


def receive(end: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = end.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def main(port: int, count: int, first: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    ends: list[socket.socket] = []
    for begun in range(0, count, BATCH):
        # No more at once than the listener has room for.
        batch = [
            socket.create_connection(("127.0.0.1", port)) for _ in range(min(BATCH, count - begun))
        ]
        for end in batch:
            assert receive(end, 4) == b"here"
        ends += batch
    print("connected", flush=True)
    sys.stdin.readline()
    for number, end in enumerate(ends, first):
        end.sendall(struct.pack("q", number))
    for number, end in enumerate(ends, first):
        assert struct.unpack("q", receive(end, 8)) == (number,)
    print("answered", flush=True)
    sys.stdin.readline()
    for number, end in enumerate(ends, first):
        if number % 2:  # these are reset
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.close()
    print("closed", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
