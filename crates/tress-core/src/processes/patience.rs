//! How long a process sleeps for another at a time.
//!
//! A process can be killed at any moment: when it holds what others wait for, and when it has been woken and was about to
//! take it. The first wakes nobody, and the second may swallow the wake-up of another. So nobody sleeps for ever: who waits
//! looks again after a moment, and then less and less often.

use std::sync::atomic::AtomicU32;

use super::identity::Watch;
use super::word::{self, Slept};
use crate::base::deadline::Deadline;

const FIRST_NS: u64 = 5_000_000;
const LONGEST_NS: u64 = 100_000_000;

/// One wait of one thread.
#[derive(Debug)]
pub struct Patience {
    slice_ns: u64,
    /// Whether it has slept: others may be asleep behind it.
    slept: bool,
    /// Whether it has looked for a while before it slept the first time.
    looked: bool,
    /// The processes that it waits for.
    pub(super) watch: Watch,
}

/// How one sleep of a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Nap {
    /// Something has changed, or may have.
    Woken,
    /// Nothing has for a while: time to look whether what is waited for can still come.
    Over,
    /// As before, and the wait's own end has come.
    TimedOut,
    /// A signal handler ran in this thread.
    Interrupted,
}

impl Nap {
    /// Whether it has lasted its time.
    pub(super) fn is_over(self) -> bool {
        matches!(self, Self::Over | Self::TimedOut)
    }
}

impl From<Nap> for Slept {
    fn from(nap: Nap) -> Self {
        match nap {
            Nap::Woken | Nap::Over => Self::Woken,
            Nap::TimedOut => Self::TimedOut,
            Nap::Interrupted => Self::Interrupted,
        }
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self { slice_ns: FIRST_NS, slept: false, looked: false, watch: Watch::default() }
    }
}

impl Patience {
    /// At the beginning of a wait.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn has_slept(&self) -> bool {
        self.slept
    }

    /// Looks for `done` for a short while, once a wait: whether it came.
    pub(super) fn look(&mut self, done: impl Fn() -> bool) -> bool {
        !std::mem::replace(&mut self.looked, true) && crate::base::spin::until(done)
    }

    /// Sleeps while `word` is `expected`, for a moment at most.
    pub(super) fn nap(&mut self, word: &AtomicU32, expected: u32, until: Option<Deadline>) -> Nap {
        let slice = Deadline::after_ns(self.slice_ns);
        let is_last = until.is_some_and(|until| until <= slice);
        let end = if is_last { until } else { Some(slice) };
        self.slept = true;
        match word::sleep(word, expected, end, word::ALL) {
            Slept::Woken => Nap::Woken,
            Slept::Interrupted => Nap::Interrupted,
            Slept::TimedOut => {
                self.slice_ns = LONGEST_NS.min(self.slice_ns * 2);
                if is_last { Nap::TimedOut } else { Nap::Over }
            }
        }
    }
}
