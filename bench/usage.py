"""Processor time and context switches: of this process, and of another while it runs."""

from __future__ import annotations

import resource
from dataclasses import astuple, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Usage:
    """What was used so far, or between two moments."""

    user_ns: int
    system_ns: int
    voluntary_switches: int
    involuntary_switches: int

    def since(self, earlier: Usage) -> Usage:
        """What was used after that moment."""
        pairs = zip(astuple(self), astuple(earlier), strict=True)
        return Usage(*(now - before for now, before in pairs))


def of_this_process() -> Usage:
    """With the children that it has waited for."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return Usage(
        user_ns=round(sum(one.ru_utime for one in both) * 1e9),
        system_ns=round(sum(one.ru_stime for one in both) * 1e9),
        voluntary_switches=sum(one.ru_nvcsw for one in both),
        involuntary_switches=sum(one.ru_nivcsw for one in both),
    )


def of_process(pid: int) -> Usage:
    """What the threads that it has now used, and not its children.

    The scheduler knows their time to the nanosecond; how it is divided is known in ticks.
    """
    folder = Path("/proc", str(pid))
    # What follows the name, which may have spaces in it, begins with the third field.
    fields = (folder / "stat").read_text("ascii", errors="replace").rpartition(")")[2].split()
    user, system = int(fields[11]), int(fields[12])
    tasks = list((folder / "task").iterdir())
    total = sum(int((task / "schedstat").read_text("ascii").split()[0]) for task in tasks)
    system_ns = total * system // max(1, user + system)
    switches = [_switches(task / "status") for task in tasks]
    return Usage(
        user_ns=total - system_ns,
        system_ns=system_ns,
        voluntary_switches=sum(voluntary for voluntary, _ in switches),
        involuntary_switches=sum(involuntary for _, involuntary in switches),
    )


def _switches(status: Path) -> tuple[int, int]:
    lines = (line.partition(":") for line in status.read_text("ascii", "replace").splitlines())
    found = {name: value for name, _, value in lines}
    return int(found["voluntary_ctxt_switches"]), int(found["nonvoluntary_ctxt_switches"])
