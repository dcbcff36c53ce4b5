//! The registry of waits: who is in it, and which cycles it sees.
#![cfg(not(loom))]

mod embedder;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use embedder::{far, release, until, within_bound};
use tress_core::base::deadline::{Deadline, now_ns};
use tress_core::base::thread_id::{self, NOBODY, ThreadId};
use tress_core::base::waiter::{Outcome, Signal};
use tress_core::base::waitlist::Node;
use tress_core::base::waits::{self, Cycle, Link, Waiting, What};
use tress_core::threads::lock::Lock;

/// What a test waits for, known by its lock's address.
fn what(lock: &Lock) -> What {
    What { operation: "Lock.acquire", object: std::ptr::from_ref(lock) as usize }
}

/// The waits of one thread. The tests of this process share the registry.
fn waits_of(thread: ThreadId) -> Vec<Waiting> {
    waits::snapshot().into_iter().filter(|waiting| waiting.thread == thread).collect()
}

fn waits_for(lock: &Lock) -> usize {
    waits::snapshot().iter().filter(|waiting| waiting.what.object == what(lock).object).count()
}

/// Waits for `lock` as an embedder does that raises deadlocks.
fn acquire(lock: &Lock, deadline: Option<Deadline>) -> Result<bool, Cycle> {
    if lock.try_acquire() {
        return Ok(true);
    }
    let since_ns = now_ns();
    let mut again = false;
    loop {
        let Some(node) = lock.enrol(since_ns, again) else { return Ok(true) };
        let outcome = waits::scope(|scope| {
            if deadline.is_some() {
                scope.enter_lock_unchecked(what(lock), deadline, lock);
            } else {
                scope.enter_lock(what(lock), lock)?;
            }
            Ok(node.waiter().park(deadline))
        });
        match outcome {
            Ok(Outcome::Granted(signal)) if lock.settle(signal) => return Ok(true),
            Ok(Outcome::Granted(_)) => again = true,
            Ok(_) => return Ok(lock.cancel(&node)),
            Err(cycle) => {
                if lock.cancel(&node) {
                    release(lock);
                }
                return Err(cycle);
            }
        }
    }
}

#[test]
fn a_wait_is_there_as_long_as_it_lasts() {
    let me = thread_id::current();
    let lock = Lock::new();
    assert!(waits_of(me).is_empty());
    let before = now_ns();
    let outer = waits::enter(What { operation: "Event.wait", object: 0 }, None);
    let deadline = far();
    waits::scope(|scope| {
        scope.enter_lock_unchecked(what(&lock), deadline, &lock);
        let [inner] = waits_of(me)[..] else { panic!("the innermost is seen") };
        assert_eq!((inner.what.operation, inner.what.object), ("Lock.acquire", what(&lock).object));
        assert_eq!((inner.deadline, inner.owner), (deadline, NOBODY));
        assert!(inner.since_ns >= before && inner.since_ns <= now_ns());
    });
    let [left] = waits_of(me)[..] else { panic!("the outer one is seen again") };
    assert_eq!((left.what.operation, left.deadline), ("Event.wait", None));
    drop(outer);
    assert!(waits_of(me).is_empty());
}

#[test]
fn waits_end_in_any_order() {
    let me = thread_id::current();
    let operations = ["a", "b", "c"];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut entries = operations.map(|operation| Some(waits::enter(What { operation, object: 0 }, None)));
        for ended in order {
            drop(entries[ended].take());
            let innermost = entries.iter().rposition(Option::is_some).map(|index| operations[index]);
            assert_eq!(waits_of(me).first().map(|waiting| waiting.what.operation), innermost);
        }
    }
}

#[test]
fn a_wait_leaves_when_it_panics() {
    let me = thread_id::current();
    let lock = Lock::new();
    let panicked = std::panic::catch_unwind(|| {
        waits::scope(|scope| {
            scope.enter_lock(what(&lock), &lock).expect("it is free");
            std::panic::resume_unwind(Box::new(()));
        })
    });
    assert!(panicked.is_err());
    assert!(waits_of(me).is_empty());
    let twice = std::panic::catch_unwind(|| {
        waits::scope(|scope| {
            scope.enter(what(&lock), None);
            scope.enter(what(&lock), None);
        })
    });
    assert!(twice.is_err());
    assert!(waits_of(me).is_empty());
}

