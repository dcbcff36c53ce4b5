"""SharedMemory and ShareableList: who removes a block, and who does not."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing import shared_memory as standard
from pathlib import Path
from typing import Any

import pytest

from tests.processes.jobs import BOUND_S
from tress.multiprocessing import shared_memory


@pytest.fixture
def block() -> Iterator[Any]:
    made = shared_memory.SharedMemory(create=True, size=100)
    yield made
    made.close()
    if exists(made.name):
        made.unlink()


def exists(name: str) -> bool:
    return Path("/dev/shm", name).exists()


def elsewhere(text: str, *arguments: str) -> str:
    """What a program of its own, which has a tracker of its own, says on standard error."""
    head = "import sys\nfrom tress.multiprocessing.shared_memory import *\n"
    ended = subprocess.run(
        [sys.executable, "-c", head + text, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        timeout=BOUND_S,
        check=True,
    )
    return ended.stderr


def test_both_see_the_same(block: Any) -> None:
    is_one: bool = isinstance(block, standard.SharedMemory)
    assert is_one
    other: Any
    for other in (
        shared_memory.SharedMemory(block.name),
        shared_memory.SharedMemory(block.name, track=False),
        standard.SharedMemory(block.name),
        pickle.loads(pickle.dumps(block)),
    ):
        assert type(other) is type(block) or type(other) is standard.SharedMemory
        assert other.size == block.size
        block.buf[:3] = b"abc"
        assert bytes(other.buf[:3]) == b"abc"
        other.close()


@pytest.mark.parametrize("track", [None, True, False])
def test_errors(track: bool | None) -> None:
    for arguments, text in (
        ({"create": True}, "different from zero"),
        ({"create": True, "size": -1}, "positive"),
        ({}, "'name' can only be None"),
    ):
        with pytest.raises(ValueError, match=text):
            shared_memory.SharedMemory(**arguments, track=track)
    with pytest.raises(FileNotFoundError):
        shared_memory.SharedMemory("no_such_block", track=track)
    made = shared_memory.SharedMemory(create=True, size=1, track=track)
    with pytest.raises(FileExistsError):
        shared_memory.SharedMemory(made.name, create=True, size=1, track=track)
    made.close()
    made.unlink()
    assert not exists(made.name)


@pytest.mark.parametrize("options", ["", ", track=False"])
def test_one_that_looks_removes_nothing(block: Any, options: str) -> None:
    said = elsewhere(f"SharedMemory(sys.argv[1]{options}).close()", block.name)
    assert said == ""
    assert exists(block.name)


def test_one_that_is_told_to_does(block: Any) -> None:
    elsewhere("SharedMemory(sys.argv[1], track=True).close()", block.name)
    assert not exists(block.name)


def test_what_is_made_goes_with_its_maker() -> None:
    said = elsewhere("print(SharedMemory(create=True, size=1).name, file=sys.stderr)")
    name, _, rest = said.partition("\n")
    assert "leaked" in rest
    assert not exists(name)
    name = elsewhere("print(SharedMemory(create=True, size=1, track=False).name, file=sys.stderr)")
    assert exists(name.strip())
    left = shared_memory.SharedMemory(name.strip())
    left.close()
    left.unlink()
    assert not exists(name.strip())


@pytest.mark.parametrize("options", ["", ", track=False", ", track=True"])
def test_another_process_may_remove_it(block: Any, options: str) -> None:
    assert elsewhere(f"SharedMemory(sys.argv[1]{options}).unlink()", block.name) == ""
    assert not exists(block.name)
    block.buf[0] = 1


def test_lists(block: Any) -> None:
    made = shared_memory.ShareableList([1, "two", None, 4.5])
    assert isinstance(made, standard.ShareableList)
    assert type(made.shm) is shared_memory.SharedMemory
    name = made.shm.name
    elsewhere("ShareableList(name=sys.argv[1])[0] = 7", name)
    assert exists(name)
    again: Any = pickle.loads(pickle.dumps(made))
    assert type(again) is shared_memory.ShareableList
    assert list(again) == [7, "two", None, 4.5]
    again.shm.close()
    made.shm.close()
    made.shm.unlink()
    assert not exists(name)
