//! A flag that threads and tasks wait for.

use crate::base::sync::atomic::{AtomicU32, Ordering};
use crate::base::sync::{Arc, Mutex};
use crate::base::waiter::{Cancel, Signal, Waiter, Who};
use crate::base::waitlist::{WaitList, Wakes};

const SET: u32 = 1;
const WAITERS: u32 = 2;

/// Set or clear. [`Event::set`] ends every wait that is enrolled, even if the event is cleared right after.
///
/// ```
/// use std::sync::Arc;
/// use tress_core::base::deadline::Deadline;
/// use tress_core::base::waiter::Outcome;
/// use tress_core::threads::event::Event;
///
/// /// Waits for the event; false when the deadline passed first.
/// fn wait(event: &Event, deadline: Option<Deadline>) -> bool {
///     let Some(node) = event.enrol() else { return true };
///     matches!(node.park(deadline), Outcome::Granted(_)) || event.cancel(&node)
/// }
///
/// let event = Arc::new(Event::new());
/// assert!(!wait(&event, Some(Deadline::after_ns(1_000))));
/// let other = event.clone();
/// let waiter = std::thread::spawn(move || wait(&other, None));
/// event.set().wake();
/// assert!(waiter.join().unwrap());
/// ```
#[derive(Debug, Default)]
pub struct Event {
    state: AtomicU32,
    waiters: Mutex<Option<Box<WaitList>>>,
}

impl Event {
    /// A clear event.
    pub fn new() -> Self {
        Self { state: AtomicU32::new(0), waiters: Mutex::new(None) }
    }

    /// Whether it is set.
    #[inline]
    pub fn is_set(&self) -> bool {
        self.state.load(Ordering::Acquire) & SET != 0
    }

    /// Sets it.
    #[inline]
    pub fn set(&self) -> Wakes {
        let mut seen = self.state.load(Ordering::Relaxed);
        while seen & WAITERS == 0 {
            // Stored even if it was set: what this thread wrote before is to be seen by whoever sees the event set.
            match self.state.compare_exchange_weak(seen, seen | SET, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Wakes::none(),
                Err(now) => seen = now,
            }
        }
        self.set_and_grant()
    }

    #[cold]
    fn set_and_grant(&self) -> Wakes {
        let mut wakes = Wakes::none();
        let mut waiters = self.waiters.lock();
        // Under the mutex: a wait that begins after a `clear` that follows this is not yet in the list, nor ended by it.
        self.state.fetch_or(SET, Ordering::AcqRel);
        if let Some(list) = waiters.as_mut() {
            list.grant_all(Signal::Handed, &mut wakes);
        }
        self.state.fetch_and(!WAITERS, Ordering::Relaxed);
        wakes
    }

    /// Clears it.
    #[inline]
    pub fn clear(&self) {
        self.state.fetch_and(!SET, Ordering::AcqRel);
    }

    /// Enrols a wait, unless the event is set: `None` then.
    pub fn enrol(&self) -> Option<Arc<Waiter>> {
        self.enrol_as(Who::Thread)
    }

    /// [`Event::enrol`], of `who`.
    pub fn enrol_as(&self, who: Who<'_>) -> Option<Arc<Waiter>> {
        let mut waiters = self.waiters.lock();
        let mut seen = self.state.load(Ordering::Acquire);
        loop {
            if seen & SET != 0 {
                return None;
            }
            match self.state.compare_exchange_weak(seen, seen | WAITERS, Ordering::Relaxed, Ordering::Acquire)
            {
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        let node = Arc::new(Waiter::of(who));
        waiters.get_or_insert_default().push(node.clone());
        Some(node)
    }

    /// Ends a wait that timed out or was interrupted: true when the event had been set meanwhile.
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

    /// Forgets waiters and keeps the flag: for the child of a fork.
    pub fn reset_after_fork(&self) {
        *self.waiters.lock() = None;
        self.state.fetch_and(SET, Ordering::Relaxed);
    }
}
