//! Which thread this is, at the cost of one register read.

#[cfg(not(loom))]
use std::cell::Cell;

/// A live thread, as `pthread_self` names it; never 0. The system may use a number again after its thread has ended.
pub type ThreadId = u64;

/// No thread.
pub const NOBODY: ThreadId = 0;

/// Set in no thread's number: those are addresses of this process, which are below it.
const TASK: u64 = 1 << 63;

/// The number under which a task of the embedder's holds a lock, from one of the embedder's own; it is no thread's.
#[inline]
pub fn of_task(task: usize) -> ThreadId {
    task as u64 | TASK
}

/// From which number of the embedder's that was made, if it was.
pub fn task_of(holder: ThreadId) -> Option<usize> {
    is_task(holder).then_some((holder & !TASK) as usize)
}

/// Whether such a number is a task's.
#[inline]
pub fn is_task(holder: ThreadId) -> bool {
    holder & TASK != 0
}

/// The calling thread.
#[cfg(not(loom))]
#[inline]
pub fn current() -> ThreadId {
    // SAFETY: `pthread_self` has no preconditions and always succeeds.
    unsafe { libc::pthread_self() as ThreadId }
}

/// Whether the calling thread is its process's first, or the one that a fork has left.
#[cfg(not(loom))]
pub fn leads_process() -> bool {
    thread_local! {
        static KNOWN: Cell<Option<(u32, bool)>> = const { Cell::new(None) };
    }
    let generation = super::fork::generation();
    match KNOWN.get() {
        Some((known, leads)) if known == generation => leads,
        _ => {
            let leads = rustix::thread::gettid() == rustix::process::getpid();
            KNOWN.set(Some((generation, leads)));
            leads
        }
    }
}

/// The calling thread of a model.
#[cfg(loom)]
pub fn current() -> ThreadId {
    use std::hash::{Hash, Hasher};
    let mut hasher = std::collections::hash_map::DefaultHasher::new();
    loom::thread::current().id().hash(&mut hasher);
    (hasher.finish() | 1) & !TASK
}
