//! Which of the tasks in shared memory is whose: one process puts them in, many take them out, and any may die at any moment.
//!
//! The tasks are in a ring of slots, each with a word that says what becomes of it. A position counts on for ever: its slot is
//! the position modulo the number of slots, its lap the rest.
//!
//! | the slot's word      | meaning                                                | may become                          |
//! |----------------------|--------------------------------------------------------|-------------------------------------|
//! | EMPTY, lap           | free for the task of this lap                          | READY, same lap (by the owner)      |
//! | READY, lap           | a task that nobody has begun                           | TAKEN (a worker), EMPTY of the next lap (taken back) |
//! | TAKEN, lap, worker   | the worker is copying it, and says next that it has it | EMPTY of the next lap (the worker; the owner if it died) |
//!
//! Each change is one compare-and-swap or one store of whoever the word says it belongs to, so there is no moment at which a
//! death could leave a slot that nobody can make sense of. `head`, from which takers look on, is a hint that anybody moves.

use crate::base::sync::atomic::{AtomicU64, Ordering};

const EMPTY: u64 = 0;
const READY: u64 = 1;
const TAKEN: u64 = 2;
const TAG: u64 = 3;

fn word(tag: u64, worker: u32, lap: u32) -> u64 {
    u64::from(lap) << 32 | u64::from(worker) << 2 | tag
}

fn lap_of(word: u64) -> u32 {
    (word >> 32) as u32
}

/// Whether no task of `lap` has been offered in the slot yet: it is free for it, or still used by the lap before.
fn is_before(word: u64, lap: u32) -> bool {
    (lap_of(word) == lap && word & TAG == EMPTY) || (lap_of(word).wrapping_sub(lap) as i32) < 0
}

/// The words of a ring of tasks; their number is a power of two.
#[derive(Clone, Copy, Debug)]
pub struct Tasks<'a> {
    head: &'a AtomicU64,
    words: &'a [AtomicU64],
}

impl<'a> Tasks<'a> {
    /// A ring over words that are all zero when new.
    ///
    /// # Panics
    /// If the number of words is no power of two.
    pub fn new(head: &'a AtomicU64, words: &'a [AtomicU64]) -> Self {
        assert!(words.len().is_power_of_two(), "a ring has a power of two of slots");
        Self { head, words }
    }

    /// The slot of `position`.
    #[inline]
    pub fn slot(&self, position: u64) -> usize {
        position as usize & (self.words.len() - 1)
    }

    fn lap(&self, position: u64) -> u32 {
        (position >> self.words.len().trailing_zeros()) as u32
    }

    /// Whether the owner may fill the slot of `position`, which is the one after the last that it filled.
    #[inline]
    pub fn is_free(&self, position: u64) -> bool {
        self.words[self.slot(position)].load(Ordering::Acquire) == word(EMPTY, 0, self.lap(position))
    }

    /// Offers the task in the slot of `position`, which was free and has been filled since.
    pub fn offer(&self, position: u64) {
        self.words[self.slot(position)].store(word(READY, 0, self.lap(position)), Ordering::Release);
    }

    /// Takes the oldest task for `worker`; its position. Nobody touches the slot until [`Tasks::free`].
    pub fn take(&self, worker: u32) -> Option<u64> {
        let mut position = self.head.load(Ordering::SeqCst);
        loop {
            let (slot, lap) = (&self.words[self.slot(position)], self.lap(position));
            let seen = slot.load(Ordering::SeqCst);
            if is_before(seen, lap) {
                return None;
            }
            let mine = seen == word(READY, 0, lap)
                && slot
                    .compare_exchange(seen, word(TAKEN, worker, lap), Ordering::SeqCst, Ordering::SeqCst)
                    .is_ok();
            // Whoever sees that the task at the head is somebody's moves the head on: its taker may be dead.
            let moved =
                self.head.compare_exchange(position, position + 1, Ordering::SeqCst, Ordering::SeqCst);
            if mine {
                return Some(position);
            }
            position = match moved {
                Ok(_) => position + 1,
                Err(now) => now,
            };
        }
    }

    /// Gives the slot of a task that was taken to the next lap: its content has been copied, or its taker is dead.
    pub fn free(&self, position: u64) {
        let next = word(EMPTY, 0, self.lap(position).wrapping_add(1));
        self.words[self.slot(position)].store(next, Ordering::Release);
    }

    /// Takes the task at `position` back, if nobody has begun it.
    pub fn take_back(&self, position: u64) -> bool {
        let lap = self.lap(position);
        self.words[self.slot(position)]
            .compare_exchange(
                word(READY, 0, lap),
                word(EMPTY, 0, lap.wrapping_add(1)),
                Ordering::SeqCst,
                Ordering::SeqCst,
            )
            .is_ok()
    }

    /// Whether somebody has begun the task that was offered at `position`, or it was taken back.
    pub fn is_begun(&self, position: u64) -> bool {
        self.words[self.slot(position)].load(Ordering::Acquire) != word(READY, 0, self.lap(position))
    }

    /// Whether a task is offered that nobody has begun.
    pub fn is_waiting(&self) -> bool {
        let mut position = self.head.load(Ordering::SeqCst);
        loop {
            let seen = self.words[self.slot(position)].load(Ordering::SeqCst);
            if seen == word(READY, 0, self.lap(position)) {
                return true;
            }
            if is_before(seen, self.lap(position)) {
                return false;
            }
            // Taken, or of a later lap: the head is behind.
            position += 1;
        }
    }

    /// The slots that `worker` had taken and not given back when it died: at most one, unless it did as it liked.
    pub fn held_by(&self, worker: u32) -> Vec<usize> {
        let of_worker = u64::from(worker) << 2 | TAKEN;
        let held =
            |slot: &usize| self.words[*slot].load(Ordering::Acquire) & u64::from(u32::MAX) == of_worker;
        (0..self.words.len()).filter(held).collect()
    }

    /// Gives a slot of a dead worker to the next lap.
    pub fn free_slot(&self, slot: usize) {
        let lap = lap_of(self.words[slot].load(Ordering::Acquire));
        self.words[slot].store(word(EMPTY, 0, lap.wrapping_add(1)), Ordering::Release);
    }
}
