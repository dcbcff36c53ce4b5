//! A counter of permits between processes, whose permits come back when their holder ends.
//!
//! | bits of the word | |
//! |---|---|
//! | 0 | somebody may be asleep for it |
//! | 1..32 | how many permits there are |
//! | 32..64 | the change of the table of holders that belongs to the last change of the word (`Change`) |
//! | 43 | permits travel: the table means nothing |
//!
//! The contract:
//! * A permit taken is noted for the process that took it, and one given back is struck off for the process that gave it, in
//!   the same step (see the table's own contract).
//! * A permit that is given by a process which holds none *travels*: the semaphore is a signal, or counts what passes from
//!   one process to another, and nobody's end gives anything back. So the first such release ends the noting for ever, and a
//!   semaphore that begins without permits, the first of which must come from somewhere, begins that way.
//! * Who waits looks at the end of each moment of sleep whether a holder has ended, and puts its permits back by one
//!   compare-and-swap.
//! * If it turns out later that such a permit was to travel, as its release comes after all, then a semaphore
//!   with a bound has one too many: as many releases beyond the bound as permits were put back do nothing instead of failing.
//!
//! The limits: a table has room for as many holders at a time as there are permits, and 61 at most; a holder that finds no
//! room, or has more than 1023 permits, is not noted, and with its first release the noting ends.

use std::io;

use super::identity::{self, ProcessId, Watch};
use super::lock::{Taken, TooMany};
use super::patience::Patience;
use super::slots::{LONGEST, SLOT, Slot};
use super::table::{BEGIN, Change, Found, Table, slots_for};
use super::word::Slept;
use crate::base::deadline::Deadline;
use crate::base::sync::atomic::{AtomicU64, Ordering};

const WORD: usize = 0;
const BOUND: usize = 8;
const NAMESPACES: usize = 12;
const FORGIVEN: usize = 16;

const WAITED_FOR: u64 = 1;
const ONE: u64 = 1 << 1;
const TRAVEL: u64 = 1 << 43;
const LOW: u64 = 0xffff_ffff;

/// The most permits that a semaphore can have.
pub const MOST: u32 = i32::MAX as u32;

/// A semaphore in shared memory.
///
/// ```
/// use tress_core::processes::semaphore::Semaphore;
///
/// let semaphore = Semaphore::new(2, 2).unwrap();
/// assert!(semaphore.try_acquire() && semaphore.try_acquire() && !semaphore.try_acquire());
/// assert_eq!((semaphore.value(), semaphore.held_here()), (0, 2));
/// semaphore.release().unwrap();
/// semaphore.release().unwrap();
/// assert!(semaphore.release().is_err(), "one more than its bound");
/// ```
#[derive(Debug)]
pub struct Semaphore {
    slot: Slot,
}

impl Semaphore {
    /// A new one with `value` permits, to which releases can add up to `bound`.
    ///
    /// # Errors
    /// The kernel's: no memory or no file descriptor left.
    ///
    /// # Panics
    /// If either is more than [`MOST`].
    pub fn new(value: u32, bound: u32) -> io::Result<Self> {
        assert!(value <= MOST && bound <= MOST, "a semaphore has 31 bits");
        let entries = (value as usize).clamp(1, (LONGEST * SLOT - BEGIN) / 8);
        let slot = Slot::new_run(slots_for(entries))?;
        let travel = if value == 0 { TRAVEL } else { 0 };
        slot.word(BOUND).store(bound, Ordering::Relaxed);
        slot.word(NAMESPACES).store(identity::namespaces(), Ordering::Relaxed);
        slot.double_word(WORD).store(u64::from(value) << 1 | travel, Ordering::Release);
        Ok(Self { slot })
    }

    /// The semaphore in `slot`, where another process or object made it.
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

    #[inline]
    fn bound(&self) -> u64 {
        u64::from(self.slot.word(BOUND).load(Ordering::Relaxed))
    }

    #[inline]
    fn this_process(&self) -> ProcessId {
        identity::current_in(self.slot.word(NAMESPACES).load(Ordering::Relaxed))
    }

    /// Whether permits are noted for those who hold them.
    fn is_noted(&self, word: u64) -> bool {
        word & TRAVEL == 0 && self.this_process() != ProcessId::UNKNOWN
    }

    /// Makes the table agree with the word, where it may not yet.
    #[inline]
    fn settle(&self, word: u64) {
        let change = Change::from_bits((word >> 32) as u32);
        if change != Change::NONE {
            Table::of(&self.slot).settle(change, || self.word().load(Ordering::Acquire) == word);
        }
    }

    /// The word, with a table that agrees with it.
    #[inline]
    fn settled(&self) -> u64 {
        let word = self.word().load(Ordering::Acquire);
        self.settle(word);
        word
    }

