"""The facts without which a figure says nothing: machine, interpreter, versions, date."""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

from bench import sides

# A build without a profile may mark a handful of functions as hot by hand; one with a profile has
# hundreds of files.
_HOT_OBJECT_FILES = 50


class Machine(TypedDict):
    """Where and on what a run was made."""

    date: str
    cpu: str
    cores: int
    cores_allowed: int
    kernel: str
    python: str
    compiler: str
    profile_guided: str
    config_args: str
    gil: bool
    load_average: float
    versions: dict[str, str]


def facts() -> Machine:
    """Ask the machine and the running interpreter."""
    gil_enabled = getattr(sys, "_is_gil_enabled", lambda: True)
    return Machine(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        cpu=_cpu_model(),
        cores=os.cpu_count() or 1,
        cores_allowed=len(os.sched_getaffinity(0)),
        kernel=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        compiler=platform.python_compiler(),
        profile_guided=_profile_guided(),
        config_args=sysconfig.get_config_var("CONFIG_ARGS") or "",
        gil=bool(gil_enabled()),
        load_average=round(os.getloadavg()[0], 2),
        versions={
            name: found
            for name in (sides.TRESS, *sides.PEERS, *sides.FRAMEWORKS)
            if (found := sides.version(name)) is not None
        },
    )


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()


def _profile_guided() -> str:
    """Whether the interpreter was built with profile-guided optimisation, and how that is known.

    `--enable-optimizations` in CONFIG_ARGS says so. Distributions may run the optimised build by
    other means (Debian calls the make target itself and leaves no trace in the configuration); then
    the static library, where it is installed, tells: with a profile the compiler puts functions
    into `.text.hot` in most object files.
    """
    config_args = sysconfig.get_config_var("CONFIG_ARGS") or ""
    if "--enable-optimizations" in config_args:
        return "yes (CONFIG_ARGS: --enable-optimizations)"
    if "-fprofile-use" in (sysconfig.get_config_var("PY_CORE_CFLAGS") or ""):
        return "yes (PY_CORE_CFLAGS: -fprofile-use)"
    folder = sysconfig.get_config_var("LIBPL")
    library = sysconfig.get_config_var("LIBRARY")
    if folder and library and (Path(folder) / library).is_file():
        if (Path(folder) / library).read_bytes().count(b".text.hot") > _HOT_OBJECT_FILES:
            return "yes (libpython has .text.hot sections; CONFIG_ARGS does not say)"
        return "no (not in CONFIG_ARGS; libpython has no .text.hot sections)"
    return "not known (not in CONFIG_ARGS)"
