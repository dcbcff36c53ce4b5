//! Which thread this is, at the cost of one register read.

/// A live thread, as `pthread_self` names it; never 0. The system may use a number again after its thread has ended.
pub type ThreadId = u64;

/// No thread.
pub const NOBODY: ThreadId = 0;

/// The calling thread.
#[cfg(not(loom))]
#[inline]
pub fn current() -> ThreadId {
    // SAFETY: `pthread_self` has no preconditions and always succeeds.
    unsafe { libc::pthread_self() as ThreadId }
}

/// The calling thread of a model.
#[cfg(loom)]
pub fn current() -> ThreadId {
    use std::hash::{Hash, Hasher};
    let mut hasher = std::collections::hash_map::DefaultHasher::new();
    loom::thread::current().id().hash(&mut hasher);
    hasher.finish() | 1
}
