"""CPython's tests of processes by spawn, for Pythons that ship them without this."""

from __future__ import annotations

import importlib
from typing import Any

_tests: Any = importlib.import_module("test._test_multiprocessing")
_tests.install_tests_in_module_dict(globals(), "spawn")
