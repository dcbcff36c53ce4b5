//! A queue against the simplest thing that does the same, and with real threads.
#![cfg(not(loom))]

mod queueing;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use proptest::prelude::*;
use queueing::{Refused, close, get, join, move_out, put, put_all, put_back, task_done};
use tress_core::base::deadline::Deadline;
use tress_core::threads::heap;
use tress_core::threads::queue::{Get, Order, Queue, TooManyDone};

const ORDERS: [Order; 3] = [Order::Fifo, Order::Lifo, Order::Sorted];
const NOW: Option<Deadline> = Some(Deadline::at_ns(0));

#[derive(Clone, Debug)]
enum Step {
    Put(u8),
    Get,
    GetAndPutBack,
    PutAll(Vec<u8>),
    GetMore(usize),
    SetBound(Option<usize>),
    TaskDone,
    Close(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => any::<u8>().prop_map(Step::Put),
        6 => Just(Step::Get),
        2 => Just(Step::GetAndPutBack),
        2 => prop::collection::vec(any::<u8>(), 0..5).prop_map(Step::PutAll),
        2 => (0..4usize).prop_map(Step::GetMore),
        1 => prop::option::of(1..6usize).prop_map(Step::SetBound),
        2 => Just(Step::TaskDone),
        1 => any::<bool>().prop_map(Step::Close),
    ]
}

/// The simplest thing that does the same.
struct Plain {
    order: Order,
    items: VecDeque<u8>,
    bound: Option<usize>,
    unfinished: i64,
    closed: bool,
}

impl Plain {
    fn has_room(&self) -> bool {
        self.bound.is_none_or(|bound| self.items.len() < bound)
    }

    fn put(&mut self, item: u8) -> Result<(), Refused> {
        if self.closed {
            return Err(Refused::Closed);
        }
        if !self.has_room() {
            return Err(Refused::InTime);
        }
        self.items.push_back(item);
        self.unfinished += 1;
        Ok(())
    }

    fn get(&mut self) -> Result<u8, Refused> {
        let refused = if self.closed { Refused::Closed } else { Refused::InTime };
        match self.order {
            Order::Fifo => self.items.pop_front(),
            Order::Lifo => self.items.pop_back(),
            Order::Sorted => {
                let least = self.items.iter().enumerate().min_by_key(|(_, item)| **item).map(|(at, _)| at);
                least.and_then(|at| self.items.remove(at))
            }
        }
        .ok_or(refused)
    }
}

proptest! {
    #[test]
    fn it_does_what_the_simplest_thing_does(order in prop::sample::select(ORDERS.to_vec()), steps in prop::collection::vec(step(), 0..60)) {
        let queue = Queue::new(order, None);
        let mut plain = Plain { order, items: VecDeque::new(), bound: None, unfinished: 0, closed: false };
        for step in steps {
            match step {
                Step::Put(item) => prop_assert_eq!(put(&queue, item, NOW), plain.put(item)),
                Step::Get => prop_assert_eq!(get(&queue, NOW), plain.get()),
                Step::GetAndPutBack => {
                    if let Ok(item) = get(&queue, NOW) {
                        put_back(&queue, item);
                    }
                }
                Step::PutAll(items) if order != Order::Sorted => {
                    let left = put_all(&queue, items.clone(), NOW);
                    let expected: Vec<u8> = items.into_iter().filter(|item| plain.put(*item).is_err()).collect();
                    prop_assert_eq!(Vec::from(left), expected);
                }
                Step::GetMore(count) if order != Order::Sorted => {
                    let mut taken = Vec::new();
                    queue.get_more(count, &mut taken).wake();
                    let expected: Vec<u8> = (0..count).map_while(|_| plain.get().ok()).collect();
                    prop_assert_eq!(taken, expected);
                }
                Step::SetBound(bound) => {
                    queue.set_bound(bound).wake();
                    plain.bound = bound;
                }
                Step::TaskDone => match queue.task_done(1) {
                    Ok(_) => plain.unfinished -= 1,
                    Err(TooManyDone) => prop_assert_eq!(plain.unfinished, 0),
                },
                Step::Close(drain) => {
                    let drained = close(&queue, drain);
                    plain.closed = true;
                    if drain {
                        prop_assert_eq!(drained.len(), plain.items.len());
                        plain.unfinished -= (drained.len() as i64).min(plain.unfinished);
                        plain.items.clear();
                    }
                }
                Step::PutAll(_) | Step::GetMore(_) => {}
            }
            prop_assert_eq!(queue.len(), plain.items.len());
            prop_assert_eq!(queue.is_full(), !plain.has_room());
            prop_assert_eq!(queue.unfinished(), plain.unfinished);
        }
    }

    #[test]
    fn a_heap_gives_its_items_in_order(items in prop::collection::vec(any::<u8>(), 0..80)) {
        let less = |left: &u8, right: &u8| Ok::<_, ()>(left < right);
        let mut heap = VecDeque::new();
        for item in &items {
            heap::push(&mut heap, *item, less).unwrap();
        }
        let mut sorted = items;
        sorted.sort_unstable();
        for item in sorted {
            prop_assert_eq!(heap::pop(&mut heap, less), Ok(Some(item)));
        }
        prop_assert_eq!(heap::pop(&mut heap, less), Ok(None));
    }

    #[test]
    fn a_comparison_that_fails_leaves_the_heap_as_it_was(items in prop::collection::vec(any::<u8>(), 1..80), fails_after in 0..20usize) {
        let less = |left: &u8, right: &u8| Ok::<_, ()>(left < right);
        let mut heap = VecDeque::new();
        for item in &items {
            heap::push(&mut heap, *item, less).unwrap();
        }
        let before = heap.clone();
        let mut left = fails_after;
        let outcome = heap::pop(&mut heap, |one, other| {
            left = left.checked_sub(1).ok_or(())?;
            Ok::<_, ()>(one < other)
        });
        if outcome.is_err() {
            prop_assert_eq!(heap, before);
        }
    }
}

