"""Modules of the standard library that use what `install()` replaces work on it as before."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAMS = {
    "asyncio": """
        import asyncio
        async def main():
            loop = asyncio.get_running_loop()
            print(await asyncio.gather(*(loop.run_in_executor(None, abs, -n) for n in range(3))))
            print(await asyncio.to_thread(threading.current_thread) is not threading.main_thread())
            future = concurrent.futures.Future()
            threading.Timer(0.01, future.set_result, ["wrapped"]).start()
            print(await asyncio.wrap_future(future))
            def from_thread():
                return asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "back"), loop).result(20)
            print(await loop.run_in_executor(None, from_thread))
        asyncio.run(main())
    """,
    "multiprocessing.pool": """
        from multiprocessing.pool import ThreadPool
        with ThreadPool(3) as pool:
            print(pool.map(abs, [-1, -2, -3]), pool.apply_async(int, ("4",)).get(20))
    """,
    "multiprocessing.dummy": """
        from multiprocessing.dummy import Pool, Process, Queue
        queue_ = Queue()
        process = Process(target=queue_.put, args=(1,))
        process.start(); process.join()
        print(queue_.get(), process.exitcode, isinstance(process, threading.Thread))
    """,
    "multiprocessing": """
        import multiprocessing as mp
        context = mp.get_context("fork")
        def child(barrier, condition, queue_, event):
            barrier.wait(20)
            event.wait(20)
            with condition:
                queue_.put(threading.current_thread().name)
                condition.notify()
        barrier, condition = context.Barrier(3), context.Condition()
        queue_, event = context.Queue(), context.Event()
        arguments = (barrier, condition, queue_, event)
        children = [context.Process(target=child, args=arguments) for _ in range(2)]
        for process in children: process.start()
        barrier.wait(20)
        event.set()
        print(queue_.get(timeout=20), queue_.get(timeout=20))
        for process in children: process.join()
        print([process.exitcode for process in children])
        print(isinstance(barrier, mp.synchronize.Barrier))
    """,
    "multiprocessing.managers": """
        import multiprocessing as mp
        context = mp.get_context("fork")
        with context.Manager() as manager:
            queue_, lock, event = manager.Queue(), manager.Lock(), manager.Event()
            with lock:
                queue_.put("item")
            print(queue_.get(timeout=20), event.wait(0.01), lock.acquire(timeout=1))
    """,
    "concurrent.futures.process": """
        import multiprocessing as mp
        from concurrent.futures import ProcessPoolExecutor
        with ProcessPoolExecutor(2, mp_context=mp.get_context("fork")) as pool:
            futures = [pool.submit(abs, -n) for n in range(3)]
            print(sorted(f.result(20) for f in concurrent.futures.as_completed(futures)))
            print(len(concurrent.futures.wait(futures).done), list(pool.map(abs, [-7])))
    """,
    "socketserver": """
        import socketserver, urllib.request
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"page")
            def log_message(self, *args): pass
        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            print(opener.open(f"http://127.0.0.1:{server.server_port}/", timeout=20).read())
            server.shutdown()
            thread.join()
    """,
    "logging": """
        import logging, logging.handlers, sys
        queue_ = queue.Queue()
        listener = logging.handlers.QueueListener(queue_, logging.StreamHandler(sys.stdout))
        listener.start()
        logger = logging.getLogger("name")
        logger.addHandler(logging.handlers.QueueHandler(queue_))
        logger.error("from %s", threading.current_thread().name)
        listener.stop()
    """,
    "subprocess": """
        import subprocess, sys
        print(subprocess.run(["cat"], input=b"text", capture_output=True, timeout=20).stdout)
    """,
    "sched": """
        import sched
        scheduler = sched.scheduler()
        scheduler.enter(0.0, 1, print, ("scheduled",))
        scheduler.run()
    """,
    "tempfile, zipfile, mock": """
        import io, tempfile, unittest.mock, zipfile
        with zipfile.ZipFile(io.BytesIO(), "w") as archive:
            archive.writestr("a", "b")
            print(archive.read("a"), unittest.mock.Mock(return_value=1)())
        with tempfile.TemporaryFile() as file:
            print(file.write(b"text"))
    """,
    "_threading_local": """
        import _threading_local
        data = _threading_local.local()
        data.x = 1
        thread = threading.Thread(target=lambda: print(hasattr(data, "x")))
        thread.start(); thread.join()
        print(data.x)
    """,
}
if sys.version_info >= (3, 14):
    PROGRAMS["concurrent.futures.interpreter"] = """
        from concurrent.futures import InterpreterPoolExecutor
        with InterpreterPoolExecutor(2) as pool:
            print(sorted(pool.map(abs, [-1, -2, -3])), pool.submit(int, "4").result(20))
    """


def output(program: str, *, on_tress: bool, imported_before: bool) -> str:
    start = "import concurrent.futures, queue, threading, tress\n"
    if imported_before:
        start += "\n".join(
            line.strip()
            for line in program.splitlines()
            if line.strip().startswith(("import ", "from "))
        )
    code = f"{start}\nif {on_tress}: tress.install()\nif True:\n{program}"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        stdout=subprocess.PIPE,
        timeout=50,
        check=True,
        text=True,
    )
    return done.stdout


@pytest.mark.parametrize("imported_before", [False, True], ids=["early", "late"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_standard_module_works(name: str, imported_before: bool) -> None:
    on_tress = output(PROGRAMS[name], on_tress=True, imported_before=imported_before)
    assert on_tress != ""
    assert on_tress == output(PROGRAMS[name], on_tress=False, imported_before=imported_before)
