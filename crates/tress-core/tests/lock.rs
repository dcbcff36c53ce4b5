//! Lock, with threads.
#![cfg(not(loom))]

mod embedder;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use embedder::{acquire, far, release, soon, until, within_bound};
use proptest::prelude::*;
use tress_core::base::deadline::now_ns;
use tress_core::base::thread_id::{self, NOBODY};
use tress_core::base::waiter::Signal;
use tress_core::base::waitlist::Node;
use tress_core::threads::lock::{FAIR_NS, Lock, NotLocked};

#[test]
fn it_is_taken_once_and_released_once() {
    let lock = Lock::new();
    assert!(!lock.is_locked());
    assert_eq!(lock.release().map(drop), Err(NotLocked));
    assert!(lock.try_acquire());
    assert!(!lock.try_acquire());
    assert_eq!(lock.owner(), thread_id::current());
    assert!(lock.release().expect("held").is_empty());
    assert_eq!(lock.owner(), NOBODY);
    assert_eq!(lock.release().map(drop), Err(NotLocked));
}

#[test]
fn a_release_by_another_thread_ends_all_trust_in_owners() {
    let lock = Arc::new(Lock::new());
    assert!(lock.try_acquire());
    let other = lock.clone();
    thread::spawn(move || release(&other)).join().unwrap();
    assert!(!lock.is_locked());
    assert!(lock.try_acquire());
    assert_eq!(lock.owner(), NOBODY);
    assert_eq!(lock.taker(), thread_id::current());
    release(&lock);
    lock.reset_after_fork();
    assert!(lock.try_acquire());
    assert_eq!(lock.owner(), thread_id::current());
}

#[test]
fn waits_end_in_the_order_of_their_beginning() {
    let lock = Lock::new();
    assert!(lock.try_acquire());
    let nodes: Vec<_> = (0..4).map(|_| lock.enrol(now_ns() + FAIR_NS, false).expect("held")).collect();
    assert_eq!(lock.waiting(), 4);
    assert!(!lock.cancel(&nodes[1]));
    assert_eq!(lock.waiting(), 3);
    for index in [0, 2, 3] {
        release(&lock);
        assert_eq!(nodes[index].waiter().granted(), Some(Signal::Retry));
        assert!(lock.settle(Signal::Retry));
    }
    assert_eq!(lock.waiting(), 0);
    release(&lock);
    assert!(!lock.is_locked());
}

#[test]
fn one_that_was_too_late_keeps_its_turn() {
    let lock = Lock::new();
    assert!(lock.try_acquire());
    let first = lock.enrol(now_ns() + FAIR_NS, false).expect("held");
    let second = lock.enrol(now_ns() + FAIR_NS, false).expect("held");
    release(&lock);
    assert!(lock.try_acquire());
    assert!(!lock.settle(first.waiter().granted().expect("told to retry")));
    let again = lock.enrol(first.since_ns(), true).expect("held");
    release(&lock);
    assert_eq!(again.waiter().granted(), Some(Signal::Retry));
    assert_eq!(second.waiter().granted(), None);
}

#[test]
fn one_that_has_waited_long_is_handed_the_lock() {
    let lock = Lock::new();
    assert!(lock.try_acquire());
    let node = lock.enrol(0, false).expect("held");
    let second = lock.enrol(0, false).expect("held");
    release(&lock);
    assert_eq!(node.waiter().granted(), Some(Signal::Handed));
    assert!(lock.is_locked());
    assert!(!lock.try_acquire());
    assert_eq!(lock.owner(), NOBODY, "until it has heard of it");
    assert!(lock.settle(Signal::Handed));
    assert_eq!(lock.owner(), thread_id::current());
    // One that gives up in the last moment has it, too.
    release(&lock);
    assert!(lock.cancel(&second));
    assert_eq!(lock.owner(), thread_id::current());
    release(&lock);
    assert!(!lock.is_locked());
}

#[test]
fn enrolling_takes_a_free_lock() {
    let lock = Lock::new();
    assert!(lock.enrol(now_ns(), false).is_none());
    assert_eq!(lock.owner(), thread_id::current());
}

#[test]
fn a_wait_that_times_out_takes_nothing() {
    within_bound(|| {
        let lock = Arc::new(Lock::new());
        assert!(lock.try_acquire());
        let other = lock.clone();
        assert!(!thread::spawn(move || acquire(&other, soon())).join().unwrap());
        assert_eq!(lock.waiting(), 0);
        release(&lock);
        assert!(!lock.is_locked());
    });
}

#[test]
fn a_released_lock_wakes_a_sleeper() {
    within_bound(|| {
        for deadline in [None, far()] {
            let lock = Arc::new(Lock::new());
            assert!(lock.try_acquire());
            let other = lock.clone();
            let waiter = thread::spawn(move || {
                assert!(acquire(&other, deadline));
                assert_eq!(other.owner(), thread_id::current());
                release(&other);
            });
            until("it waits", || lock.waiting() == 1);
            release(&lock);
            waiter.join().unwrap();
            assert!(!lock.is_locked());
        }
    });
}

