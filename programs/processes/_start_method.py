"""The start method that the command line asks for: fork, spawn or forkserver; without one the platform's.

A child that imports the main module imports this as well, and has its method already.
"""

import multiprocessing
import sys

if len(sys.argv) > 1 and multiprocessing.get_start_method(allow_none=True) is None:
    multiprocessing.set_start_method(sys.argv[1])
