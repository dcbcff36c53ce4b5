//! Points in time, and waits that end at them or are interrupted before.
#![cfg(not(loom))]

mod embedder;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use embedder::{far, soon, until, within_bound};
use tress_core::base::deadline::{Deadline, now_ns};
use tress_core::base::waiter::{Cancel, Grant, Outcome, Signal, Waiter};

#[test]
fn after_saturates() {
    let never = Deadline::after_ns(u64::MAX);
    assert_eq!(never.as_ns(), u64::MAX);
    assert!(!never.has_passed());
    assert!(never.remaining_ns() > u64::MAX / 2);
}

#[test]
fn the_past_has_passed() {
    let before = now_ns();
    let deadline = Deadline::at_ns(before);
    assert!(deadline.has_passed());
    assert_eq!(deadline.remaining_ns(), 0);
    assert!(Deadline::after_ns(0).as_ns() >= before);
    assert!(Deadline::at_ns(1) < Deadline::at_ns(2));
}

#[test]
fn a_park_never_ends_before_its_deadline() {
    within_bound(|| {
        for ns in [0, 1, 1_000, 999_999, 2_000_000] {
            let deadline = Deadline::after_ns(ns);
            let waiter = Waiter::new();
            assert_eq!(waiter.park(Some(deadline)), Outcome::TimedOut);
            assert!(deadline.has_passed());
            assert_eq!(waiter.cancel(), Cancel::Cancelled);
            assert_eq!(waiter.grant(Signal::Handed), Grant::Gone);
        }
    });
}

#[test]
fn the_end_of_time_can_be_waited_for() {
    within_bound(|| {
        let waiter = Arc::new(Waiter::new());
        let other = waiter.clone();
        let parked = std::thread::spawn(move || other.park(Some(Deadline::after_ns(u64::MAX))));
        until("granted", || match waiter.grant(Signal::Closed) {
            Grant::Asleep => {
                waiter.wake();
                true
            }
            Grant::Awake => true,
            Grant::Gone => panic!("nobody cancelled"),
        });
        assert_eq!(parked.join().unwrap(), Outcome::Granted(Signal::Closed));
    });
}

static SIGNALS_SEEN: AtomicU64 = AtomicU64::new(0);

extern "C" fn count(_signal: libc::c_int) {
    SIGNALS_SEEN.fetch_add(1, Ordering::Relaxed);
}

/// Lets SIGUSR1 interrupt system calls.
fn interrupt_by_sigusr1() {
    // SAFETY: a zeroed `sigaction` is valid; the handler only adds to an atomic; no SA_RESTART.
    let failed = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = count as *const () as usize;
        libc::sigemptyset(&mut action.sa_mask);
        libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut())
    };
    assert_eq!(failed, 0);
}

#[test]
fn a_signal_interrupts_and_loses_nothing() {
    interrupt_by_sigusr1();
    within_bound(|| {
        for deadline in [None, far()] {
            let waiter = Arc::new(Waiter::new());
            let other = waiter.clone();
            let interruptions = Arc::new(AtomicU64::new(0));
            let seen = interruptions.clone();
            let parked = std::thread::spawn(move || {
                loop {
                    match other.park(deadline) {
                        Outcome::Interrupted => seen.fetch_add(1, Ordering::Relaxed),
                        ended => return ended,
                    };
                }
            });
            let thread = std::os::unix::thread::JoinHandleExt::as_pthread_t(&parked);
            // A signal that comes between two parks interrupts neither, so until three have.
            until("three interruptions", || {
                // SAFETY: the thread has not been joined, and ends by the grant below alone.
                assert_eq!(unsafe { libc::pthread_kill(thread, libc::SIGUSR1) }, 0);
                interruptions.load(Ordering::Relaxed) >= 3
            });
            assert!(waiter.is_waiting());
            if waiter.grant(Signal::Handed) == Grant::Asleep {
                waiter.wake();
            }
            assert_eq!(parked.join().unwrap(), Outcome::Granted(Signal::Handed));
        }
        assert!(SIGNALS_SEEN.load(Ordering::Relaxed) >= 6);
    });
}

#[test]
fn an_interrupted_wait_that_is_cancelled_takes_nothing() {
    within_bound(|| {
        let waiter = Waiter::new();
        assert_eq!(waiter.park(soon()), Outcome::TimedOut);
        // Parked again after a timeout, with the next deadline.
        assert_eq!(waiter.park(soon()), Outcome::TimedOut);
        assert_eq!(waiter.cancel(), Cancel::Cancelled);
        assert_eq!(waiter.granted(), None);
    });
}

#[test]
fn the_first_grant_counts() {
    for signal in [Signal::Handed, Signal::Retry, Signal::Closed, Signal::Broken] {
        let waiter = Waiter::new();
        assert!(waiter.is_waiting());
        assert_eq!(waiter.grant(signal), Grant::Awake);
        assert_eq!(waiter.grant(Signal::Handed), Grant::Gone);
        assert!(!waiter.is_waiting());
        assert_eq!(waiter.granted(), Some(signal));
        assert_eq!(waiter.cancel(), Cancel::Granted(signal));
        assert_eq!(waiter.park(None), Outcome::Granted(signal));
    }
}
