//! How an embedder puts and gets: the loop around enrol, park and cancel that each of these tests needs.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::VecDeque;

use tress_core::base::deadline::Deadline;
use tress_core::base::waiter::{Outcome, Signal};
use tress_core::base::waitlist::Node;
use tress_core::threads::heap;
use tress_core::threads::queue::{Cancelled, Done, Enrol, Get, Join, Put, Queue, Turn, Unget};

/// Has passed: in a model, a wait until then may end by it at any moment.
pub const PASSED: Option<Deadline> = Some(Deadline::at_ns(0));

/// How a get or put ended without having done its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Empty, or full.
    InTime,
    /// The queue is closed.
    Closed,
    /// The queue has moved.
    Moved,
}

fn less<T: Ord>(left: &T, right: &T) -> Result<bool, std::convert::Infallible> {
    Ok(left < right)
}

fn await_turn<T>(turn: Turn<T>) {
    let Turn::Wait(node) = turn else { panic!("a comparison does not use the queue here") };
    let _ = node.waiter().park(None);
}

/// Takes an item.
pub fn get<T: Ord>(queue: &Queue<T>, deadline: Option<Deadline>) -> Result<T, Refused> {
    let mut wait = true;
    loop {
        match queue.get(wait) {
            Get::Item(item, wakes) => {
                wakes.wake();
                return Ok(item);
            }
            Get::Empty => return Err(Refused::InTime),
            Get::Closed => return Err(Refused::Closed),
            Get::Moved => return Err(Refused::Moved),
            Get::Sort(mut items) => {
                let item = heap::pop(&mut items, less).unwrap().expect("a buffer that is lent is not empty");
                queue.bring_back(items, 0, 1).wake();
                return Ok(item);
            }
            Get::Turn(turn) => await_turn(turn),
            Get::Wait(node) => match node.waiter().park(deadline) {
                Outcome::Granted(_) => {
                    let (item, wakes) = queue.arrive_get(&node);
                    wakes.wake();
                    if let Some(item) = item {
                        return Ok(item);
                    }
                }
                _ => {
                    let (cancelled, wakes) = queue.cancel_get(&node);
                    wakes.wake();
                    if let Cancelled::Item(item) = cancelled {
                        return Ok(item);
                    }
                    wait = false;
                }
            },
        }
    }
}

/// Puts an item.
pub fn put<T: Ord>(queue: &Queue<T>, item: T, deadline: Option<Deadline>) -> Result<(), Refused> {
    let mut item = item;
    let mut enrol = Enrol::Last;
    loop {
        match queue.put(item, enrol) {
            Put::Done(wakes) => {
                wakes.wake();
                return Ok(());
            }
            Put::Full(_, wakes) => {
                wakes.wake();
                return Err(Refused::InTime);
            }
            Put::Closed(_) => return Err(Refused::Closed),
            Put::Moved(_) => return Err(Refused::Moved),
            Put::Sort(item, mut items) => {
                heap::push(&mut items, item, less).unwrap();
                queue.bring_back(items, 1, 0).wake();
                return Ok(());
            }
            Put::Turn(back, turn) => {
                await_turn(turn);
                item = back;
            }
            Put::Wait(node, wakes) => {
                wakes.wake();
                let mut rest = match node.waiter().park(deadline) {
                    Outcome::Granted(Signal::Handed) => {
                        queue.arrive_put(&node).wake();
                        return Ok(());
                    }
                    Outcome::Granted(_) => {
                        enrol = Enrol::First;
                        node.take()
                    }
                    _ => {
                        let (rest, wakes) = queue.cancel_put(&node);
                        wakes.wake();
                        enrol = Enrol::Never;
                        rest
                    }
                };
                let Some(back) = rest.pop_front() else { return Ok(()) };
                item = back;
            }
        }
    }
}

/// Puts several items; what is not in comes back.
pub fn put_all<T>(
    queue: &Queue<T>,
    items: impl IntoIterator<Item = T>,
    deadline: Option<Deadline>,
) -> VecDeque<T> {
    let mut items: VecDeque<T> = items.into_iter().collect();
    let mut enrol = Enrol::Last;
    loop {
        match queue.put_all(items, enrol) {
            Put::Done(wakes) => {
                wakes.wake();
                return VecDeque::new();
            }
            Put::Full(rest, wakes) => {
                wakes.wake();
                return rest;
            }
            Put::Closed(rest) | Put::Moved(rest) | Put::Sort(rest, _) | Put::Turn(rest, _) => return rest,
            Put::Wait(node, wakes) => {
                wakes.wake();
                items = match node.waiter().park(deadline) {
                    Outcome::Granted(Signal::Handed) => {
                        queue.arrive_put(&node).wake();
                        return VecDeque::new();
                    }
                    Outcome::Granted(_) => node.take(),
                    _ => {
                        let (rest, wakes) = queue.cancel_put(&node);
                        wakes.wake();
                        enrol = Enrol::Never;
                        rest
                    }
                };
                if items.is_empty() {
                    return items;
                }
            }
        }
    }
}

/// Waits for an item as one whom a signal makes give up: what came in the last moment goes back.
pub fn wait_and_give_up<T: Ord>(queue: &Queue<T>) {
    let node = match queue.get(true) {
        Get::Wait(node) => node,
        Get::Item(item, wakes) => {
            wakes.wake();
            return put_back(queue, item);
        }
        Get::Sort(items) => return queue.bring_back(items, 0, 0).wake(),
        _ => return,
    };
    let _ = node.waiter().park(PASSED);
    let (cancelled, wakes) = queue.cancel_get(&node);
    wakes.wake();
    if let Cancelled::Item(item) = cancelled {
        put_back(queue, item);
    }
}

/// Puts back an item that was taken.
pub fn put_back<T: Ord>(queue: &Queue<T>, item: T) {
    let mut item = item;
    loop {
        match queue.unget(item) {
            Unget::Done(wakes) | Unget::Unwanted(_, wakes) => return wakes.wake(),
            Unget::Moved(_) => return,
            Unget::Sort(item, mut items) => {
                heap::push(&mut items, item, less).unwrap();
                return queue.bring_back(items, 0, 0).wake();
            }
            Unget::Turn(back, turn) => {
                await_turn(turn);
                item = back;
            }
        }
    }
}

/// Waits until nothing is unfinished.
pub fn join<T>(queue: &Queue<T>) {
    if let Join::Wait(node) = queue.join() {
        let _ = node.waiter().park(None);
    }
}

/// Says that one task is done.
pub fn task_done<T>(queue: &Queue<T>) {
    match queue.task_done(1).expect("not too often") {
        Done::Done((), wakes) => wakes.wake(),
        other => panic!("{:?}", std::mem::discriminant(&other)),
    }
}

/// Closes the queue.
pub fn close<T>(queue: &Queue<T>, drain: bool) -> VecDeque<T> {
    loop {
        match queue.close(drain) {
            Done::Done(items, wakes) => {
                wakes.wake();
                return items;
            }
            Done::Moved => return VecDeque::new(),
            Done::Turn(turn) => await_turn(turn),
        }
    }
}

/// Moves everything out of the queue.
pub fn move_out<T>(queue: &Queue<T>) -> VecDeque<T> {
    loop {
        match queue.move_out() {
            Done::Done(items, wakes) => {
                wakes.wake();
                return items;
            }
            Done::Moved => return VecDeque::new(),
            Done::Turn(turn) => await_turn(turn),
        }
    }
}
