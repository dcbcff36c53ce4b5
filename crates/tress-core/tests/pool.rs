//! The pool: what one thread sees, against a model; and many threads, counted.
#![cfg(not(loom))]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use tress_core::base::waiter::Waiter;
use tress_core::threads::pool::{Arrival, Next, Pool};

#[derive(Clone, Copy, Debug)]
enum Step {
    Push,
    Take,
    Expect,
    /// A worker has its turn: one that was granted, or one that has just been started.
    Turn,
    Done,
    Drain(bool),
    Close,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Push),
        1 => Just(Step::Take),
        2 => Just(Step::Expect),
        4 => Just(Step::Turn),
        4 => Just(Step::Done),
        1 => any::<bool>().prop_map(Step::Drain),
        1 => Just(Step::Close),
    ];
    prop::collection::vec(step, 0..60)
}

/// The same in plain data.
#[derive(Default)]
struct Model {
    queue: VecDeque<u32>,
    busy: usize,
    starting: usize,
    idle: Vec<Arc<Waiter>>,
    closed: bool,
    pushed: u32,
    done: u64,
}

impl Model {
    fn woken(&mut self) -> Option<Arc<Waiter>> {
        let index = self.idle.iter().position(|waiter| waiter.granted().is_some())?;
        Some(self.idle.remove(index))
    }
}

proptest! {
    #[test]
    fn work_is_given_out_in_order_and_workers_are_called_for_it(steps in steps()) {
        let pool = Pool::<u32>::new();
        let mut model = Model::default();
        for step in steps {
            let arrival = match step {
                Step::Push => {
                    match pool.push(model.pushed) {
                        Ok(pushed) => {
                            prop_assert!(!model.closed);
                            pushed.wakes.wake();
                            model.queue.push_back(model.pushed);
                            model.pushed += 1;
                            prop_assert_eq!(pushed.short, pool.is_short());
                        }
                        Err(work) => prop_assert!(model.closed && work == model.pushed),
                    }
                    None
                }
                Step::Take => {
                    prop_assert_eq!(pool.take(), model.queue.pop_front());
                    None
                }
                Step::Expect => {
                    pool.expect_worker();
                    model.starting += 1;
                    None
                }
                Step::Turn if model.woken().is_some() => Some(Arrival::Woken),
                Step::Turn if model.starting > 0 => {
                    model.starting -= 1;
                    Some(Arrival::New)
                }
                Step::Done if model.busy > 0 => {
                    model.busy -= 1;
                    model.done += 1;
                    Some(Arrival::Done)
                }
                Step::Turn | Step::Done => None,
                Step::Drain(unclaimed_only) => {
                    let claimed = if unclaimed_only { model.starting.min(model.queue.len()) } else { 0 };
                    prop_assert_eq!(pool.drain(unclaimed_only), model.queue.split_off(claimed));
                    None
                }
                Step::Close => {
                    pool.close().wake();
                    model.closed = true;
                    None
                }
            };
            if let Some(arrival) = arrival {
                match pool.next(arrival) {
                    Next::Work(work, wakes) => {
                        wakes.wake();
                        prop_assert_eq!(Some(work), model.queue.pop_front());
                        model.busy += 1;
                    }
                    Next::Idle(waiter) => {
                        prop_assert!(model.queue.is_empty() && !model.closed);
                        model.idle.push(waiter);
                    }
                    Next::Closed => prop_assert!(model.queue.is_empty() && model.closed),
                }
            }
            let coming = model.idle.iter().filter(|waiter| waiter.granted().is_some()).count();
            let numbers = pool.numbers();
            prop_assert_eq!(numbers.queued, model.queue.len());
            prop_assert_eq!(numbers.idle, model.idle.len() - coming);
            prop_assert_eq!(numbers.pushed, u64::from(model.pushed));
            prop_assert_eq!(numbers.done, model.done);
            // The invariant: while there is work, a worker that sleeps means that another is on its way.
            prop_assert!(model.queue.is_empty() || numbers.idle == 0 || coming > 0);
            prop_assert!(model.closed || coming <= 1);
            prop_assert!(!model.closed || numbers.idle == 0);
        }
    }
}

#[test]
fn the_last_to_go_idle_is_called_first() {
    let pool = Pool::new();
    let idle: Vec<_> = (0..3)
        .map(|_| match pool.next(Arrival::New) {
            Next::Idle(waiter) => waiter,
            _ => panic!("the pool is empty"),
        })
        .collect();
    pool.push(()).expect("open").wakes.wake();
    pool.push(()).expect("open").wakes.wake();
    let granted = |index: usize| idle[index].granted().is_some();
    assert_eq!([granted(0), granted(1), granted(2)], [false, false, true]);
    assert!(matches!(pool.next(Arrival::Woken), Next::Work((), _)));
    assert_eq!([granted(0), granted(1), granted(2)], [false, true, true]);
}

#[test]
fn everything_is_run_once_by_many_workers() {
    let shared = Arc::new((Pool::<u64>::new(), AtomicU64::new(0), AtomicU64::new(0)));
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let shared = shared.clone();
            std::thread::spawn(move || {
                let (pool, sum, count) = &*shared;
                let mut arrival = Arrival::New;
                loop {
                    match pool.next(arrival) {
                        Next::Work(work, wakes) => {
                            wakes.wake();
                            sum.fetch_add(work, Ordering::Relaxed);
                            count.fetch_add(1, Ordering::Relaxed);
                            arrival = Arrival::Done;
                        }
                        Next::Idle(waiter) => {
                            let _ = waiter.park(None);
                            arrival = Arrival::Woken;
                        }
                        Next::Closed => return,
                    }
                }
            })
        })
        .collect();
    let pushers: Vec<_> = (0..2)
        .map(|_| {
            let shared = shared.clone();
            std::thread::spawn(move || {
                for work in 1..=10_000 {
                    shared.0.push(work).expect("open").wakes.wake();
                }
            })
        })
        .collect();
    for pusher in pushers {
        pusher.join().unwrap();
    }
    shared.0.close().wake();
    assert_eq!(shared.0.push(1).expect_err("closed"), 1);
    for worker in workers {
        worker.join().unwrap();
    }
    assert_eq!(shared.1.load(Ordering::Relaxed), 2 * 10_000 * 10_001 / 2);
    assert_eq!(shared.2.load(Ordering::Relaxed), 20_000);
    let numbers = shared.0.numbers();
    assert_eq!((numbers.pushed, numbers.done, numbers.queued, numbers.idle), (20_000, 20_000, 0, 0));
}
