//! Waiting to be notified.
//!
//! A condition belongs to a lock, which is held by whoever notifies. Where that lock is a [`Lock`], a notified wait is not
//! woken but moved to the lock's own list ([`Lock::adopt`]): its thread sleeps on until the lock is released, and wakes once
//! instead of twice. For any other lock the embedder's thread is woken, and takes the lock as it can.

use crate::base::deadline::now_ns;
use crate::base::sync::atomic::{AtomicBool, Ordering};
use crate::base::sync::{Arc, Mutex};
use crate::base::thread_id::{self, ThreadId};
use crate::base::waiter::{Cancel, Grant, Signal, Waiter, Who};
use crate::base::waitlist::{Node, WaitList, Wakes};

use super::lock::{Lock, LockWait};

/// One wait for a notification.
#[derive(Debug)]
pub struct ConditionWait {
    wait: Arc<LockWait>,
    // Set under the condition's mutex when the wait leaves its list.
    notified: AtomicBool,
}

impl Node for ConditionWait {
    fn waiter(&self) -> &Waiter {
        self.wait.waiter()
    }
}

/// How a wait ended that its thread gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct GaveUp {
    /// It had been notified before. Whoever cannot act on that passes it on with [`Condition::notify`].
    pub notified: bool,
    /// The lock was handed to it: the caller owns it.
    pub owns_lock: bool,
}

/// The waiters of a condition. All calls but [`Condition::waiting`] and [`Condition::give_up`] are made while the condition's
/// lock is held, so a notification cannot fall between the release of that lock and the wait.
///
/// ```
/// use tress_core::base::waiter::Outcome;
/// use tress_core::base::waitlist::Node;
/// use tress_core::threads::condition::Condition;
/// use tress_core::threads::lock::Lock;
///
/// fn acquire(lock: &Lock) {
///     // The loop that waits for it is shown there.
///     while !lock.try_acquire() {
///         std::thread::yield_now();
///     }
/// }
///
/// let (lock, condition) = (Lock::new(), Condition::new());
/// acquire(&lock);
/// // Before the lock is released, so that no notification comes in between.
/// let node = condition.enrol();
/// lock.release().unwrap().wake();
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         acquire(&lock);
///         let (notified, wakes) = condition.notify(1, Some(&lock));
///         assert_eq!(notified, 1);
///         wakes.wake();
///         lock.release().unwrap().wake();
///     });
///     let owned = match node.waiter().park(None) {
///         Outcome::Granted(signal) => lock.settle(signal),
///         _ => condition.give_up(&node, Some(&lock)).owns_lock,
///     };
///     if !owned {
///         acquire(&lock);
///     }
/// });
/// lock.release().unwrap().wake();
/// ```
#[derive(Debug, Default)]
pub struct Condition {
    waiters: Mutex<Option<Box<WaitList<ConditionWait>>>>,
}

impl Condition {
    /// Nobody waits.
    pub fn new() -> Self {
        Self { waiters: Mutex::new(None) }
    }

    /// Enrols a wait.
    pub fn enrol(&self) -> Arc<ConditionWait> {
        self.enrol_as(Who::Thread)
    }

    /// [`Condition::enrol`], of `who`.
    pub fn enrol_as(&self, who: Who<'_>) -> Arc<ConditionWait> {
        let wait = Arc::new(LockWait::new(who, now_ns()));
        let node = Arc::new(ConditionWait { wait, notified: AtomicBool::new(false) });
        self.waiters.lock().get_or_insert_default().push(node.clone());
        node
    }

    /// Notifies the `count` that have waited longest; how many there were. `lock` is the condition's own, where it has one
    /// of ours: what it is handed on to then ends [`Signal::Handed`] or [`Signal::Retry`] as any wait for that lock.
    pub fn notify(&self, count: usize, lock: Option<&Lock>) -> (usize, Wakes<LockWait>) {
        let mut wakes = Wakes::none();
        let mut notified = 0;
        if let Some(list) = self.waiters.lock().as_mut() {
            while notified < count {
                let Some(node) = list.pop_waiting() else { break };
                node.notified.store(true, Ordering::Relaxed);
                match lock {
                    Some(lock) => lock.adopt(node.wait.clone(), &mut wakes),
                    None => match node.waiter().grant(Signal::Handed) {
                        Grant::Gone => continue,
                        Grant::Asleep => wakes.push(node.wait.clone()),
                        Grant::Awake => {}
                    },
                }
                notified += 1;
            }
        }
        (notified, wakes)
    }

    /// Ends a wait that timed out or was interrupted; `lock` as in [`Condition::notify`].
    pub fn give_up(&self, node: &ConditionWait, lock: Option<&Lock>) -> GaveUp {
        self.give_up_as(thread_id::current(), node, lock)
    }

    /// [`Condition::give_up`], by one who holds the lock under that number.
    pub fn give_up_as(&self, holder: ThreadId, node: &ConditionWait, lock: Option<&Lock>) -> GaveUp {
        let mut waiters = self.waiters.lock();
        if !node.notified.load(Ordering::Relaxed) {
            if node.waiter().cancel() == Cancel::Cancelled {
                if let Some(list) = waiters.as_mut() {
                    list.note_cancelled();
                }
            }
            return GaveUp { notified: false, owns_lock: false };
        }
        drop(waiters);
        GaveUp { notified: true, owns_lock: lock.is_some_and(|lock| lock.cancel_as(holder, &node.wait)) }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiters.lock().as_ref().map_or(0, |list| list.len())
    }

    /// Forgets the waiters: for the child of a fork.
    pub fn reset_after_fork(&self) {
        *self.waiters.lock() = None;
    }
}
