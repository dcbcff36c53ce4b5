//! No `set` is missed and none is invented, over all interleavings with at most three preemptions (see `loom_lock.rs`).
#![cfg(loom)]

mod embedder;

use embedder::wait;
use loom::sync::Arc;
use loom::thread;
use tress_core::base::deadline::Deadline;
use tress_core::threads::event::Event;

fn model(body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

#[test]
fn a_set_ends_every_wait() {
    model(|| {
        let event = Arc::new(Event::new());
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let event = event.clone();
                thread::spawn(move || assert!(wait(&event, None)))
            })
            .collect();
        event.set().wake();
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert!(event.is_set());
    });
}

#[test]
fn two_sets_beside_a_wait() {
    model(|| {
        let event = Arc::new(Event::new());
        let (waiting, setting) = (event.clone(), event.clone());
        let waiter = thread::spawn(move || assert!(wait(&waiting, None)));
        let setter = thread::spawn(move || setting.set().wake());
        event.set().wake();
        setter.join().unwrap();
        waiter.join().unwrap();
        // And it can be used again.
        event.clear();
        let node = event.enrol().expect("it is clear");
        event.set().wake();
        assert!(node.granted().is_some());
    });
}

#[test]
fn what_was_written_before_a_set_is_seen_after_it() {
    model(|| {
        let shared = Arc::new((Event::new(), loom::cell::UnsafeCell::new(0)));
        let other = shared.clone();
        let setter = thread::spawn(move || {
            // SAFETY: read after the wait alone; the model checks that.
            other.1.with_mut(|value| unsafe { *value = 7 });
            other.0.set().wake();
        });
        assert!(wait(&shared.0, None));
        // SAFETY: as above.
        assert_eq!(shared.1.with(|value| unsafe { *value }), 7);
        setter.join().unwrap();
    });
}

#[test]
fn a_set_that_is_cleared_at_once_still_ends_the_waits_before_it() {
    model(|| {
        let event = Arc::new(Event::new());
        let node = event.enrol().expect("it is clear");
        let other = event.clone();
        let setter = thread::spawn(move || {
            other.set().wake();
            other.clear();
        });
        let _ = node.park(None);
        setter.join().unwrap();
        assert!(!event.is_set());
    });
}

#[test]
fn a_wait_after_a_clear_is_not_ended_by_the_set_before_it() {
    model(|| {
        let event = Arc::new(Event::new());
        let earlier = event.enrol().expect("it is clear");
        let other = event.clone();
        let setter = thread::spawn(move || other.set().wake());
        event.clear();
        let ended = match event.enrol() {
            None => true,
            Some(node) => event.cancel(&node),
        };
        setter.join().unwrap();
        // If the wait was ended, the set came after the clear, and nobody has cleared it since.
        assert!(!ended || event.is_set());
        assert!(earlier.granted().is_some());
    });
}

#[test]
fn a_timeout_beside_a_set() {
    model(|| {
        let event = Arc::new(Event::new());
        let other = event.clone();
        let waiter = thread::spawn(move || wait(&other, Some(Deadline::at_ns(0))));
        event.set().wake();
        let _ = waiter.join().unwrap();
        assert_eq!(event.waiting(), 0);
        assert!(event.is_set());
    });
}
