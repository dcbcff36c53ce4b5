//! A counter that waits at zero.
//!
//! The state is one word: the value, and a bit that says whether the list of waiters may be non-empty. Like [`Lock`], a
//! release tells the oldest waiter to retry, and hands the permit itself to one that has waited for
//! [`FAIR_NS`](super::lock::FAIR_NS).
//!
//! [`Lock`]: super::lock::Lock

use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::base::sync::{Arc, Mutex};
use crate::base::waiter::{Cancel, Grant, Signal, Who};
use crate::base::waitlist::{Node, WaitList, Wakes};

use super::lock::LockWait;

const WAITERS: u64 = 1;
const CLOSED: u64 = 2;
const ONE: u64 = 4;
const FLAGS: u64 = WAITERS | CLOSED;

/// The largest number of permits: the flags take two bits, and the sum of two such numbers must not wrap round.
pub const MOST: u64 = u64::MAX >> 3;

/// A release would have raised the value above the bound, or above [`MOST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AboveBound;

/// What became of an attempt to take a permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Take {
    /// The permit was taken.
    Taken,
    /// There is none now.
    Empty,
    /// There is none and there will be none: the semaphore was closed.
    Closed,
}

/// What became of an attempt to enrol.
#[derive(Debug)]
#[must_use]
pub enum Enrol {
    /// The permit was taken after all.
    Taken,
    /// Closed and empty.
    Closed,
    /// Enrolled: park, then retry or cancel.
    Waiting(Arc<LockWait>),
}

/// See the module's documentation.
///
/// ```
/// use std::sync::Arc;
/// use tress_core::base::deadline::{Deadline, now_ns};
/// use tress_core::base::waiter::{Outcome, Signal};
/// use tress_core::base::waitlist::Node;
/// use tress_core::threads::semaphore::{Enrol, Semaphore, Take};
///
/// /// Takes a permit; Empty when the deadline passed first.
/// fn take(semaphore: &Semaphore, deadline: Option<Deadline>) -> Take {
///     let since_ns = now_ns();
///     let mut again = false;
///     loop {
///         let node = match semaphore.enrol(since_ns, again) {
///             Enrol::Taken => return Take::Taken,
///             Enrol::Closed => return Take::Closed,
///             Enrol::Waiting(node) => node,
///         };
///         match node.waiter().park(deadline) {
///             Outcome::Granted(Signal::Handed) => return Take::Taken,
///             Outcome::Granted(_) => match semaphore.try_acquire() {
///                 Take::Empty => again = true,
///                 settled => return settled,
///             },
///             _ if semaphore.cancel(&node) => return Take::Taken,
///             _ => return Take::Empty,
///         }
///     }
/// }
///
/// let semaphore = Arc::new(Semaphore::new(0));
/// assert_eq!(take(&semaphore, Some(Deadline::after_ns(1_000))), Take::Empty);
/// let other = semaphore.clone();
/// let waiter = std::thread::spawn(move || take(&other, None));
/// semaphore.release(1, Some(1)).unwrap().wake();
/// assert_eq!(waiter.join().unwrap(), Take::Taken);
/// semaphore.close().wake();
/// assert_eq!(take(&semaphore, None), Take::Closed);
/// ```
#[derive(Debug)]
pub struct Semaphore {
    state: AtomicU64,
    waiters: Mutex<Option<Box<WaitList<LockWait>>>>,
}

impl Semaphore {
    /// A semaphore with `value` permits.
    ///
    /// # Panics
    /// If that is more than [`MOST`].
    pub fn new(value: u64) -> Self {
        assert!(value <= MOST, "a semaphore holds at most {MOST} permits, not {value}");
        Self { state: AtomicU64::new(value * ONE), waiters: Mutex::new(None) }
    }

    /// Permits to be had.
    #[inline]
    pub fn value(&self) -> u64 {
        self.state.load(Ordering::Relaxed) / ONE
    }

    /// Sets the number of permits, whatever it was; wakes nobody. For an embedder that lets its user do so.
    ///
    /// # Panics
    /// If that is more than [`MOST`].
    pub fn set_value(&self, value: u64) {
        assert!(value <= MOST, "a semaphore holds at most {MOST} permits, not {value}");
        let mut seen = self.state.load(Ordering::Relaxed);
        while let Err(now) = self.state.compare_exchange_weak(
            seen,
            (value * ONE) | (seen & FLAGS),
            Ordering::Relaxed,
            Ordering::Relaxed,
        ) {
            seen = now;
        }
    }

    /// Takes a permit if there is one.
    #[inline]
    pub fn try_acquire(&self) -> Take {
        let mut seen = self.state.load(Ordering::Relaxed);
        while seen >= ONE {
            match self.state.compare_exchange_weak(seen, seen - ONE, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Take::Taken,
                Err(now) => seen = now,
            }
        }
        if seen & CLOSED == 0 { Take::Empty } else { Take::Closed }
    }

