//! A worker that ends its task and takes the next, against an owner who decides to kill it for the first.
#![cfg(loom)]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use tress_core::processes::current::Current;

#[test]
fn no_worker_is_killed_for_a_task_that_it_has_left() {
    loom::model(|| {
        let word = Arc::new(AtomicU64::new(0));
        let begun = Arc::new(AtomicU64::new(0));
        Current::new(&word).begin(1);
        let worker = {
            let (word, begun) = (Arc::clone(&word), Arc::clone(&begun));
            thread::spawn(move || {
                let current = Current::new(&word);
                let lives = current.finish(1);
                if lives {
                    begun.store(2, Ordering::SeqCst);
                    current.begin(2);
                }
                lives
            })
        };
        let condemned = Current::new(&word).condemn(1);
        if condemned {
            // Whatever the worker is at when the signal comes, it is no other task.
            assert_eq!(begun.load(Ordering::SeqCst), 0);
        }
        let lives = worker.join().unwrap();
        assert_ne!(lives, condemned);
        assert_eq!(Current::new(&word).bury(), Some(if lives { 2 } else { 1 }));
    });
}

#[test]
fn one_of_two_decisions_counts() {
    loom::model(|| {
        let word = Arc::new(AtomicU64::new(0));
        Current::new(&word).begin(1);
        let other = {
            let word = Arc::clone(&word);
            thread::spawn(move || Current::new(&word).condemn(1))
        };
        let mine = Current::new(&word).condemn(1);
        assert_ne!(other.join().unwrap(), mine);
        assert!(!Current::new(&word).finish(1));
    });
}
