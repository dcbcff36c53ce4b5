//! Wakes a loop that sleeps, and costs a memory access when it does not.
//!
//! The loop calls [`Bell::begin`], looks whether there is anything to do, sleeps only if there is not and `begin` has said that nobody
//! has rung, and calls [`Bell::end`]. Whoever gives it something to do does that first and then calls [`Bell::ring`], which says whether the loop has to be
//! woken. `tests/loom_bell.rs` proves that nothing is left lying while the loop sleeps.

use crate::base::sync::atomic::{AtomicU32, Ordering};

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;
const RUNG: u32 = 2;

/// The state of the one that sleeps.
#[derive(Debug)]
pub struct Bell(AtomicU32);

impl Default for Bell {
    fn default() -> Self {
        Self::new()
    }
}

impl Bell {
    /// It is awake.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self(AtomicU32::new(AWAKE))
    }

    /// It is awake.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self(AtomicU32::new(AWAKE))
    }

    /// It is about to sleep: from now on, whoever rings must wake it. To be called before the last look at what there is to do.
    #[inline]
    pub fn begin(&self) {
        self.0.swap(ASLEEP, Ordering::SeqCst);
    }

    /// It is awake again, or has not slept.
    #[inline]
    pub fn end(&self) {
        self.0.swap(AWAKE, Ordering::SeqCst);
    }

    /// There is something to do, put where the loop looks before this call. Whether it must be woken: one of many is told so.
    #[inline]
    pub fn ring(&self) -> bool {
        // A loop that is awake looks again before it sleeps; the fences of both sides order that look after what was put there.
        self.0.load(Ordering::SeqCst) == ASLEEP
            && self.0.compare_exchange(ASLEEP, RUNG, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}
