//! Barrier, phase by phase and with threads.
#![cfg(not(loom))]

mod embedder;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use embedder::{soon, until, within_bound};
use tress_core::base::deadline::Deadline;
use tress_core::base::waiter::{Outcome, Signal, Waiter};
use tress_core::threads::barrier::{Arrival, Barrier, TimedOut};

/// Waits at the barrier; the place, if all have met.
fn meet(barrier: &Barrier, deadline: Option<Deadline>, action: impl Fn()) -> Option<usize> {
    loop {
        match barrier.arrive() {
            Arrival::Broken => return None,
            Arrival::Last(place) => {
                action();
                barrier.finish(true).wake();
                return Some(place);
            }
            Arrival::Gate(node) => assert_eq!(node.park(None), Outcome::Granted(Signal::Retry)),
            Arrival::Waiting(place, node) => {
                let mut outcome = node.park(deadline);
                if outcome == Outcome::TimedOut {
                    match barrier.time_out(&node) {
                        TimedOut::Met => return Some(place),
                        TimedOut::Acting => outcome = node.park(None),
                        TimedOut::Broken(wakes) => {
                            wakes.wake();
                            return None;
                        }
                    }
                }
                return (outcome == Outcome::Granted(Signal::Handed)).then_some(place);
            }
        }
    }
}

fn waiting(barrier: &Barrier) -> (usize, Arc<Waiter>) {
    match barrier.arrive() {
        Arrival::Waiting(place, node) => (place, node),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_last_one_acts_and_the_others_wait_for_that() {
    let barrier = Barrier::new(3);
    let (zero, first) = waiting(&barrier);
    let (one, second) = waiting(&barrier);
    assert_eq!((zero, one, barrier.waiting()), (0, 1, 2));
    assert!(matches!(barrier.arrive(), Arrival::Last(2)));
    let Arrival::Gate(early) = barrier.arrive() else { panic!("the action runs") };
    // Their time is up only now: all have met.
    assert!(matches!(barrier.time_out(&first), TimedOut::Acting));
    assert_eq!(first.granted(), None);
    let _ = barrier.finish(true);
    assert!(matches!(barrier.time_out(&first), TimedOut::Met));
    assert_eq!(second.granted(), Some(Signal::Handed));
    assert_eq!(early.granted(), Some(Signal::Retry));
    assert_eq!(barrier.waiting(), 0);
    assert!(!barrier.is_broken());
}

#[test]
fn a_failed_action_breaks_it_for_all() {
    let barrier = Barrier::new(2);
    let (_, first) = waiting(&barrier);
    assert!(matches!(barrier.arrive(), Arrival::Last(1)));
    let _ = barrier.finish(false);
    assert_eq!(first.granted(), Some(Signal::Broken));
    assert!(matches!(barrier.time_out(&first), TimedOut::Broken(_)));
    assert!(barrier.is_broken());
    assert!(matches!(barrier.arrive(), Arrival::Broken));
    let _ = barrier.reset();
    assert!(!barrier.is_broken());
    assert_eq!(waiting(&barrier).0, 0);
}

#[test]
fn a_timeout_breaks_it_for_all() {
    let barrier = Barrier::new(3);
    let (_, first) = waiting(&barrier);
    let (_, second) = waiting(&barrier);
    assert!(matches!(barrier.time_out(&second), TimedOut::Broken(_)));
    assert_eq!(first.granted(), Some(Signal::Broken));
    assert!(barrier.is_broken());
    assert_eq!(barrier.waiting(), 0);
}

#[test]
fn one_that_leaves_is_replaced() {
    let barrier = Barrier::new(3);
    let (zero, first) = waiting(&barrier);
    let (_, second) = waiting(&barrier);
    assert!(!barrier.leave(zero, &first));
    assert_eq!(barrier.waiting(), 1);
    assert_eq!(waiting(&barrier).0, zero, "the free place");
    assert!(matches!(barrier.arrive(), Arrival::Last(2)));
    let _ = barrier.finish(true);
    assert_eq!(second.granted(), Some(Signal::Handed));
    assert!(barrier.leave(1, &second), "too late to leave");
}

#[test]
fn one_that_leaves_while_the_action_runs_is_gone_alone() {
    let barrier = Barrier::new(2);
    let (place, first) = waiting(&barrier);
    assert!(matches!(barrier.arrive(), Arrival::Last(1)));
    assert!(!barrier.leave(place, &first));
    let _ = barrier.finish(true);
    assert!(!barrier.is_broken());
    assert_eq!(waiting(&barrier).0, 0);
    assert_eq!(barrier.waiting(), 1);
}

#[test]
fn an_abort_while_the_action_runs_breaks_the_next_and_a_reset_undoes_it() {
    for reset in [false, true] {
        let barrier = Barrier::new(2);
        let (_, first) = waiting(&barrier);
        assert!(matches!(barrier.arrive(), Arrival::Last(1)));
        assert!(barrier.abort().is_empty());
        if reset {
            assert!(barrier.reset().is_empty());
        }
        let _ = barrier.finish(true);
        assert_eq!(first.granted(), Some(Signal::Handed));
        assert_eq!(barrier.is_broken(), !reset);
    }
}

#[test]
fn a_gate_can_be_left() {
    let barrier = Barrier::new(1);
    assert!(matches!(barrier.arrive(), Arrival::Last(0)));
    let Arrival::Gate(early) = barrier.arrive() else { panic!("the action runs") };
    barrier.leave_gate(&early);
    let _ = barrier.finish(true);
    assert_eq!(early.granted(), None);
    assert!(matches!(barrier.arrive(), Arrival::Last(0)));
}

#[test]
fn reset_and_abort_wake_those_that_wait() {
    within_bound(|| {
        for reset in [true, false] {
            let barrier = Arc::new(Barrier::new(2));
            let other = barrier.clone();
            let waiter = thread::spawn(move || meet(&other, None, || ()));
            until("it waits", || barrier.waiting() == 1);
            if reset {
                barrier.reset().wake();
            } else {
                barrier.abort().wake();
            }
            assert_eq!(waiter.join().unwrap(), None);
            assert_eq!(barrier.is_broken(), !reset);
        }
        assert_eq!(meet(&Barrier::new(2), soon(), || ()), None);
    });
}

#[test]
fn stress_all_meet_in_every_round() {
    const PARTIES: usize = 4;
    const ROUNDS: u64 = 3_000;
    within_bound(|| {
        let barrier = Arc::new(Barrier::new(PARTIES));
        let arrived = Arc::new(AtomicU64::new(0));
        let acted = Arc::new(AtomicU64::new(0));
        let threads: Vec<_> = (0..PARTIES)
            .map(|_| {
                let (barrier, arrived, acted) = (barrier.clone(), arrived.clone(), acted.clone());
                thread::spawn(move || {
                    let mut places = 0;
                    for round in 0..ROUNDS {
                        arrived.fetch_add(1, Ordering::Relaxed);
                        let place = meet(&barrier, None, || {
                            let all = (round + 1) * PARTIES as u64;
                            assert_eq!(arrived.load(Ordering::Relaxed), all);
                            acted.fetch_add(1, Ordering::Relaxed);
                        });
                        places += place.expect("nobody breaks it") as u64;
                        assert!(acted.load(Ordering::Relaxed) > round);
                    }
                    places
                })
            })
            .collect();
        let places: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(places, ROUNDS * (PARTIES * (PARTIES - 1) / 2) as u64);
        assert_eq!(acted.load(Ordering::Relaxed), ROUNDS);
    });
}
