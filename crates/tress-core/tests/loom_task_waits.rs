//! Tasks among the threads that wait: the grant against the cancellation, over all interleavings with at most three preemptions
//! (see `loom_lock.rs`).
#![cfg(loom)]

mod embedder;
mod queueing;
mod waking;

use embedder::{acquire_since, release, take_since};
use loom::sync::Arc;
use loom::thread;
use queueing::{PASSED, get, put, put_back};
use tress_core::base::waiter::{Cancel, Grant, Signal, Waiter};
use tress_core::base::waitlist::Node;
use tress_core::threads::lock::Lock;
use tress_core::threads::queue::{Cancelled, Enrol, Get, Order, Put, Queue};
use tress_core::threads::semaphore::{self, Semaphore, Take};
use waking::Task;

const SIGNALS: [Signal; 4] = [Signal::Handed, Signal::Retry, Signal::Closed, Signal::Broken];
/// See `loom_lock.rs`: handed over, and told to retry.
const SINCES: [u64; 2] = [0, 1_000_000_000];

fn model(body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

#[test]
fn either_the_grant_or_the_cancel_wins_and_a_grant_wakes_once() {
    for signal in SIGNALS {
        model(move || {
            let task = Task::new(1);
            let waiter = Arc::new(Waiter::of(task.who()));
            let other = waiter.clone();
            let waker = thread::spawn(move || match other.grant(signal) {
                Grant::Asleep => other.wake(),
                Grant::Awake => panic!("a task is never awake"),
                Grant::Gone => {}
            });
            let cancelled = waiter.cancel();
            waker.join().unwrap();
            match cancelled {
                Cancel::Cancelled => assert_eq!(task.woken(), 0),
                Cancel::Granted(granted) => assert_eq!((granted, task.woken()), (signal, 1)),
            }
            assert!(!waiter.is_waiting());
        });
    }
}

#[test]
fn of_two_that_grant_one_wakes() {
    model(|| {
        let task = Task::new(1);
        let waiter = Arc::new(Waiter::of(task.who()));
        let other = waiter.clone();
        let give = |waiter: &Waiter, signal| {
            if waiter.grant(signal) == Grant::Asleep {
                waiter.wake();
            }
        };
        let waker = thread::spawn(move || give(&other, Signal::Retry));
        give(&waiter, Signal::Closed);
        task.run();
        assert!(matches!(waiter.granted(), Some(Signal::Retry | Signal::Closed)));
        waker.join().unwrap();
        assert_eq!(task.woken(), 1);
    });
}

/// A getter that is cancelled at any moment.
fn get_and_cancel(queue: &Queue<u32>) {
    let task = Task::new(1);
    let node = match queue.get_as(task.who(), true) {
        Get::Wait(node) => node,
        Get::Item(item, wakes) => {
            wakes.wake();
            return put_back(queue, item);
        }
        _ => return,
    };
    let (cancelled, wakes) = queue.cancel_get(&node);
    wakes.wake();
    if let Cancelled::Item(item) = cancelled {
        put_back(queue, item);
    }
}

#[test]
fn a_cancelled_get_leaves_its_item_to_a_thread() {
    for order in [Order::Fifo, Order::Lifo] {
        model(move || {
            let queue = Arc::new(Queue::new(order, None));
            let (one, other) = (queue.clone(), queue.clone());
            let cancels = thread::spawn(move || get_and_cancel(&one));
            let getter = thread::spawn(move || get(&other, None).unwrap());
            put(&queue, 1, None).unwrap();
            cancels.join().unwrap();
            assert_eq!(getter.join().unwrap(), 1);
            assert_eq!((queue.statistics().puts, queue.statistics().gets), (1, 1));
        });
    }
}

#[test]
fn a_task_gets_what_a_thread_puts() {
    model(|| {
        let queue = Arc::new(Queue::new(Order::Fifo, None));
        let other = queue.clone();
        let getter = thread::spawn(move || {
            let task = Task::new(1);
            match other.get_as(task.who(), true) {
                Get::Item(item, wakes) => {
                    wakes.wake();
                    item
                }
                Get::Wait(node) => {
                    task.run();
                    assert_eq!(task.woken(), 1);
                    other.arrive_get(&node).0.expect("it was handed an item")
                }
                _ => panic!("the queue is open"),
            }
        });
        put(&queue, 1, None).unwrap();
        assert_eq!(getter.join().unwrap(), 1);
    });
}

#[test]
fn a_cancelled_put_has_put_nothing_and_leaves_its_room_to_a_thread() {
    model(|| {
        let queue = Arc::new(Queue::new(Order::Fifo, Some(1)));
        put(&queue, 1, None).unwrap();
        let (one, other) = (queue.clone(), queue.clone());
        let cancels = thread::spawn(move || {
            let task = Task::new(1);
            match one.put_as(task.who(), 2, Enrol::Last) {
                Put::Done(wakes) => {
                    wakes.wake();
                    true
                }
                Put::Wait(node, wakes) => {
                    wakes.wake();
                    let (rest, wakes) = one.cancel_put(&node);
                    wakes.wake();
                    assert_eq!(rest, [2]);
                    false
                }
                _ => panic!("the queue is open"),
            }
        });
        let putter = thread::spawn(move || put(&other, 3, None).unwrap());
        assert_eq!(get(&queue, None), Ok(1));
        let has_put = cancels.join().unwrap();
        let mut rest = vec![get(&queue, None).unwrap()];
        if has_put {
            rest.push(get(&queue, None).unwrap());
        }
        putter.join().unwrap();
        rest.sort();
        assert_eq!(rest, if has_put { vec![2, 3] } else { vec![3] });
        assert!(get(&queue, PASSED).is_err());
    });
}

#[test]
fn a_cancelled_acquire_leaves_the_lock_to_a_thread() {
    for since in SINCES {
        model(move || {
            let lock = Arc::new(Lock::new());
            assert!(lock.try_acquire());
            let (one, other) = (lock.clone(), lock.clone());
            let cancels = thread::spawn(move || {
                let task = Task::new(1);
                let is_taken = match one.enrol_as(task.who(), since, false) {
                    None => true,
                    Some(node) => one.cancel_as(task.id(), &node),
                };
                if is_taken {
                    assert_eq!(one.taker(), task.id());
                    release(&one);
                }
            });
            let acquirer = thread::spawn(move || {
                assert!(acquire_since(&other, since, None));
                release(&other);
            });
            release(&lock);
            cancels.join().unwrap();
            acquirer.join().unwrap();
            assert!(!lock.is_locked());
        });
    }
}

#[test]
fn a_task_is_let_in_by_a_thread() {
    for since in SINCES {
        model(move || {
            let lock = Arc::new(Lock::new());
            assert!(lock.try_acquire());
            let other = lock.clone();
            let acquirer = thread::spawn(move || {
                let task = Task::new(1);
                let mut again = false;
                while let Some(node) = other.enrol_as(task.who(), since, again) {
                    task.run();
                    if other.settle_as(task.id(), node.waiter().granted().expect("it was woken")) {
                        break;
                    }
                    again = true;
                }
                assert_eq!(other.taker(), task.id());
                release(&other);
            });
            release(&lock);
            acquirer.join().unwrap();
            assert!(!lock.is_locked());
        });
    }
}

#[test]
fn a_cancelled_permit_is_a_threads() {
    for since in SINCES {
        model(move || {
            let semaphore = Arc::new(Semaphore::new(0));
            let (one, other) = (semaphore.clone(), semaphore.clone());
            let give = |semaphore: &Semaphore| semaphore.release(1, None).unwrap().wake();
            let cancels = thread::spawn(move || {
                let task = Task::new(1);
                let is_taken = match one.enrol_as(task.who(), since, false) {
                    semaphore::Enrol::Taken => true,
                    semaphore::Enrol::Waiting(node) => one.cancel(&node),
                    semaphore::Enrol::Closed => panic!("it is open"),
                };
                if is_taken {
                    give(&one);
                }
            });
            let taker = thread::spawn(move || assert_eq!(take_since(&other, since, None), Take::Taken));
            give(&semaphore);
            cancels.join().unwrap();
            taker.join().unwrap();
            assert_eq!(semaphore.value(), 0);
        });
    }
}
