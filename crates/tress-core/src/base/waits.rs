//! Who waits for what, right now, and whether it can ever end.
//!
//! Every wait that parks is entered here by [`enter`] and leaves when its [`Entry`] guard is dropped. A wait for a lock
//! without a deadline goes through [`enter_lock`], which follows thread -> lock -> owner -> ... under the registry's mutex
//! first: as every waiting thread is entered before it looks, of two threads that close a cycle at the same time the second
//! sees the first.
//!
//! A link holds only while its owner can be trusted: a plain lock that was ever released by another thread than its taker
//! is a signal, not a possession ([`Lock::owner`] says [`NOBODY`] then), a wait with a deadline ends by itself, and a
//! thread whose lock has just been handed to it is on its way. A wait for a condition counts as one for the condition's lock
//! without a deadline: however it ends, its thread goes on only when it has that lock again.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::deadline::{Deadline, now_ns};
use super::sync::{Mutex, MutexGuard};
use super::thread_id::{self, NOBODY, ThreadId};
use crate::threads::lock::Lock;

/// What a thread waits for.
#[derive(Clone, Copy, Debug)]
pub struct What {
    /// The call that waits, such as `"Lock.acquire"`.
    pub operation: &'static str,
    /// The embedder's handle of the object waited on; it must stay valid as long as the call lasts. 0 when there is none.
    pub object: usize,
}

/// One wait, as [`snapshot`] sees it.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// The thread that waits.
    pub thread: ThreadId,
    /// For what.
    pub what: What,
    /// Since when, on the clock of [`now_ns`].
    pub since_ns: u64,
    /// Until when at the latest.
    pub deadline: Option<Deadline>,
    /// Who owns the lock that it waits for; [`NOBODY`] where nobody does or ownership means nothing.
    pub owner: ThreadId,
}

/// One step of a cycle: `thread` holds what the link before it wants, and wants `wants`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The thread.
    pub thread: ThreadId,
    /// The embedder's handle of the lock that it wants.
    pub wants: usize,
}

/// A wait that could never end, beginning with the thread that asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// The links; the first one's thread holds what the last one wants.
    pub links: Vec<Link>,
}

/// Which lock a thread cannot go on without.
#[derive(Clone, Copy)]
struct Wanted {
    lock: NonNull<Lock>,
    /// It waits for the lock itself, and not for something that comes before it.
    now: bool,
}

struct Record {
    waiting: Waiting,
    wanted: Option<Wanted>,
    /// The wait of the same thread that this one interrupted: a signal handler may wait, too.
    outer: Option<Box<Record>>,
}

// SAFETY: the pointer is only followed under the registry's mutex, while the record is in the registry, and a record leaves
// the registry before the borrow of the lock that made it ends (see `Entry`).
unsafe impl Send for Record {}

static REGISTRY: Mutex<BTreeMap<ThreadId, Record>> = Mutex::new(BTreeMap::new());

thread_local! {
    static HELD: RefCell<Option<MutexGuard<'static, BTreeMap<ThreadId, Record>>>> = const { RefCell::new(None) };
}

/// Keeps a wait in the registry until it is dropped.
#[derive(Debug)]
pub struct Entry<'a> {
    thread: ThreadId,
    generation: u32,
    /// The lock waited for is borrowed as long as the registry points to it.
    lock: PhantomData<&'a Lock>,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if self.generation != super::fork::generation() {
            // The child of a fork made inside this wait: its registry was emptied, but for what it has entered since.
            return;
        }
        let mut registry = REGISTRY.lock();
        if let Some(record) = registry.remove(&self.thread) {
            if let Some(outer) = record.outer {
                registry.insert(self.thread, *outer);
            }
        }
    }
}

/// Enters a wait of the calling thread for anything but a lock.
pub fn enter(what: What, deadline: Option<Deadline>) -> Entry<'static> {
    insert(&mut REGISTRY.lock(), what, deadline, None)
}

/// Enters a wait of the calling thread for `lock`, whatever cycle that may close.
pub fn enter_lock_unchecked(what: What, deadline: Option<Deadline>, lock: &Lock) -> Entry<'_> {
    insert(&mut REGISTRY.lock(), what, deadline, Some(Wanted { lock: NonNull::from(lock), now: true }))
}

/// Enters a wait of the calling thread for a condition that belongs to `lock`.
pub fn enter_condition(what: What, deadline: Option<Deadline>, lock: &Lock) -> Entry<'_> {
    insert(&mut REGISTRY.lock(), what, deadline, Some(Wanted { lock: NonNull::from(lock), now: false }))
}

/// Enters a wait without a deadline of the calling thread for `lock`.
///
/// # Errors
/// The [`Cycle`] that this wait would close; the wait is not entered then. A cycle of one link is a thread that waits for a
/// lock of its own: only another thread could release that.
pub fn enter_lock<'a>(what: What, lock: &'a Lock) -> Result<Entry<'a>, Cycle> {
    let me = thread_id::current();
    let mut registry = REGISTRY.lock();
    let mut links = vec![Link { thread: me, wants: what.object }];
    let mut owner = lock.owner();
    while owner != NOBODY && links.len() <= registry.len() + 1 {
        if owner == me {
            return Err(Cycle { links });
        }
        let Some(record) = registry.get(&owner) else { break };
        let Some(wanted) = record.wanted else { break };
        if wanted.now && record.waiting.deadline.is_some() {
            break;
        }
        // SAFETY: see `Record`: it is in the registry, whose mutex is held, so the lock is still borrowed.
        let next = unsafe { wanted.lock.as_ref() }.owner();
        if next == owner {
            break;
        }
        links.push(Link { thread: owner, wants: record.waiting.what.object });
        owner = next;
    }
    Ok(insert(&mut registry, what, None, Some(Wanted { lock: NonNull::from(lock), now: true })))
}

fn insert<'a>(
    registry: &mut BTreeMap<ThreadId, Record>,
    what: What,
    deadline: Option<Deadline>,
    wanted: Option<Wanted>,
) -> Entry<'a> {
    let thread = thread_id::current();
    let waiting = Waiting { thread, what, since_ns: now_ns(), deadline, owner: NOBODY };
    let outer = registry.remove(&thread).map(Box::new);
    registry.insert(thread, Record { waiting, wanted, outer });
    Entry { thread, generation: super::fork::generation(), lock: PhantomData }
}

/// Every wait there is, each passed to `visit` while the registry is locked: `visit` must not wait.
pub fn visit(mut visit: impl FnMut(Waiting)) {
    let registry = REGISTRY.lock();
    for record in registry.values() {
        // SAFETY: as in `enter_lock`.
        let owner = record
            .wanted
            .filter(|wanted| wanted.now)
            .map_or(NOBODY, |wanted| unsafe { wanted.lock.as_ref() }.owner());
        visit(Waiting { owner, ..record.waiting });
    }
}

/// Every wait there is.
pub fn snapshot() -> Vec<Waiting> {
    let mut all = Vec::new();
    visit(|waiting| all.push(waiting));
    all
}

pub(super) fn before_fork() {
    let guard = REGISTRY.lock();
    HELD.with_borrow_mut(|held| *held = Some(guard));
}

pub(super) fn after_fork_in_parent() {
    HELD.with_borrow_mut(|held| *held = None);
}

pub(super) fn after_fork_in_child() {
    HELD.with_borrow_mut(|held| {
        if let Some(registry) = held.as_mut() {
            registry.clear();
        }
        *held = None;
    });
}