    /// Changes the word from `from` and the table with it; whether nobody else came first.
    #[inline]
    fn swap(&self, from: u64, low: u64, change: Change, travel: u64) -> bool {
        let to = low & LOW | u64::from(change.bits()) << 32 | from & TRAVEL | travel;
        let swap = self.word().compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed);
        if swap.is_ok() && !identity::is_killed_here() {
            self.settle(to);
        }
        swap.is_ok()
    }

    /// Takes a permit if there is one.
    #[inline]
    #[must_use]
    pub fn try_acquire(&self) -> bool {
        self.take(0)
    }

    #[inline]
    fn take(&self, marks: u64) -> bool {
        loop {
            let word = self.settled();
            if permits(word) == 0 {
                return false;
            }
            let mut change = Change::NONE;
            if self.is_noted(word) {
                match Table::of(&self.slot).to_take(self.this_process()) {
                    Found::Change(noting) => change = noting,
                    Found::Nothing => {}
                    Found::Again => continue,
                    Found::First(room) => {
                        self.swap(word, word, room, 0);
                        continue;
                    }
                }
            }
            if self.swap(word, (word - ONE) | marks, change, 0) {
                return true;
            }
        }
    }

    /// Takes a permit, or sleeps for a moment at most, and not beyond `until`. To be called again after [`Slept::Woken`].
    ///
    /// # Errors
    /// How the sleep ended. Nothing is taken then, and nothing is lost.
    pub fn attempt(&self, patience: &mut Patience, until: Option<Deadline>) -> Result<Taken, Slept> {
        patience.look(|| permits(self.word().load(Ordering::Relaxed)) > 0);
        if self.take(if patience.has_slept() { WAITED_FOR } else { 0 }) {
            return Ok(Taken::Free);
        }
        let found = self.settled();
        if permits(found) > 0 {
            return Err(Slept::Woken);
        }
        let marked = found | WAITED_FOR;
        if found != marked
            && self.word().compare_exchange(found, marked, Ordering::AcqRel, Ordering::Relaxed).is_err()
        {
            return Err(Slept::Woken);
        }
        let nap = patience.nap(&self.slot, WORD, marked as u32, until);
        match nap.is_over().then(|| self.take_over(&mut patience.watch)).flatten() {
            Some(dead) => Ok(Taken::FromDead(dead)),
            None => Err(nap.into()),
        }
    }

    /// Takes a permit of a process that has ended, which costs a few system calls for each holder to find out; who that
    /// was. Its other permits are there for everybody.
    #[must_use]
    pub fn try_take_over(&self) -> Option<ProcessId> {
        self.take_over(&mut Watch::default())
    }

    #[cold]
    fn take_over(&self, watch: &mut Watch) -> Option<ProcessId> {
        let word = self.settled();
        if !self.is_noted(word) {
            return None;
        }
        let (dead, count, forget) = Table::of(&self.slot).dead(watch)?;
        if !self.swap(word, word + count * ONE, forget, 0) {
            return None;
        }
        self.slot.word(FORGIVEN).fetch_add(count as u32, Ordering::Relaxed);
        if count > 1 {
            self.slot.wake(WORD, count as u32 - 1);
        }
        self.take(WAITED_FOR).then_some(dead)
    }

    /// Puts a permit back, or adds one, and wakes somebody who waits for it.
    ///
    /// # Errors
    /// [`TooMany`] if there are as many as its bound allows; nothing is changed.
    #[inline]
    pub fn release(&self) -> Result<(), TooMany> {
        loop {
            let word = self.settled();
            if permits(word) >= self.bound() {
                return self.forgive();
            }
            let (mut change, mut travel) = (Change::NONE, 0);
            if self.is_noted(word) {
                match Table::of(&self.slot).to_give(self.this_process()) {
                    Found::Change(noting) => change = noting,
                    _ => travel = TRAVEL,
                }
            }
            if self.swap(word, word + ONE, change, travel) {
                if word & WAITED_FOR != 0 {
                    self.wake();
                }
                return Ok(());
            }
        }
    }

    #[cold]
    fn forgive(&self) -> Result<(), TooMany> {
        let forgiven = self.slot.word(FORGIVEN);
        let less = |count: u32| count.checked_sub(1);
        forgiven.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).map(|_| ()).map_err(|_| TooMany)
    }

    #[cold]
    fn wake(&self) {
        if self.slot.wake(WORD, 1) == 0 {
            // Nobody is asleep. If somebody was about to be, the word has changed, or is about to, and this does nothing.
            let word = self.settled();
            if word & WAITED_FOR != 0 && permits(word) > 0 {
                let quiet = word & !WAITED_FOR;
                let _ = self.word().compare_exchange(word, quiet, Ordering::AcqRel, Ordering::Relaxed);
            }
        }
    }

    /// Says that permits are taken in one process and given in another: nobody's end gives any back.
    pub fn let_permits_travel(&self) {
        loop {
            let word = self.settled();
            if word & TRAVEL != 0 || self.swap(word, word, Change::NONE, TRAVEL) {
                return;
            }
        }
    }

    /// How many permits there are.
    pub fn value(&self) -> u32 {
        permits(self.word().load(Ordering::Relaxed)) as u32
    }

    /// How many permits are noted for the calling process.
    pub fn held_here(&self) -> u64 {
        self.settled();
        Table::of(&self.slot).held_by(self.this_process())
    }
}

#[inline]
const fn permits(word: u64) -> u64 {
    (word & LOW) >> 1
}
