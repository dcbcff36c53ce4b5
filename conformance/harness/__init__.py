"""Runs CPython's own test-suites for threads, queues and futures against tress.

Nothing here is needed to use tress, and nothing outside the standard library is needed to run
it: see README.md beside this package.
"""
