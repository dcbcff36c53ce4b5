//! The one transition that decides how a wait ends, over all interleavings.
#![cfg(loom)]

use loom::sync::Arc;
use loom::thread;
use tress_core::base::deadline::Deadline;
use tress_core::base::waiter::{Cancel, Grant, Outcome, Signal, Waiter};

const SIGNALS: [Signal; 4] = [Signal::Handed, Signal::Retry, Signal::Closed, Signal::Broken];

#[test]
fn either_the_grant_or_the_cancel_wins() {
    for signal in SIGNALS {
        loom::model(move || {
            let waiter = Arc::new(Waiter::new());
            let other = waiter.clone();
            let waker = thread::spawn(move || other.grant(signal));
            let cancelled = waiter.cancel();
            match waker.join().unwrap() {
                Grant::Gone => assert_eq!(cancelled, Cancel::Cancelled),
                Grant::Awake => assert_eq!(cancelled, Cancel::Granted(signal)),
                Grant::Asleep => panic!("it never slept"),
            }
            assert!(!waiter.is_waiting());
        });
    }
}

#[test]
fn a_granted_waiter_wakes_and_sees_what_came_before() {
    loom::model(|| {
        let waiter = Arc::new(Waiter::new());
        let value = Arc::new(loom::cell::UnsafeCell::new(0));
        let (other, slot) = (waiter.clone(), value.clone());
        let waker = thread::spawn(move || {
            // SAFETY: the waiter reads it after the grant alone; the model checks that.
            slot.with_mut(|value| unsafe { *value = 7 });
            match other.grant(Signal::Handed) {
                Grant::Asleep => other.wake(),
                Grant::Awake => {}
                Grant::Gone => panic!("nobody cancelled"),
            }
        });
        assert_eq!(waiter.park(None), Outcome::Granted(Signal::Handed));
        // SAFETY: as above.
        assert_eq!(value.with(|value| unsafe { *value }), 7);
        waker.join().unwrap();
    });
}

#[test]
fn a_timeout_beside_a_grant_loses_nothing() {
    loom::model(|| {
        let waiter = Arc::new(Waiter::new());
        let other = waiter.clone();
        let waker = thread::spawn(move || match other.grant(Signal::Handed) {
            Grant::Asleep => {
                other.wake();
                true
            }
            Grant::Awake => true,
            Grant::Gone => false,
        });
        let received = match waiter.park(Some(Deadline::at_ns(0))) {
            Outcome::Granted(_) => true,
            Outcome::TimedOut => waiter.cancel() == Cancel::Granted(Signal::Handed),
            Outcome::Interrupted => panic!("models have no signals"),
        };
        assert_eq!(waker.join().unwrap(), received);
    });
}

#[test]
fn a_wait_that_timed_out_can_park_again() {
    loom::model(|| {
        let waiter = Arc::new(Waiter::new());
        let other = waiter.clone();
        let waker = thread::spawn(move || {
            if other.grant(Signal::Retry) == Grant::Asleep {
                other.wake();
            }
        });
        if waiter.park(Some(Deadline::at_ns(0))) == Outcome::TimedOut {
            assert_eq!(waiter.park(None), Outcome::Granted(Signal::Retry));
        }
        waker.join().unwrap();
    });
}

#[test]
fn of_two_wakers_one_wins() {
    // Each of the three does one step that matters; three preemptions order them in every way.
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let waiter = Arc::new(Waiter::new());
        let wakers: Vec<_> = [Signal::Handed, Signal::Closed]
            .into_iter()
            .map(|signal| {
                let waiter = waiter.clone();
                thread::spawn(move || match waiter.grant(signal) {
                    Grant::Asleep => {
                        waiter.wake();
                        Some(signal)
                    }
                    Grant::Awake => Some(signal),
                    Grant::Gone => None,
                })
            })
            .collect();
        let outcome = waiter.park(None);
        let won: Vec<_> = wakers.into_iter().filter_map(|waker| waker.join().unwrap()).collect();
        assert_eq!(won.len(), 1);
        assert_eq!(outcome, Outcome::Granted(won[0]));
    });
}
