"""Each line of docs/frameworks.md puts its framework on tress's loop."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

import pytest

from tests.programs.processes import LIMIT_S, Outcome, run_process

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "frameworks.md"

TELL_LOOP = """
import asyncio, sys

def loop():
    ours = sys.modules.get("tress.asyncio")
    is_ours = ours is not None and type(asyncio.get_running_loop()) is ours.EventLoop
    return "tress" if is_ours else "standard"
"""

SHOP = f"""{TELL_LOOP}
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

async def tell(request):
    return PlainTextResponse(loop())

app = Starlette(routes=[Route("/", tell)])
"""

SITE = f"""{TELL_LOOP}
from aiohttp import web

async def tell(request):
    return web.Response(text=loop())

def make_app(arguments):
    app = web.Application()
    app.router.add_get("/", tell)
    return app
"""


def documented(line: str) -> str:
    """The line, which a reader finds in the document."""
    assert line in DOCUMENT.read_text("utf-8"), "a way that is tested, but not documented"
    return line


def test_every_line_of_the_document_is_tested() -> None:
    """A line stands in backquotes, in the second column; in here, in a call of `documented`."""
    here = Path(__file__).read_text("utf-8")
    table, _, _ = DOCUMENT.read_text("utf-8").partition("\n\n```")
    rows = [row for row in table.splitlines() if row.startswith("| ")]
    lines = [line for row in rows for line in re.findall("`([^`]+)`", row.split("|")[2])]
    assert len(lines) == len(rows) - 1 > 10  # without the heading
    assert [line for line in lines if f'"{line}"' not in here and f"'{line}'" not in here] == []


# Servers that are started by a command


@contextmanager
def serving(command: str, *more: str, folder: Path) -> Iterator[str]:
    """Start a server by a command of the document's; ends it as Ctrl-C does.

    Gives the address that it says it is at.
    """
    name, *arguments = command.split()
    executable = sys.executable if name == "python" else str(Path(sys.executable).with_name(name))
    with subprocess.Popen(
        [executable, *arguments, *more],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as server:
        assert server.stdout is not None
        said = ""
        try:
            for line in server.stdout:
                said += line
                if found := re.search(r"[Rr]unning on (http://[^ ]+:\d+)", line):
                    break
            else:
                pytest.fail(f"{command!r} ended: {said}")
            yield found[1]
            server.send_signal(signal.SIGINT)
            said += server.communicate(timeout=LIMIT_S)[0]
            assert "Traceback" not in said
        finally:
            server.kill()


def ask(url: str) -> str:
    """What the server tells of its loop. The workers of uvicorn listen after it has said where."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=LIMIT_S) as answer:
                told: str = answer.read().decode()
                return told
        except URLError as error:
            refused = isinstance(error.reason, ConnectionRefusedError)
            if not refused or time.monotonic() > deadline:
                raise
            os.sched_yield()


@pytest.mark.parametrize(
    "command",
    [
        "python -m tress -m uvicorn --loop asyncio shop:app",
        "python -m tress -m uvicorn --loop asyncio --workers 2 shop:app",
        "uvicorn --loop tress.asyncio:EventLoop shop:app",
        "uvicorn --loop tress.asyncio:EventLoop --workers 2 shop:app",
    ],
)
def test_uvicorn(command: str, tmp_path: Path) -> None:
    tmp_path.joinpath("shop.py").write_text(SHOP)
    with serving(documented(command), "--port", "0", folder=tmp_path) as url:
        assert ask(url) == "tress"


def test_uvicorn_without_tress_is_on_another_loop(tmp_path: Path) -> None:
    """So that the tests above can fail."""
    tmp_path.joinpath("shop.py").write_text(SHOP)
    with serving("uvicorn shop:app", "--port", "0", folder=tmp_path) as url:
        assert ask(url) == "standard"


def test_aiohttp_web(tmp_path: Path) -> None:
    tmp_path.joinpath("site_of_mine.py").write_text(SITE)
    command = documented("python -m tress -m aiohttp.web site_of_mine:make_app")
    with serving(command, "-H", "127.0.0.1", "-P", "0", folder=tmp_path) as url:
        assert ask(url) == "tress"


# Lines of a program


def run_program(text: str, folder: Path) -> Outcome:
    folder.joinpath("program.py").write_text(
        f"{TELL_LOOP}\nasync def main(): print(loop())\n{text}\n"
    )
    return run_process([sys.executable, "program.py"], cwd=folder)


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("tress.asyncio.run(main())", ""),
        ('anyio.run(main, backend_options={"loop_factory": tress.asyncio.EventLoop})', ""),
        (
            "runner = asyncio.Runner(loop_factory=tress.asyncio.EventLoop)",
            "runner.run(main())\nrunner.close()",
        ),
        ("tress.install()", "asyncio.run(main())"),
    ],
)
def test_line_of_a_program(line: str, after: str, tmp_path: Path) -> None:
    text = f"import anyio, tress.asyncio\n{documented(line)}\n{after}"
    assert run_program(text, tmp_path) == ("tress\n", "", 0)


