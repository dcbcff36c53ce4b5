//! The child of a fork: who is still there, and what can be used.
//!
//! A child of these tests does what an embedder's child does: it makes objects and waits. It says how it went by its exit
//! status alone, as the output belongs to the test harness of the parent.
#![cfg(not(loom))]

mod embedder;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::thread;

use embedder::{acquire, far, fork_and_join, soon, until, within_bound};
use tress_core::base::fork;
use tress_core::base::thread_id;
use tress_core::base::waiter::{Cancel, Grant, Outcome, Signal, Waiter};
use tress_core::base::waits::{self, What};
use tress_core::threads::event::Event;
use tress_core::threads::lock::Lock;
use tress_core::threads::semaphore::{Semaphore, Take};

/// One fork at a time: the generation counts for the whole process.
static ONE_FORK: Mutex<()> = Mutex::new(());

/// Forks, runs `child` in the child, and tells at which of its steps the child was when it said that something is wrong.
fn fork_and(child: impl FnOnce() -> Result<(), i32>) -> Result<(), i32> {
    match fork_and_join(|| child().err().unwrap_or(0)) {
        0 => Ok(()),
        step => Err(step),
    }
}

fn check(step: i32, holds: bool) -> Result<(), i32> {
    if holds { Ok(()) } else { Err(step) }
}

fn alone<R>(body: impl FnOnce() -> R) -> R {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(fork::install);
    let _guard = ONE_FORK.lock();
    body()
}

const NOTHING: What = What { operation: "test", object: 0 };

#[test]
fn the_generation_counts_forks_in_the_child_alone() {
    alone(|| {
        fork::install();
        let before = fork::generation();
        let outcome = fork_and(|| {
            check(1, fork::generation() == before + 1)?;
            let nested = fork_and(|| check(1, fork::generation() == before + 2));
            check(2, nested.is_ok())?;
            check(3, fork::generation() == before + 1)
        });
        assert_eq!(outcome, Ok(()));
        assert_eq!(fork::generation(), before);
    });
}

#[test]
fn what_other_threads_waited_for_is_passed_over_in_the_child() {
    within_bound(|| {
        alone(|| {
            let (lock, event, semaphore) =
                (Arc::new(Lock::new()), Arc::new(Event::new()), Arc::new(Semaphore::new(0)));
            assert!(lock.try_acquire());
            let threads = {
                let (lock, event, semaphore) = (lock.clone(), event.clone(), semaphore.clone());
                [
                    thread::spawn(move || {
                        assert!(acquire(&lock, None));
                        embedder::release(&lock);
                    }),
                    thread::spawn(move || assert!(embedder::wait(&event, None))),
                    thread::spawn(move || assert_eq!(embedder::take(&semaphore, None), Take::Taken)),
                ]
            };
            until("all wait", || lock.waiting() + event.waiting() + semaphore.waiting() == 3);
            let outcome = fork_and(|| {
                check(1, lock.waiting() + event.waiting() + semaphore.waiting() == 0)?;
                // A release hands nothing to those that are gone: this thread, or a new one, gets it.
                check(2, lock.release().is_ok_and(|wakes| wakes.is_empty()))?;
                check(3, lock.try_acquire())?;
                check(4, event.set().is_empty() && event.is_set())?;
                check(5, semaphore.release(1, None).is_ok_and(|wakes| wakes.is_empty()))?;
                check(6, semaphore.try_acquire() == Take::Taken)?;
                let other = lock.clone();
                let new = thread::spawn(move || acquire(&other, far()));
                until("it waits", || lock.waiting() == 1);
                lock.release().map_err(|_| 7)?.wake();
                check(8, new.join().is_ok_and(|acquired| acquired))?;
                check(9, !acquire(&lock, soon()))
            });
            assert_eq!(outcome, Ok(()));
            // And the parent's are still there.
            assert_eq!(lock.waiting() + event.waiting() + semaphore.waiting(), 3);
            embedder::release(&lock);
            event.set().wake();
            semaphore.release(1, None).expect("there is no bound").wake();
            for thread in threads {
                thread.join().unwrap();
            }
        });
    });
}

