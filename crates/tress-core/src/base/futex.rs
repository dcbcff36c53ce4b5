//! Sleeping until a word changes: the kernel's futex, and the same thing in a model.

use super::deadline::Deadline;
use super::sync::atomic::AtomicU32;

/// How a [`Bed::sleep`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Slept {
    /// Woken, for a reason or for none, or never asleep as the word had changed: look at it.
    Woken,
    /// The deadline passed.
    TimedOut,
    /// A signal handler ran in this thread.
    #[cfg_attr(loom, expect(dead_code, reason = "models have no signals"))]
    Interrupted,
}

/// Where the one thread that waits for a word sleeps. The kernel finds it by the word's address, so there is nothing in it.
#[cfg(not(loom))]
#[derive(Debug)]
pub(super) struct Bed;

#[cfg(not(loom))]
impl Bed {
    pub(super) const fn new() -> Self {
        Self
    }

    /// Sleeps if `word` is `expected`: no [`Bed::wake`] can fall between the look and the sleep.
    pub(super) fn sleep(&self, word: &AtomicU32, expected: u32, deadline: Option<Deadline>) -> Slept {
        use rustix::io::Errno;
        use rustix::thread::futex;
        let until = deadline.map(|end| futex::Timespec {
            tv_sec: (end.as_ns() / 1_000_000_000) as i64,
            tv_nsec: (end.as_ns() % 1_000_000_000) as _,
        });
        // The bitset form is the one that takes an absolute time.
        let every = std::num::NonZeroU32::MAX;
        match futex::wait_bitset(word, futex::Flags::PRIVATE, expected, until.as_ref(), every) {
            Err(Errno::TIMEDOUT) => Slept::TimedOut,
            Err(Errno::INTR) => Slept::Interrupted,
            _ => Slept::Woken,
        }
    }

    /// Wakes the sleeper, if there is one.
    pub(super) fn wake(&self, word: &AtomicU32) {
        let _ = rustix::thread::futex::wake(word, rustix::thread::futex::Flags::PRIVATE, 1);
    }
}

/// The kernel's part of a futex: looking at the word and going to sleep are one step to whoever wakes.
///
/// A model has no clock. A sleep with a deadline ends at once, and as other threads may run before and after it, that is the
/// same as a deadline at any moment; a sleep without one ends by a wake-up alone, so that a lost one is a model that hangs.
#[cfg(loom)]
#[derive(Debug)]
pub(super) struct Bed {
    bucket: loom::sync::Mutex<()>,
    woken: loom::sync::Condvar,
}

#[cfg(loom)]
impl Bed {
    pub(super) fn new() -> Self {
        Self { bucket: loom::sync::Mutex::new(()), woken: loom::sync::Condvar::new() }
    }

    pub(super) fn sleep(&self, word: &AtomicU32, expected: u32, deadline: Option<Deadline>) -> Slept {
        let bucket = self.bucket.lock().unwrap();
        if word.load(super::sync::atomic::Ordering::Relaxed) != expected {
            return Slept::Woken;
        }
        if deadline.is_some() {
            return Slept::TimedOut;
        }
        drop(self.woken.wait(bucket).unwrap());
        Slept::Woken
    }

    pub(super) fn wake(&self, _word: &AtomicU32) {
        let _bucket = self.bucket.lock().unwrap();
        self.woken.notify_one();
    }
}
