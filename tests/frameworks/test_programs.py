"""The programs of `programs/frameworks` do on tress what they do on plain Python."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.programs.loops import LOOPS, run_and_tell_loops

FOLDER = Path(__file__).resolve().parents[2] / "programs" / "frameworks"
DOCUMENT = FOLDER.parents[1] / "docs" / "frameworks.md"
EXPECTED = Path(__file__).with_name("expected")

SERVERS = {
    "aiohttp_site": None,
    "anyio_tools": None,
    "asyncpg_ledger": "postgresql",
    "fastapi_shop": None,
    "nested_loops": None,
    "redis_client": "redis",
    "websockets_chat": None,
}
"""Each program, and the server that it needs."""


def test_every_program_is_here() -> None:
    assert set(SERVERS) == {path.stem for path in FOLDER.glob("*.py")}
    documented = re.findall(r"^\| `(\w+)\.py` \|", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert sorted(documented) == sorted(SERVERS)


@pytest.mark.parametrize("side", LOOPS)
@pytest.mark.parametrize("name", SERVERS)
def test_output(name: str, side: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    server = SERVERS[name]
    environment = request.getfixturevalue(server) if server else {}
    outcome = run_and_tell_loops(FOLDER / f"{name}.py", side, cwd=tmp_path, environment=environment)
    assert outcome == (EXPECTED.joinpath(f"{name}.txt").read_text("utf-8"), f"{LOOPS[side]}\n", 0)
