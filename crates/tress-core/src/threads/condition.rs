//! Waiting to be notified. The lock that belongs to a condition is the embedder's; here are its waiters.

use crate::base::sync::{Arc, Mutex};
use crate::base::waiter::{Cancel, Signal, Waiter};
use crate::base::waitlist::{WaitList, Wakes};

/// The waiters of a condition. All calls but [`Condition::waiting`] are made while the condition's lock is held, so a
/// notification cannot fall between the release of that lock and the wait.
#[derive(Debug, Default)]
pub struct Condition {
    waiters: Mutex<Option<Box<WaitList>>>,
}

impl Condition {
    /// Nobody waits.
    pub fn new() -> Self {
        Self { waiters: Mutex::new(None) }
    }

    /// Enrols a wait.
    pub fn enrol(&self) -> Arc<Waiter> {
        let node = Arc::new(Waiter::new());
        self.waiters.lock().get_or_insert_default().push(node.clone());
        node
    }

    /// Notifies the `count` that have waited longest; how many there were.
    pub fn notify(&self, count: usize) -> (usize, Wakes) {
        let mut wakes = Wakes::none();
        let mut notified = 0;
        if let Some(list) = self.waiters.lock().as_mut() {
            while notified < count && list.grant_one(Signal::Handed, &mut wakes) {
                notified += 1;
            }
        }
        (notified, wakes)
    }

    /// Ends a wait that timed out or was interrupted: true when it had been notified meanwhile. Whoever cannot act on that
    /// notification passes it on with [`Condition::notify`].
    #[must_use]
    pub fn cancel(&self, node: &Waiter) -> bool {
        if let Cancel::Granted(_) = node.cancel() {
            return true;
        }
        if let Some(list) = self.waiters.lock().as_mut() {
            list.note_cancelled();
        }
        false
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
