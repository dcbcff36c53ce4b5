//! No item is lost and none is doubled, over all interleavings with at most three preemptions (see `loom_lock.rs`).
#![cfg(loom)]

mod queueing;

use loom::sync::Arc;
use loom::thread;
use queueing::{PASSED, Refused, close, get, join, move_out, put, put_all, task_done, wait_and_give_up};
use tress_core::threads::queue::{Order, Queue};

const ORDERS: [Order; 3] = [Order::Fifo, Order::Lifo, Order::Sorted];
const UNSORTED: [Order; 2] = [Order::Fifo, Order::Lifo];

fn model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(body);
}

/// What is left, without waiting.
fn rest(queue: &Queue<u32>) -> Vec<u32> {
    let mut items = Vec::new();
    while let Ok(item) = get(queue, PASSED) {
        items.push(item);
    }
    items.sort();
    items
}

#[test]
fn a_put_beside_a_timeout_is_taken_or_left() {
    for order in ORDERS {
        model(3, move || {
            let queue = Arc::new(Queue::new(order, None));
            let other = queue.clone();
            let getter = thread::spawn(move || get(&other, PASSED));
            put(&queue, 1, None).unwrap();
            match getter.join().unwrap() {
                Ok(item) => assert_eq!((item, rest(&queue)), (1, vec![])),
                Err(_) => assert_eq!(rest(&queue), [1]),
            }
        });
    }
}

#[test]
fn two_puts_reach_two_that_wait_though_one_is_woken_at_a_time() {
    for order in ORDERS {
        model(3, move || {
            let queue = Arc::new(Queue::new(order, None));
            let getters: Vec<_> = (0..2)
                .map(|_| {
                    let queue = queue.clone();
                    thread::spawn(move || get(&queue, None).unwrap())
                })
                .collect();
            put(&queue, 1, None).unwrap();
            put(&queue, 2, None).unwrap();
            let mut items: Vec<_> = getters.into_iter().map(|getter| getter.join().unwrap()).collect();
            items.sort();
            assert_eq!(items, [1, 2]);
        });
    }
}

#[test]
fn a_getter_that_gives_up_passes_its_item_on() {
    for order in ORDERS {
        model(3, move || {
            let queue = Arc::new(Queue::new(order, None));
            let (one, other) = (queue.clone(), queue.clone());
            let gives_up = thread::spawn(move || wait_and_give_up(&one));
            let getter = thread::spawn(move || get(&other, None).unwrap());
            put(&queue, 1, None).unwrap();
            put(&queue, 2, None).unwrap();
            gives_up.join().unwrap();
            let item = getter.join().unwrap();
            assert_eq!(rest(&queue), [3 - item]);
            assert_eq!((queue.statistics().puts, queue.statistics().gets), (2, 2));
        });
    }
}

#[test]
fn room_reaches_every_putter() {
    for order in ORDERS {
        model(3, move || {
            let queue = Arc::new(Queue::new(order, Some(1)));
            put(&queue, 0, None).unwrap();
            let putters: Vec<_> = (1..3)
                .map(|item| {
                    let queue = queue.clone();
                    thread::spawn(move || put(&queue, item, None).unwrap())
                })
                .collect();
            let mut items: Vec<_> = (0..3).map(|_| get(&queue, None).unwrap()).collect();
            for putter in putters {
                putter.join().unwrap();
            }
            items.sort();
            assert_eq!(items, [0, 1, 2]);
        });
    }
}

#[test]
fn a_put_that_times_out_is_in_or_out() {
    for order in ORDERS {
        model(3, move || {
            let queue = Arc::new(Queue::new(order, Some(1)));
            put(&queue, 0, None).unwrap();
            let other = queue.clone();
            let putter = thread::spawn(move || put(&other, 1, PASSED));
            assert!(get(&queue, None).is_ok());
            let left = rest(&queue);
            match putter.join().unwrap() {
                Ok(()) => assert_eq!(left.len() + rest(&queue).len(), 1),
                Err(refused) => assert_eq!((refused, left.len()), (Refused::InTime, 0)),
            }
        });
    }
}

