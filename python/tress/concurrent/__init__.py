"""Concurrent execution: the `futures` subpackage, as the standard `concurrent`."""
