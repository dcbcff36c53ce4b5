"""A crawler: follows every link of a web site through a ThreadPoolExecutor and checks all it gets.

    crawler.py [PAGES [WORKERS]]

The site is a process of its own on this machine, so that the crawler's threads have their
interpreter to themselves. What is printed depends on the pages alone, not on their order.
"""

import hashlib
import http.client
import re
import subprocess
import sys
import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

from web_site import page_body, page_links

PAGES = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
WORKERS = int(sys.argv[2]) if len(sys.argv) > 2 else 16
LINK = re.compile(rb'href="(/page/\d+)"')

per_thread = threading.local()


def fetch(path):
    """Get a page over this thread's own connection; its path, text, digest and links."""
    if not hasattr(per_thread, "connection"):
        per_thread.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    per_thread.connection.request("GET", path)
    response = per_thread.connection.getresponse()
    text = response.read()
    digest = hashlib.sha256(text).hexdigest()
    if response.status != 200 or digest != response.headers["X-Digest"]:
        raise ValueError(f"{path}: status {response.status}, digest {digest}")
    return path, text, digest, [link.decode() for link in LINK.findall(text)]


def crawl(start):
    """Fetch whatever can be reached from `start`; the pages by their path."""
    pages = {}
    seen = {start}
    with ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="crawler") as pool:
        pending = {pool.submit(fetch, start)}
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                path, text, digest, links = future.result()
                pages[path] = (text, digest, links)
                for link in links:
                    if link not in seen:
                        seen.add(link)
                        pending.add(pool.submit(fetch, link))
    return pages


def check(pages):
    """Compare every page with what the site was made of."""
    if sorted(pages) != sorted(f"/page/{number}" for number in range(PAGES)):
        raise ValueError(f"{len(pages)} pages of {PAGES}")
    for number in range(PAGES):
        text, digest, links = pages[f"/page/{number}"]
        body = page_body(number, PAGES)
        expected = [f"/page/{link}" for link in page_links(number, PAGES)]
        if (text, digest, links) != (body, hashlib.sha256(body).hexdigest(), expected):
            raise ValueError(f"page {number} is not what it should be")


site = subprocess.Popen(
    [sys.executable, str(Path(__file__).with_name("web_site.py")), str(PAGES)],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
)
with site:
    port = int(site.stdout.readline())
    pages = crawl("/page/0")
check(pages)
total = hashlib.sha256("".join(pages[path][1] for path in sorted(pages)).encode()).hexdigest()
print(f"{len(pages)} pages, {sum(len(links) for _, _, links in pages.values())} links")
print(f"{sum(len(text) for text, _, _ in pages.values())} bytes, digest {total}")
