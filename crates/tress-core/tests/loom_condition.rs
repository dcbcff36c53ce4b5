//! A notification reaches somebody who acts on it, and the lock with it, over all interleavings with at most three
//! preemptions (two where three threads queue for the lock as well; see `loom_lock.rs`).
#![cfg(loom)]

mod embedder;

use embedder::{acquire, release};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use tress_core::base::deadline::Deadline;
use tress_core::base::waiter::{Outcome, Signal};
use tress_core::base::waitlist::Node;
use tress_core::threads::condition::Condition;
use tress_core::threads::lock::Lock;

fn model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(body);
}

struct Items {
    condition: Condition,
    lock: Lock,
    /// Whether a notified wait moves to the lock's list, or is woken as for a lock of somebody else's.
    moves: bool,
    items: UnsafeCell<u32>,
}

impl Items {
    fn new(moves: bool) -> Arc<Self> {
        Arc::new(Self { condition: Condition::new(), lock: Lock::new(), moves, items: UnsafeCell::new(0) })
    }

    fn native(&self) -> Option<&Lock> {
        self.moves.then_some(&self.lock)
    }

    fn put(&self, count: u32) {
        assert!(acquire(&self.lock, None));
        // SAFETY: the lock is held; the model checks that this means alone.
        self.items.with_mut(|items| unsafe { *items += count });
        let (_, wakes) = self.condition.notify(count as usize, self.native());
        release(&self.lock);
        wakes.wake();
    }

    /// Waits once, the lock being held, and takes it again; whether it was notified.
    fn wait(&self, deadline: Option<Deadline>) -> bool {
        let node = self.condition.enrol();
        release(&self.lock);
        let (notified, owned) = match node.waiter().park(deadline) {
            Outcome::Granted(signal) => (true, self.native().is_some_and(|lock| lock.settle(signal))),
            _ => {
                let ended = self.condition.give_up(&node, self.native());
                (ended.notified, ended.owns_lock)
            }
        };
        assert!(owned || acquire(&self.lock, None));
        notified
    }

    fn get(&self) {
        assert!(acquire(&self.lock, None));
        // SAFETY: as in `put`.
        while self.items.with(|items| unsafe { *items }) == 0 {
            assert!(self.wait(None));
        }
        // SAFETY: as in `put`.
        self.items.with_mut(|items| unsafe { *items -= 1 });
        release(&self.lock);
    }

    /// Waits once and gives up whatever comes; what it was notified of, it passes on.
    fn give_up(&self) {
        assert!(acquire(&self.lock, None));
        if self.wait(Some(Deadline::at_ns(0))) {
            let (_, wakes) = self.condition.notify(1, self.native());
            wakes.wake();
        }
        release(&self.lock);
    }
}

#[test]
fn a_notification_is_not_missed_between_the_look_and_the_wait() {
    for moves in [false, true] {
        model(3, move || {
            let items = Items::new(moves);
            let other = items.clone();
            let getter = thread::spawn(move || other.get());
            items.put(1);
            getter.join().unwrap();
            assert!(!items.lock.is_locked());
        });
    }
}

#[test]
fn one_that_gives_up_passes_its_notification_on() {
    for moves in [false, true] {
        model(2, move || {
            let items = Items::new(moves);
            let (giving_up, getting) = (items.clone(), items.clone());
            let impatient = thread::spawn(move || giving_up.give_up());
            let getter = thread::spawn(move || getting.get());
            items.put(1);
            getter.join().unwrap();
            impatient.join().unwrap();
            assert_eq!(items.condition.waiting(), 0);
            assert_eq!(items.lock.waiting(), 0);
        });
    }
}

#[test]
fn as_many_are_notified_as_was_asked_for() {
    for moves in [false, true] {
        model(2, move || {
            let items = Items::new(moves);
            let getters: Vec<_> = (0..2)
                .map(|_| {
                    let items = items.clone();
                    thread::spawn(move || items.get())
                })
                .collect();
            items.put(2);
            for getter in getters {
                getter.join().unwrap();
            }
            assert!(!items.lock.is_locked());
        });
    }
}

#[test]
fn a_notification_by_one_without_the_lock_wakes() {
    model(3, || {
        let items = Items::new(true);
        let node = items.condition.enrol();
        let other = items.clone();
        let notifier = thread::spawn(move || {
            let (count, wakes) = other.condition.notify(1, other.native());
            wakes.wake();
            assert_eq!(count, 1);
        });
        let taken = items.lock.try_acquire();
        if taken {
            release(&items.lock);
        }
        assert_eq!(node.waiter().park(None), Outcome::Granted(Signal::Retry));
        notifier.join().unwrap();
    });
}