#[test]
fn one_that_forks_inside_a_wait_goes_on_waiting() {
    within_bound(|| {
        alone(|| {
            let event = Arc::new(Event::new());
            let node = event.enrol().expect("it is clear");
            // As a signal handler does that forks.
            let outcome = fork_and(|| {
                check(1, node.is_waiting() && event.waiting() == 1)?;
                let other = event.clone();
                let setter = thread::spawn(move || other.set().wake());
                check(2, node.park(far()) == Outcome::Granted(Signal::Handed))?;
                check(3, setter.join().is_ok())
            });
            assert_eq!(outcome, Ok(()));
            // Parked again before it is granted: of the child's own generation from then on, and of a child's of that.
            let outcome = fork_and(|| {
                check(1, node.park(soon()) == Outcome::TimedOut)?;
                let nested = fork_and(|| {
                    check(1, event.waiting() == 1)?;
                    let _ = event.set();
                    check(2, node.granted() == Some(Signal::Handed))
                });
                check(2, nested.is_ok())?;
                check(3, node.cancel() == Cancel::Cancelled)
            });
            assert_eq!(outcome, Ok(()));
            assert!(!event.cancel(&node));
        });
    });
}

#[test]
fn one_left_behind_by_a_fork_before_is_not_taken_for_the_survivor() {
    within_bound(|| {
        alone(|| {
            // Made in the generation before, and two forks ago: its thread's number says nothing any more.
            let waiter = Waiter::new();
            let outcome = fork_and(|| {
                let nested = fork_and(|| check(1, waiter.grant(Signal::Handed) == Grant::Gone));
                check(1, nested.is_ok())
            });
            assert_eq!(outcome, Ok(()));
            assert!(waiter.is_waiting());
        });
    });
}

#[test]
fn the_registry_keeps_the_forking_threads_waits_alone() {
    within_bound(|| {
        alone(|| {
            let stop = Arc::new(AtomicBool::new(false));
            let seen = stop.clone();
            let other = thread::spawn(move || {
                let entry = waits::enter(NOTHING, None);
                until("the end", || seen.load(Ordering::Acquire));
                drop(entry);
            });
            let mine = waits::enter(NOTHING, None);
            until("both wait", || waits::snapshot().len() == 2);
            let outcome = fork_and(|| {
                let left = waits::snapshot();
                check(1, left.len() == 1 && left[0].thread == thread_id::current())?;
                let inner = waits::enter(NOTHING, far());
                check(2, waits::snapshot()[0].deadline.is_some())?;
                drop(inner);
                drop(mine);
                check(3, waits::snapshot().is_empty())
            });
            assert_eq!(outcome, Ok(()));
            stop.store(true, Ordering::Release);
            other.join().unwrap();
        });
    });
}

#[test]
fn forks_beside_busy_threads_find_the_registry_whole() {
    within_bound(|| {
        alone(|| {
            let stop = Arc::new(AtomicBool::new(false));
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let stop = stop.clone();
                    thread::spawn(move || {
                        let lock = Lock::new();
                        while !stop.load(Ordering::Relaxed) {
                            drop(waits::enter(NOTHING, None));
                            waits::scope(|scope| scope.enter_lock(NOTHING, &lock).expect("it is free"));
                        }
                    })
                })
                .collect();
            for _ in 0..50 {
                let outcome = fork_and(|| {
                    check(1, waits::snapshot().is_empty())?;
                    let entry = waits::enter(NOTHING, None);
                    check(2, waits::snapshot().len() == 1)?;
                    drop(entry);
                    check(3, waits::snapshot().is_empty())
                });
                assert_eq!(outcome, Ok(()));
            }
            stop.store(true, Ordering::Relaxed);
            for thread in threads {
                thread.join().unwrap();
            }
        });
    });
}

#[test]
fn a_lock_reset_in_the_child_is_free() {
    alone(|| {
        let lock = Lock::new();
        assert!(lock.try_acquire());
        let _node = lock.enrol(0, false).expect("held");
        let outcome = fork_and(|| {
            lock.reset_after_fork();
            check(1, !lock.is_locked() && lock.waiting() == 0)?;
            check(2, lock.try_acquire() && lock.owner() == thread_id::current())?;
            check(3, lock.release().is_ok())
        });
        assert_eq!(outcome, Ok(()));
        assert!(lock.is_locked());
    });
}
