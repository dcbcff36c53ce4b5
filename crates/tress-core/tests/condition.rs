//! Condition, with its lock and threads.
#![cfg(not(loom))]

mod embedder;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use embedder::{acquire, release, soon, until, within_bound};
use tress_core::base::deadline::Deadline;
use tress_core::base::waiter::{Outcome, Signal};
use tress_core::base::waitlist::Node;
use tress_core::threads::condition::Condition;
use tress_core::threads::lock::Lock;

#[derive(Default)]
struct Monitor {
    lock: Lock,
    condition: Condition,
    room: Condition,
    items: AtomicU64,
}

impl Monitor {
    /// Waits for an item, the lock being held, and takes it again; whether it was notified.
    fn wait(&self, deadline: Option<Deadline>) -> bool {
        self.wait_for(&self.condition, deadline)
    }

    fn wait_for(&self, condition: &Condition, deadline: Option<Deadline>) -> bool {
        let node = condition.enrol();
        release(&self.lock);
        let (notified, owned) = match node.waiter().park(deadline) {
            Outcome::Granted(signal) => (true, self.lock.settle(signal)),
            _ => {
                let ended = condition.give_up(&node, Some(&self.lock));
                (ended.notified, ended.owns_lock)
            }
        };
        assert!(owned || acquire(&self.lock, None));
        notified
    }

    fn notify(&self, count: usize) -> usize {
        self.notify_of(&self.condition, count)
    }

    fn notify_of(&self, condition: &Condition, count: usize) -> usize {
        let (notified, wakes) = condition.notify(count, Some(&self.lock));
        wakes.wake();
        notified
    }
}

#[test]
fn the_longest_waits_are_notified_first() {
    let monitor = Monitor::default();
    assert!(monitor.lock.try_acquire());
    let nodes: Vec<_> = (0..4).map(|_| monitor.condition.enrol()).collect();
    let ended = monitor.condition.give_up(&nodes[0], Some(&monitor.lock));
    assert!(!ended.notified && !ended.owns_lock);
    assert_eq!(monitor.condition.waiting(), 3);
    assert_eq!(monitor.notify(1), 1);
    assert_eq!(monitor.lock.waiting(), 1);
    assert_eq!(nodes[1].waiter().granted(), None, "the lock is held");
    release(&monitor.lock);
    assert!(nodes[1].waiter().granted().is_some());
    assert_eq!(nodes[2].waiter().granted(), None);
    assert_eq!(monitor.notify(usize::MAX), 2);
    assert_eq!(monitor.notify(1), 0);
    assert_eq!(monitor.condition.waiting(), 0);
}

#[test]
fn for_a_lock_of_somebody_else_the_wait_itself_ends() {
    let condition = Condition::new();
    let node = condition.enrol();
    let (notified, wakes) = condition.notify(1, None);
    assert!(wakes.is_empty() && notified == 1);
    assert_eq!(node.waiter().granted(), Some(Signal::Handed));
    let ended = condition.give_up(&node, None);
    assert!(ended.notified && !ended.owns_lock);
}

#[test]
fn one_that_gives_up_after_its_notification_is_told() {
    let monitor = Monitor::default();
    assert!(monitor.lock.try_acquire());
    let nodes = [monitor.condition.enrol(), monitor.condition.enrol()];
    assert_eq!(monitor.notify(1), 1);
    // While the lock is held, and once it is free.
    let ended = monitor.condition.give_up(&nodes[0], Some(&monitor.lock));
    assert!(ended.notified && !ended.owns_lock);
    assert_eq!(monitor.notify(1), 1);
    release(&monitor.lock);
    let ended = monitor.condition.give_up(&nodes[1], Some(&monitor.lock));
    assert!(ended.notified && ended.owns_lock);
    release(&monitor.lock);
    assert!(!monitor.lock.is_locked());
}

#[test]
fn threads_are_woken_and_time_out() {
    within_bound(|| {
        let monitor = Arc::new(Monitor::default());
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                let monitor = monitor.clone();
                thread::spawn(move || {
                    assert!(acquire(&monitor.lock, None));
                    let notified = monitor.wait(None);
                    release(&monitor.lock);
                    notified
                })
            })
            .collect();
        until("all wait", || monitor.condition.waiting() == 3);
        assert!(acquire(&monitor.lock, None));
        assert_eq!(monitor.notify(usize::MAX), 3);
        release(&monitor.lock);
        assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap()));
        assert!(acquire(&monitor.lock, None));
        assert!(!monitor.wait(soon()));
        release(&monitor.lock);
        assert_eq!(monitor.condition.waiting(), 0);
        assert!(!monitor.lock.is_locked());
    });
}

#[test]
fn stress_every_item_is_taken_once() {
    const ITEMS: u64 = 10_000;
    within_bound(|| {
        let monitor = Arc::new(Monitor::default());
        let taken = Arc::new(AtomicU64::new(0));
        let getters: Vec<_> = (0..3u64)
            .map(|number| {
                let (monitor, taken) = (monitor.clone(), taken.clone());
                thread::spawn(move || {
                    assert!(acquire(&monitor.lock, None));
                    while taken.load(Ordering::Relaxed) < ITEMS {
                        if monitor.items.load(Ordering::Relaxed) == 0 {
                            let impatient = number == 0;
                            let _ = monitor.wait(impatient.then(|| Deadline::after_ns(20_000)));
                            continue;
                        }
                        monitor.items.fetch_sub(1, Ordering::Relaxed);
                        monitor.notify_of(&monitor.room, 1);
                        if taken.fetch_add(1, Ordering::Relaxed) + 1 == ITEMS {
                            monitor.notify(usize::MAX);
                        }
                    }
                    release(&monitor.lock);
                })
            })
            .collect();
        for _ in 0..ITEMS {
            assert!(acquire(&monitor.lock, None));
            while monitor.items.load(Ordering::Relaxed) == 2 {
                assert!(monitor.wait_for(&monitor.room, None));
            }
            monitor.items.fetch_add(1, Ordering::Relaxed);
            monitor.notify(1);
            release(&monitor.lock);
        }
        for getter in getters {
            getter.join().unwrap();
        }
        assert_eq!(taken.load(Ordering::Relaxed), ITEMS);
        assert_eq!(monitor.items.load(Ordering::Relaxed), 0);
        assert!(!monitor.lock.is_locked());
        assert_eq!(monitor.condition.waiting() + monitor.lock.waiting(), 0);
    });
}