    /// Enrols a wait that began at `since_ns`; `again` as in [`Lock::enrol`](super::lock::Lock::enrol).
    pub fn enrol(&self, since_ns: u64, again: bool) -> Enrol {
        self.enrol_as(Who::Thread, since_ns, again)
    }

    /// [`Semaphore::enrol`], of `who`.
    pub fn enrol_as(&self, who: Who<'_>, since_ns: u64, again: bool) -> Enrol {
        let mut waiters = self.waiters.lock();
        let mut seen = self.state.load(Ordering::Relaxed);
        loop {
            let target = if seen >= ONE {
                seen - ONE
            } else if seen & CLOSED != 0 {
                return Enrol::Closed;
            } else {
                seen | WAITERS
            };
            match self.state.compare_exchange_weak(seen, target, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) if seen >= ONE => return Enrol::Taken,
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        let node = Arc::new(LockWait::new(who, since_ns));
        let list = waiters.get_or_insert_default();
        if again {
            list.push_front(node.clone());
        } else {
            list.push(node.clone());
        }
        Enrol::Waiting(node)
    }

    /// Ends a wait that timed out or was interrupted: true when the caller has a permit after all.
    #[must_use]
    pub fn cancel(&self, node: &LockWait) -> bool {
        match node.waiter().cancel() {
            Cancel::Granted(Signal::Handed) => true,
            Cancel::Granted(Signal::Retry) => {
                // The grant comes before the permit is there. Whoever looked in between would leave a permit that nobody is
                // told of; the mutex is held over both.
                let _given = self.waiters.lock();
                self.try_acquire() == Take::Taken
            }
            Cancel::Granted(_) => false,
            Cancel::Cancelled => {
                if let Some(list) = self.waiters.lock().as_mut() {
                    list.note_cancelled();
                }
                false
            }
        }
    }

    /// Gives `count` permits, at most [`MOST`], as long as the value stays within `bound`; without one, within [`MOST`].
    ///
    /// # Errors
    /// [`AboveBound`]; nothing was given then.
    #[inline]
    pub fn release(&self, count: u64, bound: Option<u64>) -> Result<Wakes<LockWait>, AboveBound> {
        let bound = bound.unwrap_or(MOST).min(MOST);
        let mut seen = self.state.load(Ordering::Relaxed);
        loop {
            if above(seen, count, bound) {
                return Err(AboveBound);
            }
            if seen & WAITERS != 0 {
                if let Some(wakes) = self.release_to_waiters(count, bound)? {
                    return Ok(wakes);
                }
                seen = self.state.load(Ordering::Relaxed);
                continue;
            }
            match self.state.compare_exchange_weak(
                seen,
                seen + count * ONE,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(Wakes::none()),
                Err(now) => seen = now,
            }
        }
    }

    /// Releases with the list at hand; `None` when another release has emptied it: try without.
    #[cold]
    fn release_to_waiters(&self, count: u64, bound: u64) -> Result<Option<Wakes<LockWait>>, AboveBound> {
        let mut wakes = Wakes::none();
        let mut waiters = self.waiters.lock();
        let seen = self.state.load(Ordering::Relaxed);
        if seen & WAITERS == 0 {
            return Ok(None);
        }
        // From here on every other release waits for the mutex, so the value can only fall.
        if above(seen, count, bound) {
            return Err(AboveBound);
        }
        let list = waiters.get_or_insert_default();
        let mut handed = 0;
        let mut told = 0;
        while told + handed < count {
            let Some(node) = list.pop() else { break };
            let overdue = node.is_overdue();
            match node.waiter().grant(if overdue { Signal::Handed } else { Signal::Retry }) {
                Grant::Gone => continue,
                Grant::Asleep => wakes.push(node),
                Grant::Awake => {}
            }
            if overdue { handed += 1 } else { told += 1 }
        }
        // One that retries before this line finds nothing, enrols, and waits for the mutex held here.
        let empty = if list.is_empty() { WAITERS } else { 0 };
        let mut seen = self.state.load(Ordering::Relaxed);
        while let Err(now) = self.state.compare_exchange_weak(
            seen,
            (seen + (count - handed) * ONE) & !empty,
            Ordering::Release,
            Ordering::Relaxed,
        ) {
            seen = now;
        }
        Ok(Some(wakes))
    }

    /// Ends every wait, now and later: permits that are left can still be taken.
    pub fn close(&self) -> Wakes<LockWait> {
        let mut wakes = Wakes::none();
        let mut waiters = self.waiters.lock();
        self.state.fetch_or(CLOSED, Ordering::Release);
        if let Some(list) = waiters.as_mut() {
            list.grant_all(Signal::Closed, &mut wakes);
        }
        self.state.fetch_and(!WAITERS, Ordering::Relaxed);
        wakes
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiters.lock().as_ref().map_or(0, |list| list.len())
    }
}

/// Whether `count` more permits than in `state` would be more than `bound`.
fn above(state: u64, count: u64, bound: u64) -> bool {
    (state / ONE).checked_add(count).is_none_or(|value| value > bound)
}
