//! No task waits while a worker sleeps for ever, over all interleavings with at most two or three preemptions.
//!
//! Each worker of a model takes one task and is busy from then on, so that a task whose wake-up is lost has nobody else to
//! take it: the model cannot go on.
#![cfg(loom)]

mod sleeping;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, AtomicU64};
use loom::thread;
use sleeping::Word;
use tress_core::processes::idle::Idle;
use tress_core::processes::rest::Rest;
use tress_core::processes::tasks::Tasks;

fn model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(body);
}

struct Pool {
    head: AtomicU64,
    words: [AtomicU64; 2],
    idle: [AtomicU64; 1],
    closed: AtomicU32,
    awake: [Word; 2],
}

impl Pool {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            head: AtomicU64::new(0),
            words: [AtomicU64::new(0), AtomicU64::new(0)],
            idle: [AtomicU64::new(0)],
            closed: AtomicU32::new(0),
            awake: [Word::new(), Word::new()],
        })
    }

    fn tasks(&self) -> Tasks<'_> {
        Tasks::new(&self.head, &self.words)
    }

    fn rest(&self) -> Rest<'_> {
        Rest::new(self.tasks(), Idle::new(&self.idle), &self.closed)
    }

    fn wake(&self, worker: u32) {
        let awake = &self.awake[worker as usize];
        awake.word.store(1, loom::sync::atomic::Ordering::SeqCst);
        awake.wake();
    }

    fn wake_one(&self) {
        if let Some(worker) = self.rest().pick() {
            self.wake(worker);
        }
    }

    fn close(&self) {
        self.rest().close().into_iter().for_each(|worker| self.wake(worker));
    }

    fn take(&self, worker: u32) -> Option<u64> {
        let position = self.tasks().take(worker)?;
        self.tasks().free(position);
        Some(position)
    }

    /// Sleeps until there may be a task.
    fn sleep(&self, worker: u32) {
        let awake = &self.awake[worker as usize];
        if self.rest().enter(worker, &awake.word) {
            awake.sleep(0);
        }
    }

    /// Takes one task, sleeping until there is one; None if the pool is closed first.
    fn take_or_sleep(&self, worker: u32) -> Option<u64> {
        loop {
            let closed = self.rest().is_closed();
            let taken = self.take(worker);
            if taken.is_some() || closed {
                return taken;
            }
            self.sleep(worker);
            self.rest().leave(worker);
        }
    }
}

fn worker(pool: &Arc<Pool>, worker: u32) -> thread::JoinHandle<Option<u64>> {
    let pool = pool.clone();
    thread::spawn(move || pool.take_or_sleep(worker))
}

fn both(one: Option<u64>, other: Option<u64>) {
    assert!(matches!((one, other), (Some(0), Some(1)) | (Some(1), Some(0))), "{one:?} {other:?}");
}

#[test]
fn two_tasks_wake_two_workers() {
    model(3, || {
        let pool = Pool::new();
        let (one, other) = (worker(&pool, 0), worker(&pool, 1));
        for position in 0..2 {
            pool.tasks().offer(position);
            pool.wake_one();
        }
        both(one.join().unwrap(), other.join().unwrap());
    });
}

#[test]
fn two_tasks_offered_before_anybody_is_woken_wake_two_workers() {
    model(2, || {
        let pool = Pool::new();
        let (one, other) = (worker(&pool, 0), worker(&pool, 1));
        for position in 0..2 {
            pool.tasks().offer(position);
        }
        for _ in 0..2 {
            pool.wake_one();
        }
        both(one.join().unwrap(), other.join().unwrap());
    });
}

#[test]
fn a_worker_that_dies_takes_no_wake_up_with_it() {
    model(2, || {
        let pool = Pool::new();
        let other = worker(&pool, 1);
        let dying = pool.clone();
        let dies = thread::spawn(move || {
            let taken = dying.take(0);
            if taken.is_none() {
                // In its sleep, or just before.
                let _ = dying.rest().enter(0, &dying.awake[0].word);
            }
            taken
        });
        pool.tasks().offer(0);
        pool.wake_one();
        let taken = dies.join().unwrap();
        if let Some(next) = pool.rest().bury(0) {
            pool.wake(next);
        }
        assert!(!Idle::new(&pool.idle).leave(0), "the dead are picked for nothing");
        if taken.is_some() {
            pool.tasks().offer(1);
            pool.wake_one();
        }
        assert_eq!(other.join().unwrap(), Some(if taken.is_some() { 1 } else { 0 }));
    });
}

#[test]
fn a_closed_pool_keeps_no_worker_and_leaves_no_task() {
    model(2, || {
        let pool = Pool::new();
        let (one, other) = (worker(&pool, 0), worker(&pool, 1));
        pool.tasks().offer(0);
        pool.wake_one();
        pool.close();
        let taken = [one.join().unwrap(), other.join().unwrap()];
        assert!(taken == [Some(0), None] || taken == [None, Some(0)], "{taken:?}");
    });
}
