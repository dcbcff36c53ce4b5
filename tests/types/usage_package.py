"""A user's program on what `tress` itself offers: checked by mypy --strict, and run."""

from __future__ import annotations

import io
import signal
import traceback
from typing import assert_type

import tress
from tress.threading import Barrier, Lock, Thread


def installation() -> None:
    tress.install()
    tress.install("threads")
    for strand, replacements in tress.installed().items():
        assert_type(strand, str)
        for replacement in replacements:
            assert_type(replacement.module, str)
            assert_type(replacement.name, str)
    tress.uninstall("threads")
    tress.uninstall()
    assert_type(tress.__version__, str)


def deadlocks() -> None:
    tress.deadlock(mode="raise")
    errors: list[tress.DeadlockError] = []
    locks = [Lock(), Lock()]
    both_hold_one = Barrier(2)

    def take(mine: Lock, other: Lock) -> None:
        with mine:
            both_hold_one.wait()
            try:
                with other:
                    pass
            except tress.DeadlockError as error:
                errors.append(error)

    threads = [Thread(target=take, args=order) for order in (locks, locks[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [error] = errors
    assert isinstance(error, RuntimeError)
    for link in error.chain:
        assert_type(link.thread_name, str)
        assert_type(link.thread_ident, int)
        assert_type(link.held_since, str | None)
        assert_type(link.stack, traceback.StackSummary)
        assert link.holds is not link.wants


def waits() -> None:
    for wait in tress.waits():
        assert_type(wait.thread_ident, int)
        assert_type(wait.thread_name, str)
        assert_type(wait.operation, str)
        assert_type(wait.seconds, float | None)
        assert_type(wait.seconds_left, float | None)
        assert_type(wait.owner_name, str | None)
        assert_type(wait.stack, traceback.StackSummary)
    text = io.StringIO()
    tress.dump_waits(text)
    assert text.getvalue()
    tress.dump_waits_on(signal.SIGUSR2)
    issubclass(tress.DeadlockWarning, Warning)


def main() -> None:
    installation()
    deadlocks()
    waits()


if __name__ == "__main__":
    main()
