//! All pass or none does, over all interleavings with at most three preemptions (see `loom_lock.rs`).
#![cfg(loom)]

use loom::sync::Arc;
use loom::thread;
use tress_core::base::deadline::Deadline;
use tress_core::base::waiter::{Outcome, Signal};
use tress_core::threads::barrier::{Arrival, Barrier, TimedOut};

fn model(body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

/// Waits at the barrier; whether all have met.
fn meet(barrier: &Barrier, deadline: Option<Deadline>) -> bool {
    loop {
        match barrier.arrive() {
            Arrival::Broken => return false,
            Arrival::Last(_) => {
                barrier.finish(true).wake();
                return true;
            }
            Arrival::Gate(node) => assert_eq!(node.park(None), Outcome::Granted(Signal::Retry)),
            Arrival::Waiting(_, node) => {
                let mut outcome = node.park(deadline);
                if outcome == Outcome::TimedOut {
                    match barrier.time_out(&node) {
                        TimedOut::Met => return true,
                        TimedOut::Acting => outcome = node.park(None),
                        TimedOut::Broken(wakes) => {
                            wakes.wake();
                            return false;
                        }
                    }
                }
                return outcome == Outcome::Granted(Signal::Handed);
            }
        }
    }
}

#[test]
fn three_meet() {
    model(|| {
        let barrier = Arc::new(Barrier::new(3));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let barrier = barrier.clone();
                thread::spawn(move || assert!(meet(&barrier, None)))
            })
            .collect();
        assert!(meet(&barrier, None));
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(!barrier.is_broken());
        assert_eq!(barrier.waiting(), 0);
    });
}

#[test]
fn two_meet_twice() {
    model(|| {
        let barrier = Arc::new(Barrier::new(2));
        let other = barrier.clone();
        let thread = thread::spawn(move || {
            assert!(meet(&other, None));
            assert!(meet(&other, None));
        });
        assert!(meet(&barrier, None));
        assert!(meet(&barrier, None));
        thread.join().unwrap();
    });
}

#[test]
fn a_timeout_beside_the_last_arrival() {
    model(|| {
        let barrier = Arc::new(Barrier::new(2));
        let other = barrier.clone();
        let timed = thread::spawn(move || meet(&other, Some(Deadline::at_ns(0))));
        let met = meet(&barrier, None);
        assert_eq!(met, timed.join().unwrap());
        assert_eq!(met, !barrier.is_broken());
    });
}

#[test]
fn an_abort_beside_the_last_arrival() {
    model(|| {
        let barrier = Arc::new(Barrier::new(2));
        let (waiting, aborting) = (barrier.clone(), barrier.clone());
        let waiter = thread::spawn(move || meet(&waiting, None));
        let aborter = thread::spawn(move || aborting.abort().wake());
        let met = meet(&barrier, None);
        assert_eq!(met, waiter.join().unwrap());
        aborter.join().unwrap();
        assert!(barrier.is_broken());
        barrier.reset().wake();
        assert!(!barrier.is_broken());
    });
}

#[test]
fn one_that_is_interrupted_leaves_the_count_right() {
    model(|| {
        let barrier = Arc::new(Barrier::new(2));
        let other = barrier.clone();
        let interrupted = thread::spawn(move || match other.arrive() {
            Arrival::Waiting(place, node) => {
                let _ = other.leave(place, &node);
                false
            }
            _ => {
                other.finish(true).wake();
                true
            }
        });
        // If the two meet here, this thread comes round again; else it is still in its first wait. One waits, either way,
        // unless the other was the last to arrive.
        if let Arrival::Last(_) = barrier.arrive() {
            barrier.finish(true).wake();
            assert!(matches!(barrier.arrive(), Arrival::Waiting(0, _)));
        }
        let was_last = interrupted.join().unwrap();
        assert_eq!(barrier.waiting(), usize::from(!was_last));
    });
}
