//! How far a ring between processes is written and read, and who sleeps until that changes.
//!
//! Both positions count bytes and only grow: what lies between them is published. One writer at a time moves the tail, and one
//! reader the head, each by one store, so that whoever is killed has done a step or has not.
//!
//! Who sleeps says so and then looks again; who moves a position does so and then looks for sleepers. A fence stands between the two
//! steps of each side, so either the sleeper sees the position or the mover sees the sleeper.

use super::patience::Patience;
use super::slots::Slot;
use super::word::Slept;
use crate::base::deadline::Deadline;
use crate::base::sync::atomic::{AtomicU32, Ordering, fence};

// What the writer changes is in one cache line, what the reader changes in another; a model's slots are short.
const TAIL: usize = 0;
const HEAD: usize = if cfg!(loom) { 8 } else { 64 };
const READERS_ASLEEP: usize = 16;
const STREAM: usize = 20;
const WATCHED: usize = 24;
const WRITERS_ASLEEP: usize = if cfg!(loom) { 28 } else { 80 };

/// The positions of one ring.
#[derive(Debug)]
pub struct Positions {
    slot: Slot,
    capacity: u64,
}

impl Positions {
    /// Those in `slot`, of a ring of `capacity` bytes; all zero is an empty one.
    pub fn of(slot: Slot, capacity: u64) -> Self {
        Self { slot, capacity }
    }

    /// Where what is written ends.
    pub fn tail(&self) -> u64 {
        self.slot.double_word(TAIL).load(Ordering::Acquire)
    }

    /// Where what is yet to be read begins.
    pub fn head(&self) -> u64 {
        self.slot.double_word(HEAD).load(Ordering::Acquire)
    }

    /// How many bytes the ring has.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Whether there is nothing to be read.
    pub fn is_empty(&self) -> bool {
        self.head() == self.tail()
    }

    /// Whether `need` bytes can be written.
    pub fn has_room(&self, need: u64) -> bool {
        self.tail().wrapping_sub(self.head()).saturating_add(need) <= self.capacity
    }

    /// Says that a writer is in the middle of an item of several pieces, or not any more.
    pub fn set_stream(&self, is_open: bool) {
        self.slot.word(STREAM).store(u32::from(is_open), Ordering::Release);
    }

    /// Whether a writer is in the middle of an item, or was when it ended.
    pub fn is_stream(&self) -> bool {
        self.slot.word(STREAM).load(Ordering::Acquire) != 0
    }

    /// Says that somebody looks at a file descriptor to see whether there is anything.
    pub fn watch(&self) {
        self.slot.word(WATCHED).store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Whether anybody does.
    pub fn is_watched(&self) -> bool {
        self.slot.word(WATCHED).load(Ordering::Relaxed) != 0
    }

    /// Whether a writer sleeps until there is room.
    pub fn is_writer_asleep(&self) -> bool {
        self.slot.word(WRITERS_ASLEEP).load(Ordering::Relaxed) != 0
    }

    /// Publishes what is written up to `tail`; whether the ring was empty. Only for who holds the writers' lock.
    pub fn publish(&self, tail: u64) -> bool {
        let before = self.slot.double_word(TAIL).load(Ordering::Relaxed);
        self.slot.double_word(TAIL).store(tail, Ordering::Release);
        fence(Ordering::SeqCst);
        self.wake_all(READERS_ASLEEP, TAIL);
        self.head() == before
    }

    /// Gives the room before `head` back; whether the ring is empty now. Only for who holds the readers' lock.
    pub fn take(&self, head: u64) -> bool {
        self.slot.double_word(HEAD).store(head, Ordering::Release);
        fence(Ordering::SeqCst);
        let used = self.tail().wrapping_sub(head);
        // A writer needs a quarter at most. To wake it for less would be a switch at each item.
        if used <= self.capacity - self.capacity / 4 {
            self.wake_all(WRITERS_ASLEEP, HEAD);
        }
        used == 0
    }

    fn wake_all(&self, asleep: usize, position: usize) {
        let asleep: &AtomicU32 = self.slot.word(asleep);
        if asleep.load(Ordering::Relaxed) != 0 {
            asleep.store(0, Ordering::Relaxed);
            self.slot.wake(position, i32::MAX as u32);
        }
    }

    /// Looks whether there is something to be read, or sleeps for a moment at most, and not beyond `until`. To be called again
    /// after [`Slept::Woken`].
    ///
    /// # Errors
    /// How the sleep ended.
    pub fn await_data(&self, patience: &mut Patience, until: Option<Deadline>) -> Result<(), Slept> {
        patience.look(|| !self.is_empty());
        if !self.is_empty() {
            return Ok(());
        }
        let tail = self.tail();
        self.slot.word(READERS_ASLEEP).store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !self.is_empty() {
            return Ok(());
        }
        Err(patience.nap(&self.slot, TAIL, tail as u32, until).into())
    }

    /// As [`Positions::await_data`], for room for `need` bytes, a quarter of the ring at most. Only for who holds the
    /// writers' lock.
    ///
    /// # Errors
    /// How the sleep ended.
    pub fn await_room(
        &self,
        need: u64,
        patience: &mut Patience,
        until: Option<Deadline>,
    ) -> Result<(), Slept> {
        patience.look(|| self.has_room(need));
        if self.has_room(need) {
            return Ok(());
        }
        let head = self.head();
        self.slot.word(WRITERS_ASLEEP).store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.has_room(need) {
            return Ok(());
        }
        Err(patience.nap(&self.slot, HEAD, head as u32, until).into())
    }
}
