//! A flag between processes.
//!
//! The lowest bit of the word is the flag; the other bits of its lower half count how often it was set, so that who waits goes on even if the flag is
//! cleared again before it has looked.

use std::io;

use super::patience::Patience;
use super::slots::Slot;
use super::word::Slept;
use crate::base::deadline::Deadline;
use crate::base::sync::atomic::{AtomicU64, Ordering};

const WORD: usize = 0;

const SET: u64 = 1;
const ONE_SETTING: u64 = 2;

/// A flag in shared memory that processes wait for.
///
/// ```
/// use tress_core::processes::event::Event;
/// use tress_core::processes::patience::Patience;
///
/// let event = Event::new().unwrap();
/// let before = event.now();
/// event.set();
/// event.clear();
/// assert!(!event.is_set());
/// assert_eq!(event.attempt(before, &mut Patience::new(), None), Ok(()), "it has been set meanwhile");
/// ```
#[derive(Debug)]
pub struct Event {
    slot: Slot,
}

/// What an event was when a wait for it began.
#[derive(Clone, Copy, Debug)]
pub struct Before(u64);

impl Event {
    /// A new one, not set.
    ///
    /// # Errors
    /// The kernel's: no memory or no file descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(Self { slot: Slot::new()? })
    }

    /// The event in `slot`, where another process or object made it.
    pub fn of(slot: Slot) -> Self {
        Self { slot }
    }

    /// Where it is.
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    fn word(&self) -> &AtomicU64 {
        self.slot.double_word(WORD)
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.word().load(Ordering::Acquire) & SET != 0
    }

    /// Sets it: everybody who waits goes on.
    pub fn set(&self) {
        let setting = |word: u64| (word & SET == 0).then(|| word.wrapping_add(ONE_SETTING) | SET);
        if self.word().fetch_update(Ordering::AcqRel, Ordering::Acquire, setting).is_ok() {
            self.slot.wake(WORD, i32::MAX as u32);
        }
    }

    /// Clears it.
    pub fn clear(&self) {
        self.word().fetch_and(!SET, Ordering::AcqRel);
    }

    /// To be noted where a wait begins.
    pub fn now(&self) -> Before {
        Before(self.word().load(Ordering::Acquire))
    }

    /// Looks whether it is set or has been since `before`, or sleeps for a moment at most, and not beyond `until`. To be
    /// called again after [`Slept::Woken`].
    ///
    /// # Errors
    /// How the sleep ended.
    pub fn attempt(
        &self,
        before: Before,
        patience: &mut Patience,
        until: Option<Deadline>,
    ) -> Result<(), Slept> {
        let came = |word: u64| word & SET != 0 || word & !SET != before.0 & !SET;
        patience.look(|| came(self.word().load(Ordering::Relaxed)));
        let word = self.word().load(Ordering::Acquire);
        if came(word) {
            return Ok(());
        }
        Err(patience.nap(&self.slot, WORD, word as u32, until).into())
    }
}
