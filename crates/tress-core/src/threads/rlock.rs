//! A lock that its owner may take again.

use crate::base::sync::Arc;
use crate::base::sync::atomic::{AtomicUsize, Ordering};
use crate::base::thread_id::{self, ThreadId};
use crate::base::waitlist::Wakes;

use super::lock::{Lock, LockWait};

/// The lock was released by a thread, or a task, that does not own it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOwner;

/// A [`Lock`] with a count of how often its owner holds it. Only the owner touches the count.
///
/// It waits as its lock does (see [`Lock`]); whoever has got that notes it with [`RLock::taken`].
///
/// ```
/// use tress_core::threads::rlock::{NotOwner, RLock};
///
/// let lock = RLock::new();
/// assert!(lock.try_acquire() && lock.try_acquire());
/// assert_eq!(lock.count(), 2);
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         assert!(!lock.try_acquire());
///         assert_eq!(lock.release().unwrap_err(), NotOwner);
///     });
/// });
/// // Altogether, as a condition does for a wait, and back.
/// let (count, wakes) = lock.release_all().unwrap();
/// wakes.wake();
/// assert!(lock.enrol(0, false).is_none(), "it was free, so it was taken");
/// lock.taken(count);
/// lock.release().unwrap().wake();
/// lock.release().unwrap().wake();
/// assert!(!lock.is_locked());
/// ```
#[derive(Debug, Default)]
pub struct RLock {
    lock: Lock,
    count: AtomicUsize,
}

impl RLock {
    /// A free lock.
    pub fn new() -> Self {
        Self { lock: Lock::new(), count: AtomicUsize::new(0) }
    }

    /// The lock below, to wait for: enrol, cancel, then [`RLock::taken`].
    pub fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Takes the lock if it is free or the calling thread's own.
    #[inline]
    pub fn try_acquire(&self) -> bool {
        self.try_acquire_as(thread_id::current())
    }

    /// [`RLock::try_acquire`], by an owner of that number.
    #[inline]
    pub fn try_acquire_as(&self, owner: ThreadId) -> bool {
        if self.is_owned_by(owner) {
            self.count.store(self.count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            return true;
        }
        if self.lock.try_acquire_as(owner) {
            self.taken(1);
            return true;
        }
        false
    }

    /// Notes that the calling thread, or the task that it runs, has just taken the lock below.
    pub fn taken(&self, count: usize) {
        self.count.store(count, Ordering::Relaxed);
    }

    /// Enrols a wait; see [`Lock::enrol`].
    pub fn enrol(&self, since_ns: u64, again: bool) -> Option<Arc<LockWait>> {
        self.lock.enrol(since_ns, again)
    }

    /// Releases it once.
    ///
    /// # Errors
    /// [`NotOwner`] when the calling thread does not own it.
    #[inline]
    pub fn release(&self) -> Result<Wakes<LockWait>, NotOwner> {
        self.release_as(thread_id::current())
    }

    /// [`RLock::release`], by an owner of that number.
    ///
    /// # Errors
    /// [`NotOwner`].
    #[inline]
    pub fn release_as(&self, owner: ThreadId) -> Result<Wakes<LockWait>, NotOwner> {
        if !self.is_owned_by(owner) {
            return Err(NotOwner);
        }
        let count = self.count.load(Ordering::Relaxed);
        self.count.store(count - 1, Ordering::Relaxed);
        if count > 1 {
            return Ok(Wakes::none());
        }
        self.lock.release().map_err(|_| NotOwner)
    }

    /// Releases it as often as it is held; returns how often that was.
    ///
    /// # Errors
    /// [`NotOwner`] when the calling thread does not own it.
    pub fn release_all(&self) -> Result<(usize, Wakes<LockWait>), NotOwner> {
        self.release_all_as(thread_id::current())
    }

    /// [`RLock::release_all`], by an owner of that number.
    ///
    /// # Errors
    /// [`NotOwner`].
    pub fn release_all_as(&self, owner: ThreadId) -> Result<(usize, Wakes<LockWait>), NotOwner> {
        if !self.is_owned_by(owner) {
            return Err(NotOwner);
        }
        let count = self.count.swap(0, Ordering::Relaxed);
        self.lock.release().map(|wakes| (count, wakes)).map_err(|_| NotOwner)
    }

    /// Whether the calling thread owns it.
    #[inline]
    pub fn is_owned(&self) -> bool {
        self.is_owned_by(thread_id::current())
    }

    /// Whether an owner of that number owns it.
    #[inline]
    pub fn is_owned_by(&self, owner: ThreadId) -> bool {
        self.lock.taker() == owner && self.lock.is_locked()
    }

    /// Whether anybody owns it.
    #[inline]
    pub fn is_locked(&self) -> bool {
        self.lock.is_locked()
    }

    /// Who owns it.
    pub fn owner(&self) -> ThreadId {
        self.lock.taker()
    }

    /// How often its owner holds it.
    pub fn count(&self) -> usize {
        if self.lock.is_locked() { self.count.load(Ordering::Relaxed) } else { 0 }
    }

    /// Forgets owner and waiters: for the child of a fork.
    pub fn reset_after_fork(&self) {
        self.count.store(0, Ordering::Relaxed);
        self.lock.reset_after_fork();
    }
}
