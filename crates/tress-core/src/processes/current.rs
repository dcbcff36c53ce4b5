//! The task that a worker is at, and how its owner may end the worker for it without taking another task along.
//!
//! | the word          | meaning                                     | may become                                             |
//! |-------------------|---------------------------------------------|--------------------------------------------------------|
//! | 0                 | the worker is at no task                    | the number of one (by the worker)                      |
//! | a number          | it is at that task                          | 0 (by the worker, when it is over), CONDEMNED (by the owner) |
//! | a number, CONDEMNED | it is to be killed for that task          | 0 (by the owner, who has buried it)                    |
//!
//! The last two changes of a number are compare-and-swaps, so either the task is over before the owner has decided, and the worker
//! lives, or the worker learns from [`Current::finish`] that it must not take another. What it has answered by then counts.

use crate::base::sync::atomic::{AtomicU64, Ordering};

const CONDEMNED: u64 = 1 << 63;

/// The word of a worker.
#[derive(Clone, Copy, Debug)]
pub struct Current<'a> {
    word: &'a AtomicU64,
}

/// What is written for task `id`: one more, as 0 stands for none. Numbers count from 0 on and never get as far as the bit.
fn number(id: u64) -> u64 {
    id.wrapping_add(1) & !CONDEMNED
}

impl<'a> Current<'a> {
    /// Over a word that is 0 when new.
    pub fn new(word: &'a AtomicU64) -> Self {
        Self { word }
    }

    /// The worker is at task `id`.
    pub fn begin(&self, id: u64) {
        self.word.store(number(id), Ordering::Release);
    }

    /// The task that the worker is at.
    pub fn task(&self) -> Option<u64> {
        (self.word.load(Ordering::SeqCst) & !CONDEMNED).checked_sub(1)
    }

    /// The worker's task `id` is over. False if the worker is to be killed: it takes no other.
    #[must_use]
    pub fn finish(&self, id: u64) -> bool {
        self.word.compare_exchange(number(id), 0, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Decides that the worker is to be killed for task `id`; false if it is not at that.
    #[must_use]
    pub fn condemn(&self, id: u64) -> bool {
        let number = number(id);
        self.word.compare_exchange(number, number | CONDEMNED, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// The worker is dead: the task that it was at.
    pub fn bury(&self) -> Option<u64> {
        (self.word.swap(0, Ordering::SeqCst) & !CONDEMNED).checked_sub(1)
    }
}
