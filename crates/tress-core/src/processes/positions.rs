//! How far a ring between processes is written and read, and who sleeps until that changes.
//!
//! Both positions count bytes and only grow: what lies between them is published. One writer at a time moves the tail, and one
//! reader the head, each by one store, so that whoever is killed has done a step or has not.
//!
//! Each side has a word to sleep on: how often sleepers were woken, and 1 if there may be any. Who sleeps sets the 1 and then looks
//! again; who moves a position does so and then looks for the 1. A fence stands between the two steps of each side, so either
//! the sleeper sees the position or the mover sees the sleeper. Waking changes the word, so that a waker who comes late finds nobody who
//! was about to sleep since.

use super::patience::Patience;
use super::slots::Slot;
use super::word::Slept;
use crate::base::deadline::Deadline;
use crate::base::sync::atomic::{Ordering, fence};

// What the writer changes is in one cache line, what the reader changes in another; a model's slots are short.
const READERS: usize = 0;
const TAIL: usize = 16;
const STREAM: usize = 24;
const WATCHED: usize = 28;
const WRITERS: usize = if cfg!(loom) { 8 } else { 64 };
const HEAD: usize = if cfg!(loom) { 24 } else { 80 };

const ASLEEP: u64 = 1;
const ONE_WAKING: u64 = 2;

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
        self.slot.double_word(WRITERS).load(Ordering::Relaxed) & ASLEEP != 0
    }

    /// Publishes what is written up to `tail`; whether the ring was empty. Only for who holds the writers' lock.
    pub fn publish(&self, tail: u64) -> bool {
        let before = self.slot.double_word(TAIL).load(Ordering::Relaxed);
        self.slot.double_word(TAIL).store(tail, Ordering::Release);
        fence(Ordering::SeqCst);
        self.wake_all(READERS);
        self.head() == before
    }

    /// Gives the room before `head` back; whether the ring is empty now. Only for who holds the readers' lock.
    pub fn take(&self, head: u64) -> bool {
        self.slot.double_word(HEAD).store(head, Ordering::Release);
        fence(Ordering::SeqCst);
        let used = self.tail().wrapping_sub(head);
        // A writer needs a quarter at most. To wake it for less would be a switch at each item.
        if used <= self.capacity - self.capacity / 4 {
            self.wake_all(WRITERS);
        }
        used == 0
    }

    fn wake_all(&self, word: usize) {
        let wake = |word: u64| (word & ASLEEP != 0).then(|| (word & !ASLEEP).wrapping_add(ONE_WAKING));
        if self.slot.double_word(word).fetch_update(Ordering::Relaxed, Ordering::Relaxed, wake).is_ok() {
            self.slot.wake(word, i32::MAX as u32);
        }
    }

    /// Looks whether `done`, or sleeps on `word` for a moment at most.
    fn sleep(
        &self,
        word: usize,
        done: impl Fn() -> bool,
        patience: &mut Patience,
        until: Option<Deadline>,
    ) -> Result<(), Slept> {
        patience.look(&done);
        if done() {
            return Ok(());
        }
        let expected = self.slot.double_word(word).fetch_or(ASLEEP, Ordering::Relaxed) | ASLEEP;
        fence(Ordering::SeqCst);
        if done() {
            return Ok(());
        }
        Err(patience.nap(&self.slot, word, expected as u32, until).into())
    }

    /// Looks whether there is something to be read, or sleeps for a moment at most, and not beyond `until`. To be called again
    /// after [`Slept::Woken`].
    ///
    /// # Errors
    /// How the sleep ended.
    pub fn await_data(&self, patience: &mut Patience, until: Option<Deadline>) -> Result<(), Slept> {
        self.sleep(READERS, || !self.is_empty(), patience, until)
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
        self.sleep(WRITERS, || self.has_room(need), patience, until)
    }
}
