//! Spinning before a park.
#![cfg(not(loom))]

mod embedder;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use embedder::{until, within_bound};
use tress_core::base::spin;
use tress_core::base::waiter::{Grant, Outcome, Signal, Waiter};

#[test]
fn what_is_done_is_seen_at_once() {
    assert!(spin::until(|| true));
    let looks = Cell::new(0);
    assert!(spin::until(|| looks.replace(looks.get() + 1) == 0));
    assert_eq!(looks.get(), 1);
}

#[test]
fn what_never_comes_is_given_up() {
    within_bound(|| {
        for _ in 0..200 {
            assert!(!spin::until(|| false));
        }
    });
}

#[test]
fn an_estimate_gives_up_and_tries_again() {
    within_bound(|| {
        let estimate = spin::Estimate::default();
        assert!(estimate.until(|| true));
        // How often it looks in each of many waits that come to nothing.
        let looks: Vec<u32> = (0..200)
            .map(|_| {
                let mut looks = 0;
                assert!(!estimate.until(|| {
                    looks += 1;
                    false
                }));
                looks
            })
            .collect();
        assert!(looks[100..].iter().filter(|looks| **looks == 1).count() > 80, "{looks:?}");
        if spin::pays() {
            until("an answer that comes soon is met again", || {
                let looks = Cell::new(0);
                estimate.until(|| looks.replace(looks.get() + 1) > 5)
            });
        }
    });
}

#[test]
fn a_process_on_one_cpu_never_spins() {
    // In a thread of its own, as the affinity is the thread's; the count of CPUs is asked for anew now and then.
    within_bound(|| {
        let all = rustix::thread::sched_getaffinity(None).expect("the affinity can be read");
        let first = (0..rustix::thread::CpuSet::MAX_CPU).find(|cpu| all.is_set(*cpu)).expect("one CPU");
        let mut one = rustix::thread::CpuSet::new();
        one.set(first);
        rustix::thread::sched_setaffinity(None, &one).expect("a part of what was allowed");
        until("the change is noticed", || !spin::pays());
        rustix::thread::sched_setaffinity(None, &all).expect("what was allowed before");
        until("and the change back", || spin::cpus() == all.count());
        assert_eq!(spin::pays(), all.count() > 1);
    });
}

#[test]
fn a_grant_meets_the_spin_or_the_park() {
    within_bound(|| {
        for _ in 0..1000 {
            let waiter = Arc::new(Waiter::new());
            let started = Arc::new(AtomicBool::new(false));
            let (other, begun) = (waiter.clone(), started.clone());
            let thread = std::thread::spawn(move || {
                begun.store(true, Ordering::Release);
                if other.spin() {
                    return Outcome::Granted(other.granted().expect("so the spin says"));
                }
                other.park(None)
            });
            until("it runs", || started.load(Ordering::Acquire));
            match waiter.grant(Signal::Handed) {
                Grant::Asleep => waiter.wake(),
                Grant::Awake => {}
                Grant::Gone => panic!("nobody cancelled"),
            }
            assert_eq!(thread.join().unwrap(), Outcome::Granted(Signal::Handed));
        }
    });
}
