//! No work is left while a worker sleeps, over all interleavings with at most three preemptions.
#![cfg(loom)]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use tress_core::threads::pool::{Arrival, Next, Pool};

fn model(body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

/// A worker: adds up what it takes, until the pool is closed.
fn work(pool: &Pool<u32>, sum: &AtomicU32) {
    let mut arrival = Arrival::New;
    loop {
        match pool.next(arrival) {
            Next::Work(work, wakes) => {
                wakes.wake();
                sum.fetch_add(work, Ordering::Relaxed);
                arrival = Arrival::Done;
            }
            Next::Idle(waiter) => {
                // In a model a park without a deadline ends by a grant alone: a lost wake-up is a model that never ends.
                let _ = waiter.park(None);
                arrival = Arrival::Woken;
            }
            Next::Closed => return,
        }
    }
}

fn push(pool: &Pool<u32>, work: u32) -> bool {
    pool.push(work).map(|pushed| pushed.wakes.wake()).is_ok()
}

#[test]
fn everything_pushed_is_run_once() {
    model(|| {
        let shared = Arc::new((Pool::new(), AtomicU32::new(0)));
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || work(&shared.0, &shared.1))
            })
            .collect();
        assert!(push(&shared.0, 1));
        assert!(push(&shared.0, 10));
        shared.0.close().wake();
        assert!(!push(&shared.0, 100));
        for worker in workers {
            worker.join().unwrap();
        }
        assert_eq!(shared.1.load(Ordering::Relaxed), 11);
    });
}

#[test]
fn one_worker_and_two_who_push() {
    model(|| {
        let shared = Arc::new((Pool::new(), AtomicU32::new(0)));
        let (worker, pusher) = (shared.clone(), shared.clone());
        let worker = thread::spawn(move || work(&worker.0, &worker.1));
        let pusher = thread::spawn(move || assert!(push(&pusher.0, 1)));
        assert!(push(&shared.0, 10));
        pusher.join().unwrap();
        shared.0.close().wake();
        worker.join().unwrap();
        assert_eq!(shared.1.load(Ordering::Relaxed), 11);
        let numbers = shared.0.numbers();
        assert_eq!((numbers.pushed, numbers.done, numbers.queued, numbers.idle), (2, 2, 0, 0));
    });
}

#[test]
fn idle_workers_are_called_in_turn_while_work_is_left() {
    model(|| {
        let pool = Arc::new(Pool::new());
        // Two workers that sleep already.
        let idle: Vec<_> = (0..2)
            .map(|_| match pool.next(Arrival::New) {
                Next::Idle(waiter) => waiter,
                _ => unreachable!("the pool is empty"),
            })
            .collect();
        let sum = Arc::new(AtomicU32::new(0));
        let workers: Vec<_> = idle
            .into_iter()
            .map(|waiter| {
                let (pool, sum) = (pool.clone(), sum.clone());
                thread::spawn(move || {
                    // Each takes one piece of work, and does not come back: the other must have been called for the second.
                    let _ = waiter.park(None);
                    match pool.next(Arrival::Woken) {
                        Next::Work(work, wakes) => {
                            wakes.wake();
                            sum.fetch_add(work, Ordering::Relaxed);
                        }
                        _ => unreachable!("one was called for each"),
                    }
                })
            })
            .collect();
        assert!(push(&pool, 1));
        assert!(push(&pool, 10));
        for worker in workers {
            worker.join().unwrap();
        }
        assert_eq!(sum.load(Ordering::Relaxed), 11);
    });
}