#[test]
fn a_wait_is_adopted() {
    let lock = Lock::new();
    let waits = [Lock::new(), Lock::new()].map(|other| {
        assert!(other.try_acquire());
        other.enrol(now_ns(), false).expect("held")
    });
    let mut wakes = tress_core::base::waitlist::Wakes::none();
    lock.adopt(waits[0].clone(), &mut wakes);
    assert_eq!(waits[0].waiter().granted(), Some(Signal::Retry), "nobody held it");
    assert!(lock.try_acquire());
    lock.adopt(waits[1].clone(), &mut wakes);
    assert_eq!(waits[1].waiter().granted(), None);
    assert_eq!(lock.waiting(), 1);
    release(&lock);
    assert!(waits[1].waiter().granted().is_some());
    assert!(wakes.is_empty());
}

#[derive(Clone, Debug)]
enum Step {
    TryAcquire,
    Release,
    Enrol { overdue: bool },
    Cancel(usize),
}

proptest! {
    #[test]
    fn it_is_a_flag_with_a_queue(steps in proptest::collection::vec(prop_oneof![
        3 => Just(Step::TryAcquire),
        4 => Just(Step::Release),
        3 => any::<bool>().prop_map(|overdue| Step::Enrol { overdue }),
        2 => (0usize..6).prop_map(Step::Cancel),
    ], 0..100)) {
        let lock = Lock::new();
        let mut locked = false;
        let mut waiting = std::collections::VecDeque::new();
        for step in steps {
            match step {
                Step::TryAcquire => {
                    prop_assert_eq!(lock.try_acquire(), !locked);
                    locked = true;
                }
                Step::Enrol { overdue } => {
                    let since = if overdue { 0 } else { u64::MAX };
                    match lock.enrol(since, false) {
                        None => prop_assert!(!std::mem::replace(&mut locked, true)),
                        Some(node) => {
                            prop_assert!(locked);
                            waiting.push_back((node, overdue));
                        }
                    }
                }
                Step::Cancel(place) => {
                    if let Some((node, _)) = waiting.remove(place) {
                        prop_assert!(!lock.cancel(&node));
                    }
                }
                Step::Release => {
                    prop_assert_eq!(lock.release().is_ok(), locked);
                    if !std::mem::replace(&mut locked, false) {
                        continue;
                    }
                    if let Some((node, overdue)) = waiting.pop_front() {
                        let signal = if overdue { Signal::Handed } else { Signal::Retry };
                        prop_assert_eq!(node.waiter().granted(), Some(signal));
                        if overdue {
                            prop_assert!(lock.settle(signal));
                            locked = true;
                        }
                    }
                }
            }
            prop_assert_eq!(lock.is_locked(), locked);
            prop_assert_eq!(lock.waiting(), waiting.len());
            prop_assert_eq!(lock.owner(), if locked { thread_id::current() } else { NOBODY });
        }
    }
}

/// What a lock guards, without an atomic of its own: lost additions would show.
struct Count(std::cell::UnsafeCell<u64>);

// SAFETY: touched only by the holder of the lock beside it, which is what is tested.
unsafe impl Sync for Count {}

#[test]
fn stress_every_addition_counts() {
    const EACH: u64 = 20_000;
    within_bound(|| {
        let shared = Arc::new((Lock::new(), Count(std::cell::UnsafeCell::new(0)), AtomicU64::new(0)));
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let shared = shared.clone();
                thread::spawn(move || {
                    let (lock, count, timeouts) = &*shared;
                    let mut added = 0;
                    while added < EACH {
                        // Every other thread gives up now and then.
                        let deadline = (number % 2 == 0 && added % 8 == 0)
                            .then(|| tress_core::base::deadline::Deadline::after_ns(added % 4 * 20_000));
                        if !acquire(lock, deadline) {
                            timeouts.fetch_add(1, Ordering::Relaxed);
                            // Not for ever, or two that only give up would make the test long.
                            assert!(acquire(lock, None));
                        }
                        // SAFETY: the lock is held.
                        unsafe { *count.0.get() += 1 };
                        added += 1;
                        release(lock);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        // SAFETY: all threads have been joined.
        assert_eq!(unsafe { *shared.1.0.get() }, 4 * EACH);
        assert!(!shared.0.is_locked());
        assert_eq!(shared.0.waiting(), 0);
        assert_eq!(shared.0.owner(), NOBODY);
        assert!(shared.0.try_acquire());
        assert_eq!(shared.0.owner(), thread_id::current(), "nobody but its taker has released it");
    });
}
