//! A mutual-exclusion lock that knows its owner but lets anybody release it.
//!
//! | LOCKED | WAITERS | meaning                                                  |
//! |--------|---------|----------------------------------------------------------|
//! | 0      | 0       | free                                                     |
//! | 1      | 0       | held, nobody enrolled                                    |
//! | 1      | 1       | held, the list may be non-empty                          |
//! | 0      | 1       | free, one waiter was told to retry, others are enrolled  |
//!
//! A release takes the oldest waiter out of the list and tells it to retry: a thread that comes by may take the lock first,
//! which saves a switch of threads per hand-over. A waiter that has waited for [`FAIR_NS`] is handed the lock itself, so
//! that nobody starves (the policy of parking_lot and of CPython's own `PyMutex`).
//!
//! Only the taker of a lock writes its own name as the owner, be it in [`Lock::settle`], and whoever releases the lock takes
//! the name away before that: so nobody is ever named who does not hold it. A task that takes it has a name, too, but for [`Lock::owner`],
//! which is about threads, nobody holds the lock then: which thread will run the task is not known.
//!
//! FOREIGN is set for good when a thread other than the taker releases the lock: it is then used as a signal, and its owner
//! says nothing about who will release it.

use crate::base::deadline::now_ns;
use crate::base::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::base::sync::{Arc, Mutex};
use crate::base::thread_id::{self, NOBODY, ThreadId};
use crate::base::waiter::{Cancel, Grant, Signal, Waiter, Who};
use crate::base::waitlist::{Node, WaitList, Wakes};

const LOCKED: u32 = 1;
const WAITERS: u32 = 2;
const FOREIGN: u32 = 4;

/// How long a waiter is passed over at most, in nanoseconds.
pub const FAIR_NS: u64 = 1_000_000;

/// One wait for a lock, a semaphore, or a condition that belongs to a lock.
#[derive(Debug)]
pub struct LockWait {
    waiter: Waiter,
    // Written while the wait is in no list but its writer's, under that list's mutex.
    since_ns: AtomicU64,
}

impl Node for LockWait {
    fn waiter(&self) -> &Waiter {
        &self.waiter
    }
}

impl LockWait {
    /// A wait of `who` that began at `since_ns`.
    pub fn new(who: Who<'_>, since_ns: u64) -> Self {
        Self { waiter: Waiter::of(who), since_ns: AtomicU64::new(since_ns) }
    }

    /// When the wait began, on the monotonic clock.
    pub fn since_ns(&self) -> u64 {
        self.since_ns.load(Ordering::Relaxed)
    }

    /// Whether it has been passed over long enough.
    pub(crate) fn is_overdue(&self) -> bool {
        now_ns().saturating_sub(self.since_ns()) >= FAIR_NS
    }
}

/// The lock was released while nobody held it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotLocked;

/// A mutual-exclusion lock; see the module's documentation for its states.
///
/// ```
/// use std::sync::Arc;
/// use tress_core::base::deadline::{Deadline, now_ns};
/// use tress_core::base::waiter::Outcome;
/// use tress_core::base::waitlist::Node;
/// use tress_core::threads::lock::Lock;
///
/// /// Takes the lock; false when the deadline passed first.
/// fn acquire(lock: &Lock, deadline: Option<Deadline>) -> bool {
///     if lock.try_acquire() {
///         return true;
///     }
///     let since_ns = now_ns();
///     let mut again = false;
///     loop {
///         let Some(node) = lock.enrol(since_ns, again) else { return true };
///         match node.waiter().park(deadline) {
///             Outcome::Granted(signal) if lock.settle(signal) => return true,
///             Outcome::Granted(_) => again = true,
///             // Unless it became ours in the last moment.
///             Outcome::TimedOut | Outcome::Interrupted => return lock.cancel(&node),
///         }
///     }
/// }
///
/// let lock = Arc::new(Lock::new());
/// assert!(lock.try_acquire());
/// let other = lock.clone();
/// let waiter = std::thread::spawn(move || {
///     assert!(acquire(&other, None));
///     other.release().unwrap().wake();
/// });
/// assert!(!acquire(&lock, Some(Deadline::after_ns(1_000))), "it is held, by this very thread");
/// lock.release().unwrap().wake();
/// waiter.join().unwrap();
/// ```
#[derive(Debug)]
pub struct Lock {
    state: AtomicU32,
    owner: AtomicU64,
    // Boxed: most locks never see a waiter, and a lock should stay small.
    waiters: Mutex<Option<Box<WaitList<LockWait>>>>,
}

impl Default for Lock {
    fn default() -> Self {
        Self::new()
    }
}

