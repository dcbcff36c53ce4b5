"""共享内存方式: multiprocessing.Value, multiprocessing.Array."""

import _start_method
from ctypes import Structure, c_double
from multiprocessing import Array, Process, RawArray, RawValue, Value


class Point(Structure):
    _fields_ = [("x", c_double), ("y", c_double)]


def change(number, numbers, points, raw, raws):
    for _ in range(100):
        with number.get_lock():  # += 不是原子操作
            number.value += 1
    with numbers:
        for index in range(len(numbers)):
            numbers[index] = -numbers[index]
    with points:
        for point in points:
            point.x **= 2
    raw.value = 2.5
    raws[1:3] = [7, 8]


if __name__ == "__main__":
    number, numbers = Value("i", 0), Array("i", range(10))
    points = Array(Point, [(1.5, 1), (2, 2)])
    raw, raws = RawValue("d", 1.0), RawArray("h", 4)
    processes = [
        Process(target=change, args=(number, numbers, points, raw, raws)) for _ in range(3)
    ]
    for p in processes:
        p.start()
    for p in processes:
        p.join()
    print(number.value, numbers[:], [(point.x, point.y) for point in points])
    print(raw.value, raws[:], len(numbers), numbers[3:5])

    word = Array("c", b"hello")
    word.value = b"bye"
    print(word.value, word.raw, word.get_obj()[0], word.get_lock().acquire(False))
    try:
        numbers[10]
    except IndexError as error:
        print(f"IndexError: {error}")
