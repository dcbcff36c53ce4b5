"""A web site of made-up pages, served by a process of its own: `python web_site.py PAGES`.

It prints the port that it listens on and serves until its standard input is closed, that is until
the program that started it has ended, however that came about.
"""

import asyncio
import hashlib
import sys

LINKS = 8


def page_links(number, pages):
    """The pages that a page links to: two make a tree that reaches all, the rest lie anywhere."""
    anywhere = ((number * 7919 + 104729 * turn) % pages for turn in range(1, LINKS - 1))
    return [link for link in (2 * number + 1, 2 * number + 2, *anywhere) if link < pages]


def page_body(number, pages):
    """The text of a page; it depends on nothing but its number and how many there are."""
    links = "".join(
        f'<li><a href="/page/{link}">{link}</a></li>\n' for link in page_links(number, pages)
    )
    words = " ".join(
        hashlib.sha256(f"{number} {n}".encode()).hexdigest() for n in range(number % 40)
    )
    return f"<title>Page {number}</title>\n<p>{words}</p>\n<ul>\n{links}</ul>\n".encode()


class Connection(asyncio.Protocol):
    """One connection of a client, kept open for as many requests as it likes."""

    def __init__(self, answers):
        self.answers = answers
        self.received = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.received += data
        while b"\r\n\r\n" in self.received:
            request, _, self.received = self.received.partition(b"\r\n\r\n")
            path = request.split(b" ", 2)[1]
            self.transport.write(self.answers.get(path, NOT_FOUND))


NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


def answer(body):
    digest = hashlib.sha256(body).hexdigest()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nX-Digest: {digest}\r\n\r\n"
    return head.encode() + body


async def serve(pages):
    answers = {f"/page/{n}".encode(): answer(page_body(n, pages)) for n in range(pages)}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(answers), "127.0.0.1", 0, backlog=512)
    closed = asyncio.Event()
    loop.add_reader(sys.stdin, closed.set)
    print(server.sockets[0].getsockname()[1], flush=True)
    await closed.wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