impl Lock {
    /// A free lock.
    pub fn new() -> Self {
        Self { state: AtomicU32::new(0), owner: AtomicU64::new(NOBODY), waiters: Mutex::new(None) }
    }

    /// Takes the lock if it is free.
    #[inline]
    pub fn try_acquire(&self) -> bool {
        self.try_acquire_as(thread_id::current())
    }

    /// [`Lock::try_acquire`], by a holder of that number.
    #[inline]
    pub fn try_acquire_as(&self, holder: ThreadId) -> bool {
        let mut seen = self.state.load(Ordering::Relaxed);
        while seen & LOCKED == 0 {
            match self.state.compare_exchange_weak(seen, seen | LOCKED, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) => {
                    self.owner.store(holder, Ordering::Relaxed);
                    return true;
                }
                Err(now) => seen = now,
            }
        }
        false
    }

    /// Enrols a wait, unless the lock can be taken at once. `None` means that it was taken.
    ///
    /// Once it is granted, [`Lock::settle`] it; when it is not to go on, [`Lock::cancel`] it.
    ///
    /// `since_ns` is when the wait began; a wait that was told to retry before (`again`) is enrolled as the oldest.
    pub fn enrol(&self, since_ns: u64, again: bool) -> Option<Arc<LockWait>> {
        self.enrol_as(Who::Thread, since_ns, again)
    }

    /// [`Lock::enrol`], of `who`.
    pub fn enrol_as(&self, who: Who<'_>, since_ns: u64, again: bool) -> Option<Arc<LockWait>> {
        let mut waiters = self.waiters.lock();
        let mut seen = self.state.load(Ordering::Relaxed);
        loop {
            let target = if seen & LOCKED == 0 { seen | LOCKED } else { seen | WAITERS };
            match self.state.compare_exchange_weak(seen, target, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        if seen & LOCKED == 0 {
            drop(waiters);
            self.owner.store(who.id(), Ordering::Relaxed);
            return None;
        }
        let node = Arc::new(LockWait::new(who, since_ns));
        let list = waiters.get_or_insert_default();
        if again {
            list.push_front(node.clone());
        } else {
            list.push(node.clone());
        }
        Some(node)
    }

    /// Takes over a wait that was for something else, such as a notification, and is for this lock from now on.
    ///
    /// A woken thread would only find the lock held by the one that woke it; so it sleeps on until the lock is released. When
    /// nobody holds the lock, the wait is told to retry at once.
    pub fn adopt(&self, node: Arc<LockWait>, wakes: &mut Wakes<LockWait>) {
        node.since_ns.store(now_ns(), Ordering::Relaxed);
        let mut waiters = self.waiters.lock();
        let mut seen = self.state.load(Ordering::Relaxed);
        while seen & LOCKED != 0 {
            match self.state.compare_exchange_weak(seen, seen | WAITERS, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => {
                    waiters.get_or_insert_default().push(node);
                    return;
                }
                Err(now) => seen = now,
            }
        }
        drop(waiters);
        if node.waiter.grant(Signal::Retry) == Grant::Asleep {
            wakes.push(node);
        }
    }

    /// Follows up a grant: true when the calling thread holds the lock now, because it was handed over or is free; false when
    /// another thread was quicker: enrol `again`.
    #[must_use]
    pub fn settle(&self, signal: Signal) -> bool {
        self.settle_as(thread_id::current(), signal)
    }

    /// [`Lock::settle`], by a holder of that number.
    #[must_use]
    pub fn settle_as(&self, holder: ThreadId, signal: Signal) -> bool {
        if signal == Signal::Handed {
            self.owner.store(holder, Ordering::Relaxed);
            return true;
        }
        self.try_acquire_as(holder)
    }

    /// Ends a wait that timed out or was interrupted.
    ///
    /// True when the caller holds the lock after all, because it was handed over or became free in the last moment. Nothing is
    /// lost either way: a waiter that was told to retry and comes too late leaves a holder behind, whose release wakes the
    /// next.
    #[must_use]
    pub fn cancel(&self, node: &LockWait) -> bool {
        self.cancel_as(thread_id::current(), node)
    }

    /// [`Lock::cancel`], by a holder of that number.
    #[must_use]
    pub fn cancel_as(&self, holder: ThreadId, node: &LockWait) -> bool {
        match node.waiter.cancel() {
            Cancel::Granted(signal) => {
                // The grant comes before the lock is freed. Whoever looked in between would find it held by nobody who is
                // yet to release it, and the next in the list would never be woken; the mutex is held over both.
                let _freed = self.waiters.lock();
                self.settle_as(holder, signal)
            }
            Cancel::Cancelled => {
                if let Some(list) = self.waiters.lock().as_mut() {
                    list.note_cancelled();
                }
                false
            }
        }
    }

    /// Releases the lock, whoever holds it.
    ///
    /// # Errors
    /// [`NotLocked`] when nobody does.
    #[inline]
    pub fn release(&self) -> Result<Wakes<LockWait>, NotLocked> {
        let mut seen = self.state.load(Ordering::Relaxed);
        let owner = self.owner.load(Ordering::Relaxed);
        // A task's name says nothing of a thread, so nothing is known to be wrong about it.
        let foreign = if owner == thread_id::current() || thread_id::is_task(owner) { 0 } else { FOREIGN };
        while seen & LOCKED != 0 {
            if seen & WAITERS != 0 {
                if let Some(wakes) = self.release_to_waiter(foreign)? {
                    return Ok(wakes);
                }
                seen = self.state.load(Ordering::Relaxed);
                continue;
            }
            // Before the lock is free. Should another thread release it first, all that may be lost is the name of the next
            // taker, which is then taken for one whose lock is released by others: so it is.
            self.owner.store(NOBODY, Ordering::Relaxed);
            let target = (seen & !LOCKED) | foreign;
            match self.state.compare_exchange_weak(seen, target, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return Ok(Wakes::none()),
                Err(now) => seen = now,
            }
        }
        Err(NotLocked)
    }

    /// Releases with the list at hand; `None` when another release has emptied it: try without.
    #[cold]
    fn release_to_waiter(&self, foreign: u32) -> Result<Option<Wakes<LockWait>>, NotLocked> {
        let mut waiters = self.waiters.lock();
        let seen = self.state.load(Ordering::Relaxed);
        if seen & LOCKED == 0 {
            return Err(NotLocked);
        }
        if seen & WAITERS == 0 {
            return Ok(None);
        }
        // From here on every other release waits for the mutex, so the lock stays held until `set`.
        self.owner.store(NOBODY, Ordering::Relaxed);
        let mut wakes = Wakes::none();
        let list = waiters.get_or_insert_default();
        while let Some(node) = list.pop() {
            let overdue = node.is_overdue();
            match node.waiter.grant(if overdue { Signal::Handed } else { Signal::Retry }) {
                Grant::Gone => continue,
                Grant::Asleep => wakes.push(node),
                Grant::Awake => {}
            }
            let more = if list.is_empty() { 0 } else { WAITERS };
            // One that retries before this line finds the lock held, enrols, waits for the mutex held here, and gets it.
            self.set(foreign | more, if overdue { WAITERS & !more } else { LOCKED | (WAITERS & !more) });
            return Ok(Some(wakes));
        }
        self.set(foreign, LOCKED | WAITERS);
        Ok(Some(wakes))
    }

    /// Sets and clears bits of the state in one step.
    fn set(&self, set: u32, clear: u32) {
        let mut seen = self.state.load(Ordering::Relaxed);
        while let Err(now) = self.state.compare_exchange_weak(
            seen,
            (seen & !clear) | set,
            Ordering::Release,
            Ordering::Relaxed,
        ) {
            seen = now;
        }
    }

    /// Whether anybody holds it.
    #[inline]
    pub fn is_locked(&self) -> bool {
        self.state.load(Ordering::Relaxed) & LOCKED != 0
    }

    /// The thread that holds it, where that tells who will release it: [`NOBODY`] when it is free, is held by a task, or was ever
    /// released by another thread than its taker.
    pub fn owner(&self) -> ThreadId {
        if self.state.load(Ordering::Relaxed) & FOREIGN != 0 {
            return NOBODY;
        }
        let owner = self.owner.load(Ordering::Relaxed);
        if thread_id::is_task(owner) { NOBODY } else { owner }
    }

    /// The thread, or the task, that took it last and has not released it, whatever it is used for.
    #[inline]
    pub fn taker(&self) -> ThreadId {
        self.owner.load(Ordering::Relaxed)
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiters.lock().as_ref().map_or(0, |list| list.len())
    }

    /// Forgets owner and waiters: for the child of a fork, where none of them exist.
    pub fn reset_after_fork(&self) {
        *self.waiters.lock() = None;
        self.owner.store(NOBODY, Ordering::Relaxed);
        self.state.store(0, Ordering::Relaxed);
    }
}

#[cfg(not(loom))]
impl crate::base::waits::Owned for Lock {
    fn owner(&self) -> ThreadId {
        Lock::owner(self)
    }
}