#[test]
fn putters_and_getters_both_wait_and_nobody_is_forgotten() {
    for order in ORDERS {
        model(3, move || {
            let queue = Arc::new(Queue::new(order, Some(1)));
            let other = queue.clone();
            let putter = thread::spawn(move || {
                for item in 0..3 {
                    put(&other, item, None).unwrap();
                }
            });
            let mut items: Vec<_> = (0..3).map(|_| get(&queue, None).unwrap()).collect();
            putter.join().unwrap();
            items.sort();
            assert_eq!(items, [0, 1, 2]);
        });
    }
}

#[test]
fn what_put_all_leaves_out_was_never_in() {
    for order in UNSORTED {
        model(3, move || {
            let queue = Arc::new(Queue::new(order, Some(1)));
            let other = queue.clone();
            let putter = thread::spawn(move || put_all(&other, [0, 1, 2], PASSED));
            let mut taken: Vec<_> = get(&queue, PASSED).into_iter().collect();
            let left_out = putter.join().unwrap();
            taken.extend(rest(&queue));
            taken.extend(left_out);
            taken.sort();
            assert_eq!(taken, [0, 1, 2]);
        });
    }
}

#[test]
fn closing_ends_every_wait() {
    for order in ORDERS {
        for drain in [false, true] {
            model(3, move || {
                let queue = Arc::new(Queue::new(order, Some(1)));
                let (one, other) = (queue.clone(), queue.clone());
                let getter = thread::spawn(move || [get(&one, None), get(&one, None)]);
                let putter = thread::spawn(move || put(&other, 1, None).is_ok());
                let drained = close(&queue, drain);
                let got = getter.join().unwrap();
                let is_put = putter.join().unwrap();
                assert_eq!(got[1], Err(Refused::Closed));
                assert_eq!(usize::from(is_put), usize::from(got[0].is_ok()) + drained.len());
                assert_eq!(put(&queue, 2, None), Err(Refused::Closed));
            });
        }
    }
}

#[test]
fn moving_finds_every_item_and_tells_everybody() {
    for order in ORDERS {
        model(3, move || {
            let queue = Arc::new(Queue::new(order, Some(1)));
            put(&queue, 0, None).unwrap();
            let (one, other) = (queue.clone(), queue.clone());
            let getter = thread::spawn(move || get(&one, None));
            let putter = thread::spawn(move || put(&other, 1, None));
            let moved = move_out(&queue);
            let got = getter.join().unwrap();
            let is_put = putter.join().unwrap();
            assert!(got.is_ok() || got == Err(Refused::Moved));
            assert!(is_put.is_ok() || is_put == Err(Refused::Moved));
            assert_eq!(1 + usize::from(is_put.is_ok()), moved.len() + usize::from(got.is_ok()));
        });
    }
}

#[test]
fn join_ends_when_the_last_task_is_done() {
    model(3, || {
        let queue = Arc::new(Queue::new(Order::Fifo, None));
        put(&queue, 1, None).unwrap();
        put(&queue, 2, None).unwrap();
        let other = queue.clone();
        let worker = thread::spawn(move || {
            for _ in 0..2 {
                get(&other, None).unwrap();
                task_done(&other);
            }
        });
        join(&queue);
        assert_eq!(queue.unfinished(), 0);
        worker.join().unwrap();
    });
}

#[test]
fn a_bound_that_is_raised_lets_putters_in() {
    for order in ORDERS {
        model(3, move || {
            let queue = Arc::new(Queue::new(order, Some(1)));
            put(&queue, 0, None).unwrap();
            let putters: Vec<_> = (1..3)
                .map(|item| {
                    let queue = queue.clone();
                    thread::spawn(move || put(&queue, item, None).unwrap())
                })
                .collect();
            queue.set_bound(None).wake();
            for putter in putters {
                putter.join().unwrap();
            }
            assert_eq!(rest(&queue), [0, 1, 2]);
        });
    }
}
