"""Where tress does not run it says so."""

import pytest

from tress._platform import check


def test_supported() -> None:
    check("linux", "cpython", (3, 11))
    check("linux", "cpython", (3, 15))


@pytest.mark.parametrize(
    ("platform", "implementation", "version", "found"),
    [
        ("darwin", "cpython", (3, 14), "cpython 3.14 on darwin"),
        ("linux", "pypy", (3, 11), "pypy 3.11 on linux"),
        ("linux", "cpython", (3, 10), "cpython 3.10 on linux"),
    ],
)
def test_unsupported(
    platform: str, implementation: str, version: tuple[int, int], found: str
) -> None:
    with pytest.raises(ImportError, match=f"CPython 3.11 or later on Linux; this is {found}"):
        check(platform, implementation, version)
