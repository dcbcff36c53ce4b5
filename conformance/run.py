"""Runs CPython's own suites against tress and the standard library: see README.md beside this."""

from __future__ import annotations

import sys
from pathlib import Path

# In place of this folder, which Python puts there for the script that it runs.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from conformance.harness.command import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
