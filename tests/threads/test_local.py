"""local: the standard library's own, on tress's threads."""

from __future__ import annotations

import threading
import weakref
from types import ModuleType

import tress.threading
from tests.threads.ordering import BOUND_S


def test_it_is_the_standard_one() -> None:
    assert tress.threading.local is threading.local


def test_each_thread_has_its_own(library: ModuleType) -> None:
    local = library.local()
    local.value = "main"
    seen: list[object] = []

    def look() -> None:
        seen.append(hasattr(local, "value"))
        local.value = "thread"
        seen.append(local.value)

    thread = library.Thread(target=look)
    thread.start()
    thread.join(BOUND_S)
    assert seen == [False, "thread"]
    assert local.value == "main"


def test_what_a_thread_kept_goes_with_it(library: ModuleType) -> None:
    class Thing:
        pass

    local = library.local()
    references: list[weakref.ref[Thing]] = []

    def keep() -> None:
        local.thing = Thing()
        references.append(weakref.ref(local.thing))

    thread = library.Thread(target=keep)
    thread.start()
    thread.join(BOUND_S)
    assert references[0]() is None


def test_a_subclass_is_initialised_in_each_thread(library: ModuleType) -> None:
    class Numbered(library.local):  # type: ignore[name-defined, misc]
        def __init__(self, start: int) -> None:
            self.number = start

    local = Numbered(5)
    local.number += 1
    seen: list[int] = []
    thread = library.Thread(target=lambda: seen.append(local.number))
    thread.start()
    thread.join(BOUND_S)
    assert (seen, local.number) == ([5], 6)
