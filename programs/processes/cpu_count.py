"""获取 CPU 核心数."""

import _start_method
import multiprocessing
import os

if __name__ == "__main__":
    print(multiprocessing.cpu_count() == os.cpu_count(), multiprocessing.cpu_count() >= 1)
