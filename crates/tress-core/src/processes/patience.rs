//! How long a process sleeps for another at a time.
//!
//! A process can be killed at any moment: when it holds what others wait for, and when it has been woken and was about to
//! take it. The first wakes nobody, and the second may swallow the wake-up of another. So nobody sleeps for ever: who waits
//! looks again after a moment, and then less and less often.

use super::identity::Watch;
use super::slots::Slot;
use super::word::Slept;
use crate::base::deadline::Deadline;

const FIRST_NS: u64 = 5_000_000;
const LONGEST_NS: u64 = 100_000_000;
/// In a model, which has no clock: for ever.
const NEVER_NS: u64 = u64::MAX;

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
        let slice_ns = if cfg!(loom) { NEVER_NS } else { FIRST_NS };
        Self { slice_ns, slept: false, looked: false, watch: Watch::default() }
    }
}

impl Patience {
    /// At the beginning of a wait.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that looks again and again, for a model in which somebody is killed.
    #[cfg(loom)]
    pub fn short() -> Self {
        Self { slice_ns: FIRST_NS, ..Self::default() }
    }

    pub(super) fn has_slept(&self) -> bool {
        self.slept
    }

    /// Looks for `done` for a short while, once a wait.
    pub(super) fn look(&mut self, done: impl Fn() -> bool) {
        if !std::mem::replace(&mut self.looked, true) {
            #[cfg(not(loom))]
            crate::base::spin::until(done);
            #[cfg(loom)]
            let _ = done;
        }
    }

    /// Sleeps while the lower half of the double word at `offset` of `slot` is `expected`, for a moment at most.
    pub(super) fn nap(&mut self, slot: &Slot, offset: usize, expected: u32, until: Option<Deadline>) -> Nap {
        let slice = (self.slice_ns != NEVER_NS).then(|| Deadline::after_ns(self.slice_ns));
        let is_last = match (until, slice) {
            (Some(until), Some(slice)) => until <= slice,
            (until, None) => until.is_some(),
            (None, Some(_)) => false,
        };
        let end = if is_last { until } else { slice };
        self.slept = true;
        match slot.sleep(offset, expected, end) {
            Slept::Woken => Nap::Woken,
            Slept::Interrupted => Nap::Interrupted,
            Slept::TimedOut => {
                self.slice_ns = LONGEST_NS.min(self.slice_ns.saturating_mul(2));
                if is_last { Nap::TimedOut } else { Nap::Over }
            }
        }
    }
}
