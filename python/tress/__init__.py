"""tress: Python's processes, threads and coroutines from one Rust engine."""
