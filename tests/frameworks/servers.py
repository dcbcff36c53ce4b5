"""A Redis and a PostgreSQL of the tests' own: on loopback, on a free port, ended with the tests.

Their programs are those that `ci/servers/fetch` has found or fetched; `ci/frameworks` says where.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CERTIFICATE = ROOT / "programs" / "coroutines" / "_certificate.pem"

STOP_S = 30.0
ATTEMPTS = 5
"""How many ports are tried: a free one may be taken before the server has it."""

PASSWORD = "open sesame"

Command = Sequence[str | Path]


class StartError(Exception):
    """A server ended before it was ready."""


def _user() -> dict[str, Any]:
    """Whom a server runs as, for `subprocess`: PostgreSQL must not be root's."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder of a server's own."""
    folder = Path(tempfile.mkdtemp(prefix="tress-"))
    try:
        if os.getuid() == 0:
            shutil.chown(folder, "nobody", "nogroup")
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def _running(command: Command, ready: str, stop: signal.Signals) -> Iterator[None]:
    """Run a server, from when it has said that it is ready until the signal has ended it."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **_user(),
    )
    assert process.stdout is not None
    said = []
    # Where neither comes, the bound of the test that asked for the server ends this.
    for line in process.stdout:
        said.append(line)
        if ready in line:
            break
    else:
        raise StartError(f"{command[0]} ended with {process.wait()}:\n{''.join(said)}")
    # It must not wait for someone to read what else it says.
    rest = Thread(target=process.stdout.read, daemon=True)
    rest.start()
    try:
        yield
    finally:
        process.send_signal(stop)
        try:
            process.wait(STOP_S)
        finally:
            process.kill()
            process.wait()
            rest.join()
            process.stdout.close()


@contextmanager
def _on_free_port(
    command: Callable[[int], Command], ready: str, stop: signal.Signals
) -> Iterator[int]:
    with ExitStack() as server:
        for attempt in range(ATTEMPTS):
            with socket.create_server(("127.0.0.1", 0)) as found:
                port: int = found.getsockname()[1]
            try:
                server.enter_context(_running(command(port), ready, stop))
                break
            except StartError:
                if attempt == ATTEMPTS - 1:
                    raise
        yield port


@contextmanager
def redis() -> Iterator[dict[str, str]]:
    """A Redis; what it gives is the environment in which programs find it."""
    with _folder() as folder:

        def command(port: int) -> Command:
            return [
                Path(os.environ["TRESS_REDIS"], "redis-server"),
                *("--bind", "127.0.0.1", "--port", str(port)),
                *("--dir", folder, "--unixsocket", folder / "socket", "--save", ""),
            ]

        with _on_free_port(command, "Ready to accept connections", signal.SIGTERM) as port:
            yield {
                "REDIS_URL": f"redis://127.0.0.1:{port}/0",
                "REDIS_SOCKET": str(folder / "socket"),
            }


@contextmanager
def postgresql() -> Iterator[dict[str, str]]:
    """A PostgreSQL with passwords and TLS; what it gives is the environment of its clients."""
    programs = Path(os.environ["TRESS_POSTGRESQL"])
    with _folder() as folder:
        password, certificate, data = (folder / name for name in ("password", "tls", "data"))
        password.write_text(PASSWORD)
        password.chmod(0o644)
        certificate.write_bytes(CERTIFICATE.read_bytes())
        certificate.chmod(0o600)
        if os.getuid() == 0:
            shutil.chown(certificate, "nobody", "nogroup")
        made = subprocess.run(
            [
                *(programs / "initdb", "--pgdata", data, "--username", "tests", "--no-sync"),
                *("--auth", "scram-sha-256", "--pwfile", password),
                *("--encoding", "UTF8", "--no-locale"),
            ],
            capture_output=True,
            text=True,
            check=False,
            **_user(),
        )
        if made.returncode != 0:
            raise StartError(made.stdout + made.stderr)

        def command(port: int) -> Command:
            settings = {
                "listen_addresses": "127.0.0.1",
                "port": str(port),
                "unix_socket_directories": "",
                "fsync": "off",
                "ssl": "on",
                "ssl_cert_file": str(certificate),
                "ssl_key_file": str(certificate),
            }
            options = [
                part for name, value in settings.items() for part in ("-c", f"{name}={value}")
            ]
            return [programs / "postgres", "-D", data, *options]

        ready = "database system is ready to accept connections"
        with _on_free_port(command, ready, signal.SIGINT) as port:
            yield {
                "PGHOST": "localhost",
                "PGPORT": str(port),
                "PGUSER": "tests",
                "PGPASSWORD": PASSWORD,
                "PGDATABASE": "postgres",
            }
