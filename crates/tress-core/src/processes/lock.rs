//! A lock between processes that knows who holds it, and does not outlive its holder.
//!
//! | word | means |
//! |---|---|
//! | 0 | free |
//! | holder, shifted by one | held, by the process of that number |
//! | the same, and 1 | held, and somebody may be asleep for it |
//!
//! * Taking a free lock and naming its holder are one compare-and-swap, and so is taking it over from a holder that has ended:
//!   there is no moment at which a process could be killed and leave the lock without a holder's name, or with two.
//! * Any process may release it. Who releases it wakes one sleeper, and leaves the word at 0; a sleeper that takes the lock
//!   puts the 1 back, as there may be others.
//! * A sleeper that is killed after it was woken takes its wake-up with it, and a holder that is killed wakes nobody. The
//!   others find out at the end of the moment for which they sleep ([`Patience`]).

use std::io;

use super::identity::{self, ProcessId, Watch};
use super::patience::Patience;
use super::slots::Slot;
use super::word::Slept;
use crate::base::deadline::Deadline;
use crate::base::sync::atomic::{AtomicU64, Ordering};

const WORD: usize = 0;
const NAMESPACES: usize = 8;

const FREE: u64 = 0;
const WAITED_FOR: u64 = 1;

/// How a lock or a permit was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Taken {
    /// From nobody.
    Free,
    /// From a process that ended while it held it: what it protects may be half-changed.
    FromDead(ProcessId),
}

/// A release of what nobody holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

/// A lock in shared memory.
///
/// ```
/// use tress_core::processes::lock::{Lock, TooMany};
///
/// let lock = Lock::new(false).unwrap();
/// assert!(lock.try_acquire() && !lock.try_acquire());
/// assert_eq!(lock.holder().unwrap().pid(), Some(std::process::id()));
/// lock.release().unwrap();
/// assert_eq!(lock.release(), Err(TooMany));
/// ```
#[derive(Debug)]
pub struct Lock {
    slot: Slot,
}

impl Lock {
    /// A new one: free, or held by nobody in particular.
    ///
    /// # Errors
    /// The kernel's: no memory or no file descriptor left.
    pub fn new(is_held: bool) -> io::Result<Self> {
        let lock = Self::make_in(Slot::new()?);
        if is_held {
            lock.word().store(held_by(ProcessId::UNKNOWN), Ordering::Relaxed);
        }
        Ok(lock)
    }

    /// A new one, free, in a slot that is all zero and nobody else's yet.
    pub fn make_in(slot: Slot) -> Self {
        slot.word(NAMESPACES).store(identity::namespaces(), Ordering::Relaxed);
        Self { slot }
    }

    /// The lock in `slot`, where another process or object made it.
    pub fn of(slot: Slot) -> Self {
        Self { slot }
    }

    /// Where it is.
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    #[inline]
    fn word(&self) -> &AtomicU64 {
        self.slot.double_word(WORD)
    }

    fn namespaces(&self) -> u32 {
        self.slot.word(NAMESPACES).load(Ordering::Relaxed)
    }

    #[inline]
    fn take(&self, from: u64, marks: u64) -> bool {
        let ours = held_by(identity::current_in(self.namespaces())) | marks;
        self.word().compare_exchange(from, ours, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Takes it if it is free.
    #[inline]
    #[must_use]
    pub fn try_acquire(&self) -> bool {
        self.take(FREE, 0)
    }

    /// Takes it if its holder has ended, which costs a few system calls to find out; who that was.
    #[must_use]
    pub fn try_take_over(&self) -> Option<ProcessId> {
        self.take_over(&mut Watch::default())
    }

    #[cold]
    pub(super) fn take_over(&self, watch: &mut Watch) -> Option<ProcessId> {
        let word = self.word().load(Ordering::Relaxed);
        let holder = holder_of(word)?;
        let is_named_here = identity::current_in(self.namespaces()) != ProcessId::UNKNOWN;
        (is_named_here && watch.has_ended(holder) && self.take(word, word & WAITED_FOR)).then_some(holder)
    }

    /// Takes it, or sleeps for a moment at most, and not beyond `until`. To be called again after [`Slept::Woken`].
    ///
    /// # Errors
    /// How the sleep ended. Nothing is taken then, and nothing is lost.
    pub fn attempt(&self, patience: &mut Patience, until: Option<Deadline>) -> Result<Taken, Slept> {
        let word = self.word();
        patience.look(|| word.load(Ordering::Relaxed) == FREE);
        let marks = if patience.has_slept() { WAITED_FOR } else { 0 };
        let found = word.load(Ordering::Relaxed);
        if found == FREE {
            return if self.take(FREE, marks) { Ok(Taken::Free) } else { Err(Slept::Woken) };
        }
        let marked = found | WAITED_FOR;
        if found != marked
            && word.compare_exchange(found, marked, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return Err(Slept::Woken);
        }
        let nap = patience.nap(&self.slot, WORD, marked as u32, until);
        match nap.is_over().then(|| self.take_over(&mut patience.watch)).flatten() {
            Some(dead) => Ok(Taken::FromDead(dead)),
            None => Err(nap.into()),
        }
    }

    /// Releases it, whoever holds it.
    ///
    /// # Errors
    /// [`TooMany`] if nobody does.
    #[inline]
    pub fn release(&self) -> Result<(), TooMany> {
        let word = self.word().swap(FREE, Ordering::Release);
        if word & WAITED_FOR != 0 {
            self.slot.wake(WORD, 1);
        }
        if word == FREE { Err(TooMany) } else { Ok(()) }
    }

    /// Whether anybody holds it.
    pub fn is_held(&self) -> bool {
        self.word().load(Ordering::Relaxed) != FREE
    }

    /// Who holds it, dead or alive.
    pub fn holder(&self) -> Option<ProcessId> {
        holder_of(self.word().load(Ordering::Relaxed))
    }
}

#[inline]
const fn held_by(holder: ProcessId) -> u64 {
    holder.bits() << 1
}

const fn holder_of(word: u64) -> Option<ProcessId> {
    ProcessId::from_bits(word >> 1)
}
