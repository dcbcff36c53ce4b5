//! Fork: a generation number, and locks that no child inherits locked.
//!
//! A child has one thread. Waiters of the other threads are still in the lists that it inherits, and nothing will ever take
//! what is handed to them: a waiter therefore remembers its thread and the generation it was made in, and whoever hands
//! something over passes over waiters that were left behind. The thread that forked may have done so inside a wait, in a
//! signal handler, and goes on waiting in the child. Locks of single objects are taken only by threads that the fork itself excludes
//! (in Python: that hold the interpreter lock); the few process-wide ones are taken around the fork by the handlers below.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::thread_id::{self, NOBODY, ThreadId};

static GENERATION: AtomicU32 = AtomicU32::new(0);
static SURVIVOR: AtomicU64 = AtomicU64::new(NOBODY);

/// How many forks lie between this process and the one that loaded the engine.
#[inline]
pub fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Whether `thread` of `generation`, not the present one, is the thread that made the last fork.
///
/// Only a thread of the generation just before can be: one of an older generation that has the number of the survivor is
/// another thread, which ended in a fork in between and whose number was given out again.
#[cold]
pub(crate) fn survived(generation: u32, thread: ThreadId) -> bool {
    generation.wrapping_add(1) == self::generation() && SURVIVOR.load(Ordering::Relaxed) == thread
}

/// Registers the process-wide fork handlers; later calls do nothing.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY:
        // - the three functions are `extern "C"`, take nothing, and live as long as the process, as this library is
        //   never unloaded (the interpreter does not unload extension modules);
        // - the child's handler stores to atomics, forgets the waits of threads that are gone, and unlocks what its own thread
        //   locked before the fork; the allocator is whole again by then, as the C library sees to that first.
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
    SURVIVOR.store(thread_id::current(), Ordering::Relaxed);
    #[cfg(not(loom))]
    super::spin::after_fork_in_child();
    #[cfg(not(loom))]
    super::waits::after_fork_in_child();
}
