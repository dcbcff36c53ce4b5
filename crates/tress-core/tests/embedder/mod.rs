//! How an embedder waits: the loop around enrol, park and cancel that each of these tests needs.
#![allow(dead_code, reason = "each test file uses a part of it")]

use tress_core::base::deadline::{Deadline, now_ns};
use tress_core::base::waiter::{Outcome, Signal};
use tress_core::base::waitlist::Node;
use tress_core::threads::event::Event;
use tress_core::threads::lock::Lock;
use tress_core::threads::semaphore::{Enrol, Semaphore, Take};

/// Waits for `lock`; false when the deadline passed first.
pub fn acquire(lock: &Lock, deadline: Option<Deadline>) -> bool {
    lock.try_acquire() || acquire_since(lock, now_ns(), deadline)
}

/// Waits for `lock` as one whose wait began at `since_ns`.
pub fn acquire_since(lock: &Lock, since_ns: u64, deadline: Option<Deadline>) -> bool {
    let mut again = false;
    loop {
        let Some(node) = lock.enrol(since_ns, again) else { return true };
        match node.waiter().park(deadline) {
            Outcome::Granted(signal) if lock.settle(signal) => return true,
            Outcome::Granted(_) => again = true,
            Outcome::TimedOut => return lock.cancel(&node),
            Outcome::Interrupted => unreachable!("no signals here"),
        }
    }
}

/// Releases `lock` and wakes.
pub fn release(lock: &Lock) {
    lock.release().expect("the lock is held").wake();
}

/// Waits for a permit as one whose wait began at `since_ns`.
pub fn take_since(semaphore: &Semaphore, since_ns: u64, deadline: Option<Deadline>) -> Take {
    let mut again = false;
    loop {
        let node = match semaphore.enrol(since_ns, again) {
            Enrol::Taken => return Take::Taken,
            Enrol::Closed => return Take::Closed,
            Enrol::Waiting(node) => node,
        };
        match node.waiter().park(deadline) {
            Outcome::Granted(Signal::Handed) => return Take::Taken,
            Outcome::Granted(_) => match semaphore.try_acquire() {
                Take::Empty => again = true,
                settled => return settled,
            },
            Outcome::TimedOut if semaphore.cancel(&node) => return Take::Taken,
            Outcome::TimedOut => return Take::Empty,
            Outcome::Interrupted => unreachable!("no signals here"),
        }
    }
}

/// Waits for a permit.
pub fn take(semaphore: &Semaphore, deadline: Option<Deadline>) -> Take {
    take_since(semaphore, now_ns(), deadline)
}

/// Waits for `event`; false when the deadline passed first.
pub fn wait(event: &Event, deadline: Option<Deadline>) -> bool {
    let Some(node) = event.enrol() else { return true };
    match node.park(deadline) {
        Outcome::Granted(_) => true,
        Outcome::TimedOut => event.cancel(&node),
        Outcome::Interrupted => unreachable!("no signals here"),
    }
}
