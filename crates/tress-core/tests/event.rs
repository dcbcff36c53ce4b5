//! Event, with threads.
#![cfg(not(loom))]

mod embedder;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use embedder::{far, soon, until, wait, within_bound};
use tress_core::base::deadline::Deadline;
use tress_core::base::waiter::Signal;
use tress_core::threads::event::Event;

#[test]
fn a_flag() {
    let event = Event::new();
    assert!(!event.is_set());
    event.clear();
    assert!(!event.is_set());
    for _ in 0..2 {
        assert!(event.set().is_empty());
        assert!(event.is_set());
        assert!(event.enrol().is_none());
    }
    event.clear();
    assert!(!event.is_set());
    assert!(event.enrol().is_some());
}

#[test]
fn a_set_ends_the_waits_before_it_and_no_other() {
    let event = Event::new();
    let before = [event.enrol().unwrap(), event.enrol().unwrap(), event.enrol().unwrap()];
    assert!(!event.cancel(&before[1]));
    assert_eq!(event.waiting(), 2);
    let _ = event.set();
    event.clear();
    let after = event.enrol().unwrap();
    assert_eq!(before.map(|node| node.granted()), [Some(Signal::Handed), None, Some(Signal::Handed)]);
    assert_eq!(after.granted(), None);
    assert_eq!(event.waiting(), 1);
    let _ = event.set();
    assert!(event.cancel(&after), "set in the last moment");
    assert_eq!(event.waiting(), 0);
}

#[test]
fn threads_are_woken() {
    within_bound(|| {
        let event = Arc::new(Event::new());
        let waiters: Vec<_> = [None, far(), None]
            .into_iter()
            .map(|deadline| {
                let event = event.clone();
                thread::spawn(move || wait(&event, deadline))
            })
            .collect();
        until("all wait", || event.waiting() == 3);
        event.set().wake();
        assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap()));
        event.clear();
        assert!(!wait(&event, soon()));
        assert_eq!(event.waiting(), 0);
    });
}

#[test]
fn after_a_fork_the_flag_stays_and_the_waiters_go() {
    let event = Event::new();
    let _node = event.enrol().unwrap();
    event.reset_after_fork();
    assert_eq!(event.waiting(), 0);
    assert!(!event.is_set());
    let _ = event.set();
    event.reset_after_fork();
    assert!(event.is_set());
}

#[test]
fn stress_ping_pong_misses_no_set() {
    const ROUNDS: u64 = 10_000;
    within_bound(|| {
        let events = Arc::new((Event::new(), Event::new(), AtomicU64::new(0)));
        let other = events.clone();
        let pong = thread::spawn(move || {
            for round in 0..ROUNDS {
                // Now and then impatient: a timeout beside the set must not swallow it.
                while !wait(&other.0, (round % 3 == 0).then(|| Deadline::after_ns(10_000))) {}
                other.0.clear();
                other.2.fetch_add(1, Ordering::Relaxed);
                other.1.set().wake();
            }
        });
        for round in 0..ROUNDS {
            assert_eq!(events.2.load(Ordering::Relaxed), round);
            events.0.set().wake();
            assert!(wait(&events.1, None));
            events.1.clear();
        }
        pong.join().unwrap();
        assert_eq!(events.2.load(Ordering::Relaxed), ROUNDS);
    });
}
