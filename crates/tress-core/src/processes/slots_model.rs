//! Slots as a model sees them: memory of the model checker's, and the kernel's part of a futex on each double word.

use std::io;

use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use loom::sync::{Arc, Condvar, Mutex};

use super::word::Slept;
use crate::base::deadline::Deadline;

/// The length of a slot.
pub const SLOT: usize = 64;

/// The most slots that one object may have. A model looks at every entry of a table, and has few.
pub const LONGEST: usize = 1;

const LEN: usize = 40;

/// A slot, and whoever sleeps in it.
#[derive(Clone, Debug)]
pub struct Slot {
    memory: Arc<Memory>,
}

#[derive(Debug)]
struct Memory {
    words: Vec<AtomicU32>,
    double_words: Vec<AtomicU64>,
    beds: Vec<Bed>,
}

#[derive(Debug)]
struct Bed {
    sleepers: Mutex<u32>,
    woken: Condvar,
}

impl Slot {
    /// A new slot.
    ///
    /// # Errors
    /// None.
    pub fn new() -> io::Result<Self> {
        Self::new_run(1)
    }

    /// As [`Slot::new`], whatever the length.
    ///
    /// # Errors
    /// None.
    pub fn new_run(_count: usize) -> io::Result<Self> {
        let bed = |_| Bed { sleepers: Mutex::new(0), woken: Condvar::new() };
        let memory = Memory {
            words: (0..LEN / 4).map(|_| AtomicU32::new(0)).collect(),
            double_words: (0..LEN / 8).map(|_| AtomicU64::new(0)).collect(),
            beds: (0..2).map(bed).collect(),
        };
        Ok(Self { memory: Arc::new(memory) })
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        LEN
    }

    /// The word at `offset`, which is no part of any double word.
    pub fn word(&self, offset: usize) -> &AtomicU32 {
        &self.memory.words[offset / 4]
    }

    /// The double word at `offset`.
    pub fn double_word(&self, offset: usize) -> &AtomicU64 {
        &self.memory.double_words[offset / 8]
    }

    /// See the real one. A sleep with a deadline ends at once: that is a deadline at any moment.
    pub(super) fn sleep(&self, offset: usize, expected: u32, until: Option<Deadline>) -> Slept {
        let bed = &self.memory.beds[offset / 8];
        let mut sleepers = bed.sleepers.lock().unwrap();
        if self.double_word(offset).load(Ordering::Relaxed) as u32 != expected {
            return Slept::Woken;
        }
        if until.is_some() {
            drop(sleepers);
            loom::thread::yield_now();
            return Slept::TimedOut;
        }
        *sleepers += 1;
        drop(bed.woken.wait(sleepers).unwrap());
        Slept::Woken
    }

    /// See the real one.
    pub(super) fn wake(&self, offset: usize, count: u32) -> usize {
        let bed = &self.memory.beds[offset / 8];
        let mut sleepers = bed.sleepers.lock().unwrap();
        let woken = count.min(*sleepers);
        *sleepers -= woken;
        for _ in 0..woken {
            bed.woken.notify_one();
        }
        woken as usize
    }
}
