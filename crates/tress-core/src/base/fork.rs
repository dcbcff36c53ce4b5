//! Fork: a generation number, and locks that no child inherits locked.
//!
//! A child has one thread. Waiters of the other threads are still in the lists that it inherits, and nothing will ever take
//! what is handed to them: a waiter therefore remembers the generation it was made in, and whoever hands something over
//! passes over waiters of an older one. Locks of single objects are taken only by threads that the fork itself excludes
//! (in Python: that hold the interpreter lock); the few process-wide ones are taken around the fork by the handlers below.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

static GENERATION: AtomicU32 = AtomicU32::new(0);

/// How many forks lie between this process and the one that loaded the engine.
#[inline]
pub fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Registers the process-wide fork handlers; later calls do nothing.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY:
        // - the three functions are `extern "C"`, take nothing, and live as long as the process, as this library is
        //   never unloaded (the interpreter does not unload extension modules);
        // - the child's handler only stores to an atomic and unlocks what its own thread locked before the fork.
        unsafe { libc::pthread_atfork(Some(before), Some(after_in_parent), Some(after_in_child)) };
    });
}

extern "C" fn before() {
    #[cfg(not(loom))]
    super::waits::before_fork();
}

extern "C" fn after_in_parent() {
    #[cfg(not(loom))]
    super::waits::after_fork_in_parent();
}

extern "C" fn after_in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    #[cfg(not(loom))]
    super::spin::after_fork_in_child();
    #[cfg(not(loom))]
    super::waits::after_fork_in_child();
}