#[test]
fn what_was_moved_out_is_in_order_and_nothing_follows() {
    for (order, expected) in [(Order::Fifo, [1, 2, 3]), (Order::Lifo, [1, 2, 3]), (Order::Sorted, [1, 2, 3])]
    {
        let queue = Queue::new(order, None);
        for item in [1, 2, 3] {
            put(&queue, item, None).unwrap();
        }
        assert_eq!(Vec::from(move_out(&queue)), expected);
        assert_eq!(put(&queue, 4, None), Err(Refused::Moved));
        assert_eq!(get(&queue, None), Err(Refused::Moved));
        assert_eq!(queue.unfinished(), 3);
        assert!(queue.has_moved());
    }
}

#[test]
fn a_buffer_that_is_lent_counts_and_makes_others_wait() {
    let queue = Arc::new(Queue::new(Order::Sorted, None));
    for item in [2, 1] {
        put(&queue, item, None).unwrap();
    }
    let Get::Sort(mut items) = queue.get(true) else { panic!("a sorted queue lends its buffer") };
    assert_eq!(queue.len(), 2);
    let other = queue.clone();
    let putter = thread::spawn(move || put(&other, 0, None).unwrap());
    let item = heap::pop(&mut items, |one, other| Ok::<_, ()>(one < other)).unwrap();
    assert_eq!(item, Some(1));
    queue.bring_back(items, 0, 1).wake();
    putter.join().unwrap();
    assert_eq!((get(&queue, None), get(&queue, None)), (Ok(0), Ok(2)));
}

#[test]
fn every_item_arrives_once_whatever_times_out() {
    const EACH: u64 = 3_000;
    for order in ORDERS {
        for bound in [Some(1), Some(7), None] {
            let queue = Arc::new(Queue::new(order, bound));
            let sum = Arc::new(AtomicU64::new(0));
            let producers: Vec<_> = (0..3)
                .map(|producer| {
                    let queue = queue.clone();
                    thread::spawn(move || {
                        for number in 0..EACH {
                            let item = producer * EACH + number;
                            while put(&queue, item, Some(Deadline::after_ns(number % 5 * 10_000))).is_err() {}
                        }
                    })
                })
                .collect();
            let consumers: Vec<_> = (0..3)
                .map(|_| {
                    let (queue, sum) = (queue.clone(), sum.clone());
                    thread::spawn(move || {
                        for turn in 0.. {
                            match get(&queue, Some(Deadline::after_ns(turn % 5 * 10_000))) {
                                Ok(item) => {
                                    sum.fetch_add(item + 1, Ordering::Relaxed);
                                    task_done(&queue);
                                }
                                Err(Refused::Closed) => break,
                                Err(_) => {}
                            }
                        }
                    })
                })
                .collect();
            for producer in producers {
                producer.join().unwrap();
            }
            join(&queue);
            close(&queue, false);
            for consumer in consumers {
                consumer.join().unwrap();
            }
            let all = 3 * EACH;
            assert_eq!(sum.load(Ordering::Relaxed), all * (all + 1) / 2);
            let numbers = queue.statistics();
            assert_eq!((numbers.puts, numbers.gets, numbers.size), (all, all, 0));
        }
    }
}
