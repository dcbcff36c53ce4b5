//! The hand-over of a lock, over all interleavings with at most three preemptions: a release, an enrolment and a
//! cancellation are one or two steps each around a critical section, so a race of three threads needs no more.
#![cfg(loom)]

mod embedder;

use embedder::{acquire_since, release};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use tress_core::base::deadline::Deadline;
use tress_core::base::thread_id;
use tress_core::base::waiter::{Cancel, Outcome, Signal};
use tress_core::base::waitlist::Node;
use tress_core::threads::lock::Lock;
use tress_core::threads::rlock::RLock;

/// A wait that began now is told to retry (a model's clock stands still at one second); one that began at 0 is long overdue and is handed the lock.
const OVERDUE: u64 = 0;
const JUST_NOW: u64 = 1_000_000_000;

fn model(body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

/// A lock and what it guards.
struct Guarded {
    lock: Lock,
    count: UnsafeCell<u32>,
}

impl Guarded {
    fn new() -> Arc<Self> {
        Arc::new(Self { lock: Lock::new(), count: UnsafeCell::new(0) })
    }

    fn add_and_release(&self) {
        // SAFETY: the caller holds the lock; the model checks that nobody else is here.
        self.count.with_mut(|count| unsafe { *count += 1 });
        release(&self.lock);
    }

    fn count(&self) -> u32 {
        // SAFETY: all threads have been joined.
        self.count.with(|count| unsafe { *count })
    }
}

fn all_get_it(sinces: &'static [u64]) {
    model(move || {
        let guarded = Guarded::new();
        let threads: Vec<_> = sinces
            .iter()
            .map(|since| {
                let guarded = guarded.clone();
                thread::spawn(move || {
                    assert!(acquire_since(&guarded.lock, *since, None));
                    guarded.add_and_release();
                })
            })
            .collect();
        assert!(acquire_since(&guarded.lock, JUST_NOW, None));
        guarded.add_and_release();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(guarded.count() as usize, sinces.len() + 1);
        assert!(!guarded.lock.is_locked());
        // None of this is a release by another thread than the taker.
        assert!(guarded.lock.try_acquire());
        assert_eq!(guarded.lock.owner(), thread_id::current());
    });
}

#[test]
fn two_threads_exclude_each_other_and_both_get_it() {
    all_get_it(&[JUST_NOW]);
}

#[test]
fn two_threads_one_overdue() {
    all_get_it(&[OVERDUE]);
}

#[test]
fn three_threads() {
    all_get_it(&[JUST_NOW, JUST_NOW]);
}

#[test]
fn three_threads_one_overdue() {
    all_get_it(&[JUST_NOW, OVERDUE]);
}

fn late_canceller(since: u64) {
    model(move || {
        let guarded = Guarded::new();
        assert!(guarded.lock.try_acquire());
        let timed = {
            let guarded = guarded.clone();
            thread::spawn(move || {
                if acquire_since(&guarded.lock, since, Some(Deadline::at_ns(0))) {
                    guarded.add_and_release();
                }
            })
        };
        let untimed = {
            let guarded = guarded.clone();
            thread::spawn(move || {
                assert!(acquire_since(&guarded.lock, since, None));
                guarded.add_and_release();
            })
        };
        release(&guarded.lock);
        timed.join().unwrap();
        untimed.join().unwrap();
        assert!(!guarded.lock.is_locked());
        assert!(guarded.count() >= 1);
    });
}

#[test]
fn one_that_gives_up_as_it_is_told_to_retry_passes_it_on() {
    late_canceller(JUST_NOW);
}

#[test]
fn one_that_gives_up_as_it_is_handed_the_lock_has_it() {
    late_canceller(OVERDUE);
}

#[test]
fn two_releases_at_once_never_free_more_than_was_taken() {
    // The first waiter is told to retry, the second would be handed the lock by whoever releases it next.
    model(|| {
        let lock = Arc::new(Lock::new());
        assert!(lock.try_acquire());
        let nodes = [JUST_NOW, OVERDUE].map(|since| lock.enrol(since, false).expect("held"));
        let other = lock.clone();
        let releaser = thread::spawn(move || other.release().map(|wakes| wakes.wake()).is_ok());
        let mine = lock.release().map(|wakes| wakes.wake()).is_ok();
        let theirs = releaser.join().unwrap();
        // The first of them freed it, and nobody took it since.
        assert!(mine != theirs);
        assert!(!lock.is_locked());
        assert_eq!(nodes[0].waiter().granted(), Some(Signal::Retry));
        assert_eq!(nodes[1].waiter().granted(), None);
    });
}

#[test]
fn two_releases_at_once_and_one_that_takes_it_between() {
    model(|| {
        let lock = Arc::new(Lock::new());
        assert!(lock.try_acquire());
        let node = lock.enrol(OVERDUE, false).expect("held");
        let other = lock.clone();
        let releaser = thread::spawn(move || {
            let released = other.release().map(|wakes| wakes.wake()).is_ok();
            (released, other.try_acquire())
        });
        let mine = lock.release().map(|wakes| wakes.wake()).is_ok();
        let (theirs, taken) = releaser.join().unwrap();
        let handed = node.waiter().granted() == Some(Signal::Handed);
        let takes = 1 + usize::from(handed) + usize::from(taken);
        let releases = usize::from(mine) + usize::from(theirs);
        assert_eq!(takes - releases, usize::from(lock.is_locked()));
    });
}

#[test]
fn one_that_gave_up_is_never_taken_for_the_owner() {
    model(|| {
        let lock = Arc::new(RLock::new());
        assert!(lock.try_acquire());
        let other = lock.clone();
        let thread = thread::spawn(move || {
            // Two, so that the list is not swept when one of them is cancelled.
            if let Some(node) = other.enrol(OVERDUE, false) {
                let Some(younger) = other.enrol(JUST_NOW, false) else {
                    let _ = other.lock().cancel(&node);
                    return;
                };
                if !other.lock().cancel(&node) {
                    assert!(!other.is_owned());
                    assert!(!other.is_owned());
                }
                let _ = other.lock().cancel(&younger);
            }
        });
        lock.release().expect("the owner releases").wake();
        thread.join().unwrap();
    });
}

#[test]
fn a_waiter_that_waits_no_more_does_not_swallow_the_release() {
    model(|| {
        let lock = Arc::new(Lock::new());
        assert!(lock.try_acquire());
        let dead = lock.enrol(JUST_NOW, false).expect("held");
        let alive = lock.enrol(JUST_NOW, false).expect("held");
        let other = lock.clone();
        let releaser = thread::spawn(move || release(&other));
        let mut told = dead.waiter().cancel() != Cancel::Cancelled;
        if !told {
            assert_eq!(alive.waiter().park(None), Outcome::Granted(Signal::Retry));
            told = true;
        }
        releaser.join().unwrap();
        assert!(told && lock.try_acquire());
    });
}
