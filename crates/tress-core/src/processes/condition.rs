//! Waiting between processes until one says that something has changed.
//!
//! A condition belongs to a lock, and whoever begins to wait, notifies, or settles how its wait ended holds that. The sleep in
//! between is the only thing that happens without it. So nothing here has to be safe against two at a time but the taking of
//! a notification; and everything against one that is killed, after which the lock is passed on.
//!
//! Who waits belongs to a group, and there are two of them. Notifications go to the *front* group, as permits that its
//! waiters take; who begins to wait joins the *back* one, whose permits do not exist yet, so that nobody takes what was meant
//! for one who was there before. When as many permits have been given as the front group has waiters, the next notification
//! closes it: whoever still is in it has been notified, and sees that by its generation. Its word then begins the next back
//! group.
//!
//! | bits of a group's word | |
//! |---|---|
//! | 0..16 | permits that nobody has taken yet |
//! | 16..32 | the generation; that of the front group is one less than the back's |
//! | 32..64 | waiters that no permit was given for |
//!
//! A waiter that is killed stays counted: its notification is lost, once, and no other.

use std::io;

use super::patience::Patience;
use super::slots::Slot;
use super::word::Slept;
use crate::base::deadline::Deadline;
use crate::base::sync::atomic::{AtomicU64, Ordering};

const GROUPS: [usize; 2] = [0, 8];
const PERMIT: u64 = 1;
const PERMITS: u64 = 0xffff;
const GENERATION_SHIFT: u32 = 16;
const WAITER: u64 = 1 << 32;

/// A condition in shared memory.
#[derive(Debug)]
pub struct Condition {
    slot: Slot,
}

/// A place among those who wait: the generation of its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u16);

impl Ticket {
    /// Its number; [`Ticket::from_bits`] takes it back.
    pub fn bits(self) -> u16 {
        self.0
    }

    /// The ticket of that number.
    pub fn from_bits(bits: u16) -> Self {
        Self(bits)
    }
}

impl Condition {
    /// A new one, nobody waiting.
    ///
    /// # Errors
    /// The kernel's: no memory or no file descriptor left.
    pub fn new() -> io::Result<Self> {
        let slot = Slot::new()?;
        slot.double_word(GROUPS[1]).store(1 << GENERATION_SHIFT, Ordering::Relaxed);
        Ok(Self { slot })
    }

    /// The condition in `slot`, where another process or object made it.
    pub fn of(slot: Slot) -> Self {
        Self { slot }
    }

    /// Where it is.
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    fn group(&self, generation: u16) -> &AtomicU64 {
        self.slot.double_word(place_of(generation))
    }

    /// The front group's generation.
    fn front(&self) -> u16 {
        let [even, odd] = [0, 1].map(|parity| generation_of(self.group(parity).load(Ordering::Acquire)));
        if odd == even.wrapping_add(1) { even } else { odd }
    }

    /// Joins those who wait. The lock is held.
    pub fn enrol(&self) -> Ticket {
        let back = self.front().wrapping_add(1);
        self.group(back).fetch_add(WAITER, Ordering::AcqRel);
        Ticket(back)
    }

    /// Looks whether a notification has come, and takes it.
    #[must_use]
    fn take(&self, ticket: Ticket) -> bool {
        let group = self.group(ticket.0);
        let mut word = group.load(Ordering::Acquire);
        loop {
            if generation_of(word) != ticket.0 {
                return true;
            }
            if word & PERMITS == 0 {
                return false;
            }
            match group.compare_exchange(word, word - PERMIT, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(found) => word = found,
            }
        }
    }

    /// Takes a notification, or sleeps for a moment at most, and not beyond `until`. To be called again after
    /// [`Slept::Woken`]. The lock is not held.
    ///
    /// # Errors
    /// How the sleep ended; the ticket is to be settled then.
    pub fn attempt(
        &self,
        ticket: Ticket,
        patience: &mut Patience,
        until: Option<Deadline>,
    ) -> Result<(), Slept> {
        let word = self.group(ticket.0).load(Ordering::Acquire);
        if self.take(ticket) {
            return Ok(());
        }
        if word & PERMITS != 0 || generation_of(word) != ticket.0 {
            return Err(Slept::Woken);
        }
        Err(patience.nap(&self.slot, place_of(ticket.0), word as u32, until).into())
    }

    /// Leaves those who wait, after a wait that took no notification. The lock is held again. True if one has come after all.
    #[must_use]
    pub fn leave(&self, ticket: Ticket) -> bool {
        if self.take(ticket) {
            return true;
        }
        // None can come now: whoever notifies holds the lock.
        let fewer = |word: u64| word.checked_sub(WAITER);
        let _ = self.group(ticket.0).fetch_update(Ordering::AcqRel, Ordering::Acquire, fewer);
        false
    }

    /// Notifies `count` waiters, or all if there are fewer. The lock is held.
    pub fn notify(&self, count: usize) {
        let mut left = count as u64;
        while left > 0 {
            let front = self.front();
            let group = self.group(front);
            let word = group.load(Ordering::Acquire);
            let waiters = word / WAITER;
            if waiters == 0 {
                if self.group(front.wrapping_add(1)).load(Ordering::Acquire) < WAITER {
                    return;
                }
                self.close(front);
                continue;
            }
            if left >= waiters {
                self.close(front);
                left -= waiters;
                continue;
            }
            let given = left.min(PERMITS - (word & PERMITS));
            let to = word - given * WAITER + given * PERMIT;
            if group.compare_exchange(word, to, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                self.slot.wake(place_of(front), given as u32);
                left -= given.max(1);
            }
        }
    }

    /// Notifies all that are left in the front group; the back one becomes the front.
    fn close(&self, front: u16) {
        let next = u64::from(front.wrapping_add(2)) << GENERATION_SHIFT;
        self.group(front).store(next, Ordering::Release);
        self.slot.wake(place_of(front), i32::MAX as u32);
    }

    /// How many wait and have not been notified.
    pub fn waiting(&self) -> u64 {
        [0, 1].map(|parity| self.group(parity).load(Ordering::Relaxed) / WAITER).iter().sum()
    }

    /// How many notifications no waiter has taken yet.
    pub fn under_way(&self) -> u64 {
        [0, 1].map(|parity| self.group(parity).load(Ordering::Relaxed) & PERMITS).iter().sum()
    }
}

const fn generation_of(word: u64) -> u16 {
    (word >> GENERATION_SHIFT) as u16
}

/// Where the word of the group of that generation is.
const fn place_of(generation: u16) -> usize {
    GROUPS[(generation & 1) as usize]
}
