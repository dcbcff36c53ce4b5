//! Sleeping until a word in shared memory changes, whichever process changes it.

#[cfg(not(loom))]
use std::num::NonZeroU32;
#[cfg(not(loom))]
use std::sync::atomic::AtomicU32;

#[cfg(not(loom))]
use rustix::io::Errno;
#[cfg(not(loom))]
use rustix::thread::futex;

#[cfg(not(loom))]
use crate::base::deadline::Deadline;

/// How a [`sleep`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Slept {
    /// Woken, for a reason or for none, or never asleep as the word had changed: look at it.
    Woken,
    /// The deadline passed.
    TimedOut,
    /// A signal handler ran in this thread.
    Interrupted,
}

/// Sleepers of every kind.
#[cfg(not(loom))]
pub const ALL: NonZeroU32 = NonZeroU32::MAX;

/// Sleeps if `word` is `expected`, as one of the sleepers that `kind` tells apart (a bit set).
#[cfg(not(loom))]
pub fn sleep(word: &AtomicU32, expected: u32, deadline: Option<Deadline>, kind: NonZeroU32) -> Slept {
    let until = deadline.map(|end| futex::Timespec {
        tv_sec: (end.as_ns() / 1_000_000_000) as i64,
        tv_nsec: (end.as_ns() % 1_000_000_000) as _,
    });
    match futex::wait_bitset(word, futex::Flags::empty(), expected, until.as_ref(), kind) {
        Err(Errno::TIMEDOUT) => Slept::TimedOut,
        Err(Errno::INTR) => Slept::Interrupted,
        _ => Slept::Woken,
    }
}

/// Wakes up to `count` of the sleepers whose kind has a bit of `kind`; how many there were.
#[cfg(not(loom))]
pub fn wake(word: &AtomicU32, count: u32, kind: NonZeroU32) -> usize {
    futex::wake_bitset(word, futex::Flags::empty(), count, kind).unwrap_or(0)
}