#[test]
fn the_owner_is_told_where_it_means_something() {
    let me = thread_id::current();
    let lock = Lock::new();
    assert!(lock.try_acquire());
    waits::scope(|scope| {
        scope.enter_lock_unchecked(what(&lock), None, &lock);
        assert_eq!(waits_of(me)[0].owner, me);
    });
    waits::scope(|scope| {
        scope.enter_condition(what(&lock), None, &lock);
        assert_eq!(waits_of(me)[0].owner, NOBODY, "it waits for a notification first");
    });
}

#[test]
fn a_lock_of_ones_own_is_a_cycle_of_one() {
    let lock = Lock::new();
    assert!(lock.try_acquire());
    let links = vec![Link { thread: thread_id::current(), wants: what(&lock).object }];
    assert_eq!(acquire(&lock, None), Err(Cycle { links }));
    assert_eq!(lock.waiting(), 0);
}

/// Threads that each take one lock and want the next one's, all but the last; then the last, that closes the cycle.
fn cycle_of(count: usize) {
    within_bound(move || {
        let locks: Arc<Vec<Lock>> = Arc::new((0..count).map(|_| Lock::new()).collect());
        let all_hold_one = Arc::new(std::sync::Barrier::new(count));
        let others: Vec<_> = (1..count)
            .map(|index| {
                let (locks, all_hold_one) = (locks.clone(), all_hold_one.clone());
                thread::spawn(move || {
                    assert!(locks[index].try_acquire());
                    all_hold_one.wait();
                    assert_eq!(acquire(&locks[index - 1], None), Ok(true));
                    release(&locks[index - 1]);
                    release(&locks[index]);
                })
            })
            .collect();
        assert!(locks[0].try_acquire());
        all_hold_one.wait();
        for lock in &locks[..count - 1] {
            until("it waits", || waits_for(lock) == 1);
        }
        let cycle = acquire(&locks[count - 1], None).expect_err("it closes the cycle");
        assert_eq!(cycle.links.len(), count);
        assert_eq!(cycle.links[0].thread, thread_id::current());
        let wanted: Vec<_> = cycle.links.iter().map(|link| link.wants).collect();
        let expected: Vec<_> = locks.iter().rev().map(|lock| what(lock).object).collect();
        assert_eq!(wanted, expected);
        for links in cycle.links.windows(2) {
            assert_ne!(links[0].thread, links[1].thread);
        }
        // The others go on once this thread lets go.
        release(&locks[0]);
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn a_cycle_of_two() {
    cycle_of(2);
}

#[test]
fn a_cycle_of_three() {
    cycle_of(3);
}

#[test]
fn a_cycle_of_twenty() {
    cycle_of(20);
}

/// `first` is held by this thread; another takes `second`, does `before_wait` and waits for `first` as `wait` does. Then this
/// thread looks whether a wait for `second` would close a cycle.
fn is_cycle(
    prepare: impl FnOnce(&Lock, &Lock) + Send + 'static,
    wait: impl FnOnce(&Lock, &Lock) + Send + 'static,
) -> bool {
    within_bound(move || {
        let locks = Arc::new((Lock::new(), Lock::new()));
        prepare(&locks.0, &locks.1);
        assert!(locks.0.try_acquire());
        let (other, ready) = (locks.clone(), Arc::new(AtomicBool::new(false)));
        let taken = ready.clone();
        let waiter = thread::spawn(move || {
            assert!(other.1.try_acquire());
            taken.store(true, Ordering::Release);
            wait(&other.0, &other.1);
        });
        until("it waits", || ready.load(Ordering::Acquire) && waits_for(&locks.0) == 1);
        let closed = waits::scope(|scope| scope.enter_lock(what(&locks.1), &locks.1).is_err());
        release(&locks.0);
        waiter.join().unwrap();
        closed
    })
}

fn wait_for_ever(first: &Lock, _second: &Lock) {
    assert_eq!(acquire(first, None), Ok(true));
}

#[test]
fn two_that_wait_for_each_other() {
    assert!(is_cycle(|_, _| (), wait_for_ever));
}

#[test]
fn a_wait_with_a_deadline_ends_by_itself() {
    assert!(!is_cycle(|_, _| (), |first, _| assert_eq!(acquire(first, far()), Ok(true))));
}

#[test]
fn a_wait_for_a_condition_ends_with_its_lock_alone() {
    // Even with a deadline: it has to have the lock again after that.
    assert!(is_cycle(
        |_, _| (),
        |first, _| {
            let node = first.enrol(now_ns(), false).expect("held");
            let outcome = waits::scope(|scope| {
                scope.enter_condition(what(first), far(), first);
                node.waiter().park(None)
            });
            assert!(matches!(outcome, Outcome::Granted(signal) if first.settle(signal)));
        }
    ));
}

#[test]
fn a_lock_that_others_release_has_no_owner() {
    let release_elsewhere = |lock: &Lock| {
        assert!(lock.try_acquire());
        thread::scope(|scope| {
            scope.spawn(|| release(lock));
        });
    };
    assert!(!is_cycle(move |first, _| release_elsewhere(first), wait_for_ever));
    assert!(!is_cycle(move |_, second| release_elsewhere(second), wait_for_ever));
}

#[test]
fn a_wait_for_something_else_breaks_the_chain() {
    assert!(!is_cycle(
        |_, _| (),
        |first, _| {
            let node = first.enrol(now_ns(), false).expect("held");
            let entry = waits::enter(what(first), None);
            assert!(matches!(node.waiter().park(None), Outcome::Granted(signal) if first.settle(signal)));
            drop(entry);
        },
    ));
}

#[test]
fn a_wait_inside_a_wait_hides_the_outer_one() {
    // A signal handler that waits for something else, on top of a wait for a lock.
    assert!(!is_cycle(
        |_, _| (),
        |first, _| {
            let node = first.enrol(now_ns(), false).expect("held");
            waits::scope(|scope| {
                // Known by nothing, so that what is seen to wait for the lock is the inner one.
                scope.enter_lock_unchecked(What { operation: "outer", object: 0 }, None, first);
                let inner = waits::enter(what(first), far());
                assert!(matches!(node.waiter().park(None), Outcome::Granted(signal) if first.settle(signal)));
                drop(inner);
            });
        },
    ));
}

#[test]
fn one_whose_lock_has_been_handed_over_is_on_its_way() {
    let handed = Arc::new((AtomicBool::new(false), AtomicBool::new(false)));
    let seen = handed.clone();
    let closed = within_bound(move || {
        let locks = Arc::new((Lock::new(), Lock::new()));
        assert!(locks.0.try_acquire());
        let other = locks.clone();
        let waiter = thread::spawn(move || {
            assert!(other.1.try_acquire());
            // Long overdue, so it is handed the lock.
            let node = other.0.enrol(0, false).expect("held");
            waits::scope(|scope| {
                scope.enter_lock(what(&other.0), &other.0).expect("no cycle yet");
                assert_eq!(node.waiter().park(None), Outcome::Granted(Signal::Handed));
                seen.0.store(true, Ordering::Release);
                until("it may go on", || seen.1.load(Ordering::Acquire));
                // Still in the registry, and the lock's owner: on its way all the same.
                assert!(other.0.settle(Signal::Handed));
            });
            assert_eq!(other.0.owner(), thread_id::current());
        });
        until("it waits", || waits_for(&locks.0) == 1);
        release(&locks.0);
        until("it has heard", || handed.0.load(Ordering::Acquire));
        let closed = waits::scope(|scope| scope.enter_lock(what(&locks.1), &locks.1).is_err());
        handed.1.store(true, Ordering::Release);
        waiter.join().unwrap();
        closed
    });
    assert!(!closed);
}

#[test]
fn a_cycle_of_others_is_not_ones_own() {
    // Two wait for each other, unchecked; a third that wants one of their locks waits, and finds no end of links.
    within_bound(|| {
        let locks = Arc::new((Lock::new(), Lock::new()));
        let threads = [(0, 1), (1, 0)].map(|(mine, theirs)| {
            let locks = locks.clone();
            thread::spawn(move || {
                let pair = [&locks.0, &locks.1];
                assert!(pair[mine].try_acquire());
                until("both are held", || pair[theirs].is_locked());
                let node = pair[theirs].enrol(now_ns(), false).expect("held");
                waits::scope(|scope| {
                    scope.enter_lock_unchecked(what(pair[theirs]), None, pair[theirs]);
                    let _ = node.waiter().park(None);
                });
                release(pair[mine]);
            })
        });
        until("both wait", || waits_for(&locks.0) + waits_for(&locks.1) == 2);
        assert!(waits::scope(|scope| scope.enter_lock(what(&locks.0), &locks.0).is_ok()));
        // As an operator would: one of the locks is released over its owner's head.
        release(&locks.0);
        for thread in threads {
            let _ = thread.join();
        }
    });
}