def test_a_program_as_it_is(tmp_path: Path) -> None:
    assert run_program("asyncio.run(main())", tmp_path) == ("standard\n", "", 0)
    command = documented("python -m tress program.py").split()[1:]
    assert run_process([sys.executable, *command], cwd=tmp_path) == ("tress\n", "", 0)


def test_uvicorn_run(tmp_path: Path) -> None:
    line = documented('uvicorn.run(app, loop="tress.asyncio:EventLoop")')
    program = f"""{TELL_LOOP}
import signal, uvicorn
async def app(scope, receive, send):
    print(loop())
    await receive()
    await send({{"type": "lifespan.startup.complete"}})
    signal.raise_signal(signal.SIGTERM)
    await receive()
    await send({{"type": "lifespan.shutdown.complete"}})
signal.signal(signal.SIGTERM, lambda *_: print("ended"))
{line.replace("(app", '(app, port=0, log_level="warning"')}
"""
    outcome = run_process([sys.executable, "-c", program], cwd=tmp_path)
    assert outcome == ("tress\nended\n", "", 0)


def test_run_app(tmp_path: Path) -> None:
    line = documented("web.run_app(app, loop=tress.asyncio.EventLoop())")
    program = f"""{TELL_LOOP}
import tress.asyncio
from aiohttp import web
async def started(app):
    print(loop())
    raise web.GracefulExit
app = web.Application()
app.on_startup.append(started)
{line.replace("(app", "(app, port=0")}
"""
    outcome = run_process([sys.executable, "-c", program], cwd=tmp_path)
    assert outcome == ("tress\n", "", 0)


# pytest's plugins

TESTS = {
    "pytest-asyncio": """
import pytest

@pytest.mark.asyncio
async def test_loop():
    assert loop() == "tress"
""",
    "pytest-aiohttp": """
import pytest
from aiohttp import web

async def tell(request):
    return web.Response(text=loop())

@pytest.fixture
async def client(aiohttp_client):
    app = web.Application()
    app.router.add_get("/", tell)
    return await aiohttp_client(app)

async def test_client(client):
    for _ in range(20):
        response = await client.get("/")
        assert await response.text() == loop() == "tress"
""",
    "anyio": """
import anyio, pytest

@pytest.mark.anyio
async def test_loop():
    await anyio.sleep(0)
    assert loop() == "tress"
""",
    "starlette": f"""{SHOP}
from starlette.testclient import TestClient

def test_client():
    assert TestClient(app).get("/").text == "tress"
""",
}

CONFTESTS = {
    "pytest-asyncio": """
def pytest_asyncio_loop_factories(config, item):
    return {"tress": tress.asyncio.EventLoop}
""",
    "anyio": """
@pytest.fixture
def anyio_backend():
    return "asyncio", {"loop_factory": tress.asyncio.EventLoop}
""",
}
CONFTESTS["pytest-aiohttp"] = CONFTESTS["pytest-asyncio"]


def run_tests(plugin: str, command: list[str], folder: Path, conftest: str = "") -> tuple[str, int]:
    folder.joinpath("pytest.ini").write_text(
        "[pytest]\nasyncio_default_fixture_loop_scope = function\n"
        f"asyncio_mode = {'auto' if plugin == 'pytest-aiohttp' else 'strict'}\n"
    )
    folder.joinpath("conftest.py").write_text(conftest)
    folder.joinpath("test_it.py").write_text(TELL_LOOP + TESTS[plugin])
    outcome = run_process([sys.executable, *command, "-q", "-p", "no:cacheprovider"], cwd=folder)
    return outcome.stdout + outcome.stderr, outcome.code


@pytest.mark.parametrize("plugin", TESTS)
def test_pytest_on_tress(plugin: str, tmp_path: Path) -> None:
    command = documented("python -m tress -m pytest").split()[1:]
    # anyio's are run once on each of its back ends that is installed: on asyncio alone.
    said, code = run_tests(plugin, command, tmp_path)
    assert code == 0, said
    assert " passed" in said


@pytest.mark.parametrize("plugin", CONFTESTS)
def test_conftest(plugin: str, tmp_path: Path) -> None:
    conftest = f"import pytest, tress.asyncio\n{documented(CONFTESTS[plugin])}"
    said, code = run_tests(plugin, ["-m", "pytest"], tmp_path, conftest)
    assert code == 0, said
    said, code = run_tests(plugin, ["-m", "pytest"], tmp_path)
    assert code == 1, "the test passes on the standard loop"
    assert "standard" in said
