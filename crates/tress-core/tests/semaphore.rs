//! Semaphore: against a counter with a queue, and with threads.
#![cfg(not(loom))]

mod embedder;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use embedder::{soon, take, until, within_bound};
use proptest::prelude::*;
use tress_core::base::deadline::Deadline;
use tress_core::base::waiter::Signal;
use tress_core::base::waitlist::Node;
use tress_core::threads::semaphore::{AboveBound, Enrol, MOST, Semaphore, Take};

#[derive(Clone, Debug)]
enum Step {
    TryAcquire,
    Release { count: u64, bound: Option<u64> },
    Enrol { overdue: bool },
    Cancel(usize),
    Close,
    Set(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        30 => Just(Step::TryAcquire),
        30 => (1u64..4, proptest::option::of(0u64..8))
            .prop_map(|(count, bound)| Step::Release { count, bound }),
        30 => any::<bool>().prop_map(|overdue| Step::Enrol { overdue }),
        20 => (0usize..6).prop_map(Step::Cancel),
        1 => Just(Step::Close),
        1 => (0u64..5).prop_map(Step::Set),
    ];
    proptest::collection::vec(step, 0..150)
}

proptest! {
    #[test]
    fn it_is_a_counter_with_a_queue(start in 0u64..4, steps in steps()) {
        let semaphore = Semaphore::new(start);
        let mut value = start;
        let mut closed = false;
        let mut waiting = VecDeque::new();
        for step in steps {
            match step {
                Step::TryAcquire => {
                    let expected = match value {
                        0 if closed => Take::Closed,
                        0 => Take::Empty,
                        _ => Take::Taken,
                    };
                    prop_assert_eq!(semaphore.try_acquire(), expected);
                    value = value.saturating_sub(1);
                }
                Step::Enrol { overdue } => match semaphore.enrol(if overdue { 0 } else { u64::MAX }, false) {
                    Enrol::Taken => {
                        prop_assert!(value > 0);
                        value -= 1;
                    }
                    Enrol::Closed => prop_assert!(closed && value == 0),
                    Enrol::Waiting(node) => {
                        prop_assert!(!closed && value == 0);
                        waiting.push_back((node, overdue));
                    }
                },
                Step::Cancel(place) => {
                    if let Some((node, _)) = waiting.remove(place) {
                        prop_assert!(!semaphore.cancel(&node));
                    }
                }
                Step::Release { count, bound } => {
                    let fits = bound.is_none_or(|bound| value + count <= bound);
                    match semaphore.release(count, bound) {
                        Err(AboveBound) => prop_assert!(!fits),
                        Ok(wakes) => {
                            prop_assert!(fits && wakes.is_empty());
                            value += count;
                            for _ in 0..count {
                                let Some((node, overdue)) = waiting.pop_front() else { break };
                                // One that was told to retry does so at once here.
                                prop_assert_eq!(
                                    node.waiter().granted(),
                                    Some(if overdue { Signal::Handed } else { Signal::Retry })
                                );
                                prop_assert!(semaphore.cancel(&node));
                                value -= 1;
                            }
                        }
                    }
                }
                Step::Close => {
                    prop_assert!(semaphore.close().is_empty());
                    closed = true;
                    for (node, _) in waiting.drain(..) {
                        prop_assert_eq!(node.waiter().granted(), Some(Signal::Closed));
                        prop_assert!(!semaphore.cancel(&node));
                    }
                }
                Step::Set(permits) => {
                    // It wakes nobody; so, as the embedder does, only while nobody waits.
                    if waiting.is_empty() {
                        semaphore.set_value(permits);
                        value = permits;
                    }
                }
            }
            prop_assert_eq!(semaphore.value(), value);
            prop_assert_eq!(semaphore.waiting(), waiting.len());
        }
    }
}

#[test]
fn no_count_wraps() {
    let semaphore = Semaphore::new(MOST);
    assert_eq!(semaphore.release(1, None).map(drop), Err(AboveBound));
    assert_eq!(semaphore.release(u64::MAX, None).map(drop), Err(AboveBound));
    assert_eq!(semaphore.release(u64::MAX, Some(u64::MAX)).map(drop), Err(AboveBound));
    assert_eq!(semaphore.value(), MOST);
    let semaphore = Semaphore::new(0);
    let Enrol::Waiting(_node) = semaphore.enrol(0, false) else { panic!("there was no permit") };
    assert_eq!(semaphore.release(u64::MAX, None).map(drop), Err(AboveBound));
    assert!(semaphore.release(MOST, None).is_ok());
    assert_eq!(semaphore.value(), MOST - 1);
}

#[test]
#[should_panic(expected = "permits")]
fn too_many_to_begin_with() {
    let _ = Semaphore::new(u64::MAX);
}

#[test]
fn one_release_wakes_many() {
    within_bound(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                let semaphore = semaphore.clone();
                thread::spawn(move || take(&semaphore, None))
            })
            .collect();
        until("all wait", || semaphore.waiting() == 3);
        semaphore.release(3, Some(3)).expect("within the bound").wake();
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), Take::Taken);
        }
        assert_eq!(semaphore.value(), 0);
        assert_eq!(take(&semaphore, soon()), Take::Empty);
    });
}

#[test]
fn closing_wakes_all() {
    within_bound(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                let semaphore = semaphore.clone();
                thread::spawn(move || take(&semaphore, None))
            })
            .collect();
        until("all wait", || semaphore.waiting() == 3);
        semaphore.close().wake();
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), Take::Closed);
        }
        assert_eq!(take(&semaphore, None), Take::Closed);
        semaphore.release(1, None).expect("there is no bound").wake();
        assert_eq!(take(&semaphore, None), Take::Taken);
    });
}

#[test]
fn stress_permits_are_neither_lost_nor_made() {
    const PERMITS: u64 = 2;
    within_bound(|| {
        let semaphore = Arc::new(Semaphore::new(PERMITS));
        let inside = Arc::new(AtomicU64::new(0));
        let threads: Vec<_> = (0..5u64)
            .map(|number| {
                let (semaphore, inside) = (semaphore.clone(), inside.clone());
                thread::spawn(move || {
                    for round in 0..10_000u64 {
                        let impatient = number < 3 && round % 4 == 0;
                        let deadline = impatient.then(|| Deadline::after_ns(round % 7 * 5_000));
                        if take(&semaphore, deadline) == Take::Taken {
                            assert!(inside.fetch_add(1, Ordering::AcqRel) < PERMITS);
                            inside.fetch_sub(1, Ordering::AcqRel);
                            semaphore.release(1, Some(PERMITS)).expect("it was taken before").wake();
                        } else {
                            assert!(impatient);
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(semaphore.value(), PERMITS);
        assert_eq!(semaphore.waiting(), 0);
    });
}
