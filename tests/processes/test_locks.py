"""Lock, RLock, Semaphore, BoundedSemaphore between processes."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue as queue_module
import sys
import warnings
from collections.abc import Callable
from multiprocessing import synchronize as standard
from typing import Any

import pytest

import tress
import tress.multiprocessing as mp
from tests.processes import jobs
from tests.processes.jobs import BOUND_S
from tests.threads.ordering import Runner, blocked
from tress.multiprocessing import synchronize

pytestmark = pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")

KINDS = ["Lock", "RLock", "Semaphore", "BoundedSemaphore"]
Start = Callable[..., Any]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def make(ctx: Any, kind: str, **options: Any) -> Any:
    return getattr(ctx, kind)(**options)


def test_they_are_what_the_standard_ones_are(ctx: Any, kind: str) -> None:
    thing = make(ctx, kind)
    for base in (getattr(standard, kind), getattr(synchronize, kind), standard.SemLock):
        assert isinstance(thing, base)
    assert type(thing._semlock).__module__ == "tress._native"
    assert thing._semlock.name is None


def test_one_permit_is_one_permit(ctx: Any, kind: str) -> None:
    thing = make(ctx, kind)
    assert thing.acquire() is True
    other = blocked(thing.acquire)
    assert thing.acquire(False) is (kind == "RLock")
    if kind == "RLock":
        thing.release()
    thing.release()
    assert other.result() is True


def test_a_timeout_takes_nothing(ctx: Any, kind: str) -> None:
    thing = make(ctx, kind)
    thing.acquire()
    other = blocked(thing.acquire, True, 0.02)
    assert other.result() is False
    assert blocked(thing.acquire, True, 0.2).result() is False
    for refused in (0, -1, 0.0):
        assert elsewhere(thing.acquire, True, refused) is False
    thing.release()
    assert thing.acquire(True, 1e300) is True


def elsewhere(call: Callable[..., Any], *args: object) -> Any:
    """What a call comes to in another thread."""
    return Runner(call, *args).result()


def test_errors_are_the_standard_ones(ctx: Any) -> None:
    for kind in ("Lock", "BoundedSemaphore"):
        with pytest.raises(ValueError, match=r"^semaphore or lock released too many times$"):
            make(ctx, kind).release()
    text = "^attempt to release recursive lock not owned by thread$"
    with pytest.raises(AssertionError, match=text):
        ctx.RLock().release()
    lock = ctx.RLock()
    lock.acquire()
    other = blocked(lock.acquire, True, 0.01)
    assert other.result() is False
    ctx.Semaphore().release()
    with pytest.raises(TypeError, match="must be real number, not str"):
        ctx.Lock().acquire(True, "x")
    with pytest.raises(OSError, match="Invalid argument"):
        ctx.Semaphore(-1)
    with pytest.raises(ValueError, match="robust must be"):
        ctx.Lock(robust="no")


@pytest.mark.parametrize("library", [multiprocessing, mp], ids=["standard", "tress"])
def test_reprs_are_the_standard_ones(library: Any) -> None:
    ctx = library.get_context("fork")
    lock, rlock = ctx.Lock(), ctx.RLock()
    name = multiprocessing.current_process().name
    assert repr(lock) == "<Lock(owner=None)>"
    assert repr(rlock) == "<RLock(None, 0)>"
    with lock, rlock, rlock:
        assert repr(lock) == f"<Lock(owner={name})>"
        assert repr(rlock) == f"<RLock({name}, 2)>"
        assert elsewhere(repr, lock) == "<Lock(owner=SomeOtherThread)>"
        assert elsewhere(repr, rlock) == "<RLock(SomeOtherThread, nonzero)>"
    semaphore, bounded = ctx.Semaphore(3), ctx.BoundedSemaphore(4)
    with semaphore, bounded:
        assert repr(semaphore) == "<Semaphore(value=2)>"
        assert repr(bounded) == "<BoundedSemaphore(value=3, maxvalue=4)>"
        assert (semaphore.get_value(), bounded.get_value()) == (2, 3)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="a name of 3.14")
def test_locked(ctx: Any, kind: str) -> None:
    thing = make(ctx, kind)
    assert not thing.locked()
    with thing:
        assert thing.locked()


def test_what_others_see(ctx: Any, ask: Start) -> None:
    held, free, rlock = ctx.Lock(), ctx.Lock(), ctx.RLock()
    held.acquire()
    rlock.acquire()
    assert ask(jobs.report, held, free, rlock) == [
        ("<Lock(owner=SomeOtherProcess)>", False, False),
        ("<Lock(owner=None)>", False, True),
        ("<RLock(SomeOtherProcess, nonzero)>", False, False),
    ]
    assert held._semlock._is_mine()


def test_any_process_may_release_a_lock(ctx: Any, start: Start) -> None:
    lock = ctx.Lock()
    lock.acquire()
    start(jobs.release, lock)
    assert lock.acquire(timeout=BOUND_S)


def test_they_exclude(ctx: Any, start: Start) -> None:
    for kind in KINDS:
        lock, number = make(ctx, kind), ctx.RawValue("i", 0)
        children = [start(jobs.count, lock, number, 500) for _ in range(2)]
        jobs.count(lock, number, 500)
        for child in children:
            child.join(BOUND_S)
            assert child.exitcode == 0
        assert number.value == 1500


@pytest.mark.parametrize("robust", ["warn", "raise"])
def test_a_killed_holder_is_told_of(
    ctx: Any, start: Start, ask: Start, kind: str, robust: str
) -> None:
    thing, taken = make(ctx, kind, robust=robust), ctx.Event()
    holder = start(jobs.take_and_stay, taken, thing)
    assert taken.wait(BOUND_S)
    assert thing.acquire(False) is False
    holder.kill()
    text = f"process {holder.pid} ended while it held this: what it protects may be half-changed"
    if robust == "warn":
        with pytest.warns(tress.OwnerDiedWarning, match=text):
            assert thing.acquire() is True
        thing.release()
    else:
        with pytest.raises(tress.OwnerDiedError, match=text) as caught:
            thing.acquire(timeout=BOUND_S)
        assert caught.value.pid == holder.pid
        assert not thing._semlock._is_mine()
    assert ask(jobs.acquire_and_tell, thing) == (True, [])


def test_another_process_is_told_as_well(ctx: Any, start: Start, ask: Start, kind: str) -> None:
    thing, taken = make(ctx, kind, robust="raise"), ctx.Event()
    holder = start(jobs.take_and_stay, taken, thing)
    assert taken.wait(BOUND_S)
    holder.kill()
    error, [text] = ask(jobs.acquire_and_tell, thing)
    assert error == "OwnerDiedError"
    assert f"process {holder.pid} ended" in text


def test_a_warning_that_is_an_error_leaves_it_free(ctx: Any, start: Start) -> None:
    lock, taken = ctx.Lock(), ctx.Event()
    holder = start(jobs.take_and_stay, taken, lock)
    assert taken.wait(BOUND_S)
    holder.kill()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(tress.OwnerDiedWarning):
            lock.acquire()
    assert lock.acquire(False)


def test_a_waiter_is_released_when_the_holder_dies(ctx: Any, start: Start, kind: str) -> None:
    thing, taken = make(ctx, kind, robust="raise"), ctx.Event()
    holder = start(jobs.take_and_stay, taken, thing)
    assert taken.wait(BOUND_S)
    waiters = [blocked(thing.acquire) for _ in range(2)]
    holder.kill()

    def outcome(waiter: Any) -> Any:
        try:
            return waiter.result()
        except tress.OwnerDiedError:
            return "told"  # it is free again, and the other one gets it

    assert sorted(map(str, map(outcome, waiters))) == ["True", "told"]


def test_a_holder_that_simply_ends(ctx: Any, start: Start, kind: str) -> None:
    thing = make(ctx, kind)
    child = start(jobs.take_and_end, thing)
    child.join(BOUND_S)
    assert thing.acquire(False) is False
    with pytest.warns(tress.OwnerDiedWarning, match=f"process {child.pid} ended"):
        assert thing.acquire(timeout=BOUND_S) is True


def test_several_permits_come_back(ctx: Any, start: Start) -> None:
    semaphore, taken = ctx.BoundedSemaphore(3), ctx.Event()
    holder = start(jobs.take_and_stay, taken, semaphore, semaphore)
    assert taken.wait(BOUND_S)
    assert semaphore.acquire(False)
    holder.kill()
    with pytest.warns(tress.OwnerDiedWarning):
        assert semaphore.acquire(timeout=BOUND_S)
    assert semaphore.acquire(timeout=BOUND_S)
    assert semaphore.acquire(timeout=0.2) is False
    for _ in range(3):
        semaphore.release()
    assert semaphore.get_value() == 3


def test_a_signal_does_not_come_back(ctx: Any, start: Start) -> None:
    signal = ctx.Semaphore(0)
    signal.release()
    child = start(jobs.take_and_end, signal)
    child.join(BOUND_S)
    assert signal.acquire(timeout=0.3) is False


def test_a_bounded_queue_keeps_its_bound(ctx: Any, start: Start) -> None:
    queue = ctx.Queue(2)
    child = start(jobs.put, queue, 2)
    child.join(BOUND_S)
    other = blocked(queue.put, 3, True, 0.3)
    with pytest.raises(queue_module.Full):
        other.result()
    assert [queue.get(timeout=BOUND_S) for _ in range(2)] == [0, 1]
    queue.put(4, timeout=BOUND_S)
    assert queue.get(timeout=BOUND_S) == 4
    queue.close()
    queue.join_thread()


def test_a_child_that_only_forked_holds_nothing() -> None:
    rlock = mp.get_context("fork").RLock()
    rlock.acquire()
    pid = os.fork()
    if pid == 0:
        os._exit(rlock._semlock._is_mine() or rlock._semlock._count())
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert rlock._semlock._holder() == os.getpid()
    rlock.release()


def test_they_travel_while_a_process_starts_only(ctx: Any, kind: str) -> None:
    text = f"{kind} objects should only be shared between processes through inheritance"
    with pytest.raises(RuntimeError, match=text):
        pickle.dumps(make(ctx, kind))


@pytest.mark.parametrize("other", ["spawn", "forkserver"])
@pytest.mark.parametrize("kind", [*KINDS, "Condition", "Event"])
def test_what_is_of_the_fork_context_stays_there(kind: str, other: str) -> None:
    thing = make(mp.get_context("fork"), kind)
    process = mp.get_context(other).Process(target=jobs.release, args=(thing,))
    with pytest.raises(RuntimeError, match="created in a fork context"):
        process.start()


def test_many_locks_travel_by_one_descriptor(ctx: Any, ask: Start) -> None:
    locks = [ctx.Lock() for _ in range(20)]
    count, works = ask(jobs.count_memories, locks)
    assert works
    if ctx.get_start_method() != "fork":
        assert count <= 2, "twenty slots are in two segments at most"
    assert not any(lock.acquire(False) for lock in locks), "they are the same locks"


def test_a_lock_travels_on(ctx: Any, ask: Start) -> None:
    lock = ctx.Lock()
    lock.acquire()
    [(_, _, acquired)] = ask(grandchild, ctx.get_start_method(), lock)
    assert acquired is False


def grandchild(sender: Any, method: str, lock: Any) -> None:
    jobs.pass_on(method, lock, sender)


def test_no_descriptor_is_left_over() -> None:
    before = len(jobs.memories())
    locks = [mp.Lock() for _ in range(500)]
    assert len(jobs.memories()) > before
    del locks
    assert len(jobs.memories()) <= before + 1, "the segment that new ones come from"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_the_start_method_is_one_for_both(method: str) -> None:
    before = multiprocessing.get_start_method(allow_none=True)
    try:
        mp.set_start_method(method, force=True)
        assert multiprocessing.get_start_method() == mp.get_start_method() == method
        assert type(mp.get_context()) is type(mp.get_context(method))
        assert mp.Lock()._is_fork_ctx is (method == "fork")
        with pytest.raises(RuntimeError, match="context has already been set"):
            mp.set_start_method(method)
        receiver, sender = mp.Pipe(duplex=False)
        process = mp.Process(target=jobs.start_method, args=(sender,))
        process.start()
        assert receiver.poll(BOUND_S)
        assert receiver.recv() == (method, method)
        process.join(BOUND_S)
    finally:
        multiprocessing.set_start_method(before, force=True)


def test_contexts_are_the_standard_ones_subclasses(ctx: Any) -> None:
    method = ctx.get_start_method()
    assert isinstance(ctx, type(multiprocessing.get_context(method)))
    assert ctx.get_context() is ctx
    assert ctx.get_context("spawn") is mp.get_context("spawn")
    assert issubclass(ctx.Process, multiprocessing.get_context(method).Process)
    assert mp.get_all_start_methods() == multiprocessing.get_all_start_methods()
    with pytest.raises(ValueError, match="cannot find context for 'no'"):
        mp.get_context("no")


def test_waits_are_seen(ctx: Any) -> None:
    lock = ctx.Lock()
    lock.acquire()
    other = blocked(lock.acquire)
    [wait] = [wait for wait in tress.waits() if wait.object is lock._semlock]
    assert wait.operation == "SemLock.acquire"
    lock.release()
    assert other.result() is True
