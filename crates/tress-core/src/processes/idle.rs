//! A set of workers, any of which may die at any moment: those that sleep, or those that have written something.
//!
//! Entering is followed by a fence, and picking preceded by one. So of one that enters and then looks for something, and
//! another that makes it and then picks, the first sees what there is or the second sees the first.

use crate::base::sync::atomic::{AtomicU64, Ordering, fence};

/// A set of small numbers in shared words.
#[derive(Clone, Copy, Debug)]
pub struct Idle<'a> {
    words: &'a [AtomicU64],
}

impl<'a> Idle<'a> {
    /// A set over words that are all zero when new; it holds numbers below 64 times their count.
    pub fn new(words: &'a [AtomicU64]) -> Self {
        Self { words }
    }

    /// How many words a set of numbers below `bound` takes.
    pub const fn words_for(bound: usize) -> usize {
        bound.div_ceil(64)
    }

    /// Enters `worker`.
    pub fn enter(&self, worker: u32) {
        self.words[worker as usize / 64].fetch_or(1 << (worker % 64), Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Takes `worker` out; false if somebody else had done so.
    pub fn leave(&self, worker: u32) -> bool {
        let bit = 1 << (worker % 64);
        self.words[worker as usize / 64].fetch_and(!bit, Ordering::SeqCst) & bit != 0
    }

    /// Takes one worker out, if there is one.
    pub fn pick(&self) -> Option<u32> {
        fence(Ordering::SeqCst);
        for (index, word) in self.words.iter().enumerate() {
            let mut seen = word.load(Ordering::SeqCst);
            while seen != 0 {
                let bit = seen & seen.wrapping_neg();
                if word.fetch_and(!bit, Ordering::SeqCst) & bit != 0 {
                    return Some(index as u32 * 64 + bit.trailing_zeros());
                }
                seen = word.load(Ordering::SeqCst);
            }
        }
        None
    }

    /// Takes all out.
    pub fn take_all(&self) -> Vec<u32> {
        let mut all = Vec::new();
        for (index, word) in self.words.iter().enumerate() {
            let mut seen = word.swap(0, Ordering::SeqCst);
            while seen != 0 {
                all.push(index as u32 * 64 + seen.trailing_zeros());
                seen &= seen - 1;
            }
        }
        all
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.load(Ordering::Relaxed).count_ones() as usize).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| word.load(Ordering::SeqCst) == 0)
    }
}
