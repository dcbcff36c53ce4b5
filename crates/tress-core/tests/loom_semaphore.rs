//! Permits are neither lost nor made, over all interleavings with at most three preemptions (see `loom_lock.rs`).
#![cfg(loom)]

mod embedder;

use embedder::take_since;
use loom::sync::Arc;
use loom::thread;
use tress_core::base::deadline::Deadline;
use tress_core::base::waitlist::Node;
use tress_core::threads::semaphore::{Enrol, Semaphore, Take};

/// See `loom_lock.rs`.
const OVERDUE: u64 = 0;
const JUST_NOW: u64 = 1_000_000_000;
const BOTH: [u64; 2] = [OVERDUE, JUST_NOW];

fn model(body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

fn give(semaphore: &Semaphore) {
    semaphore.release(1, None).expect("there is no bound").wake();
}

#[test]
fn a_release_beside_a_timeout_keeps_the_count() {
    for since in BOTH {
        model(move || {
            let semaphore = Arc::new(Semaphore::new(0));
            let other = semaphore.clone();
            let timed = thread::spawn(move || take_since(&other, since, Some(Deadline::at_ns(0))));
            give(&semaphore);
            let taken = u64::from(timed.join().unwrap() == Take::Taken);
            assert_eq!(semaphore.value() + taken, 1);
        });
    }
}

#[test]
fn a_permit_passes_by_one_that_gave_up() {
    for since in BOTH {
        model(move || {
            let semaphore = Arc::new(Semaphore::new(0));
            let waiters: Vec<_> = [Some(Deadline::at_ns(0)), None]
                .into_iter()
                .map(|deadline| {
                    let semaphore = semaphore.clone();
                    thread::spawn(move || {
                        if take_since(&semaphore, since, deadline) == Take::Taken {
                            give(&semaphore);
                        }
                    })
                })
                .collect();
            give(&semaphore);
            for waiter in waiters {
                waiter.join().unwrap();
            }
            assert_eq!(semaphore.value(), 1);
        });
    }
}

#[test]
fn two_permits_for_two_that_wait() {
    for since in BOTH {
        model(move || {
            let semaphore = Arc::new(Semaphore::new(0));
            let waiters: Vec<_> = (0..2)
                .map(|_| {
                    let semaphore = semaphore.clone();
                    thread::spawn(move || assert_eq!(take_since(&semaphore, since, None), Take::Taken))
                })
                .collect();
            semaphore.release(2, None).expect("there is no bound").wake();
            for waiter in waiters {
                waiter.join().unwrap();
            }
            assert_eq!(semaphore.value(), 0);
        });
    }
}

#[test]
fn two_releases_at_once_stay_within_the_bound() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let Enrol::Waiting(node) = semaphore.enrol(JUST_NOW, false) else { panic!("there was no permit") };
        let other = semaphore.clone();
        let releaser = thread::spawn(move || other.release(1, Some(1)).map(|wakes| wakes.wake()).is_ok());
        let mine = semaphore.release(1, Some(1)).map(|wakes| wakes.wake()).is_ok();
        let theirs = releaser.join().unwrap();
        assert!(mine != theirs);
        assert_eq!(semaphore.value(), 1);
        assert!(node.waiter().granted().is_some());
    });
}

#[test]
fn closing_ends_every_wait_and_keeps_what_was_given() {
    for since in BOTH {
        model(move || {
            let semaphore = Arc::new(Semaphore::new(0));
            let waiters: Vec<_> = (0..2)
                .map(|_| {
                    let semaphore = semaphore.clone();
                    thread::spawn(move || take_since(&semaphore, since, None))
                })
                .collect();
            give(&semaphore);
            semaphore.close().wake();
            let ends: Vec<_> = waiters.into_iter().map(|waiter| waiter.join().unwrap()).collect();
            let taken = ends.iter().filter(|end| **end == Take::Taken).count() as u64;
            assert!(ends.iter().all(|end| *end != Take::Empty));
            assert_eq!(semaphore.value() + taken, 1);
        });
    }
}
