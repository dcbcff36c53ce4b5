//! Who waits for what, right now, and whether it can ever end.
//!
//! Every wait that parks is entered here by [`enter`] and leaves when its [`Entry`] guard is dropped. A wait for a lock
//! without a deadline goes through [`Scope::enter_lock`], which follows thread -> lock -> owner -> ... first, and enters
//! the wait under the same hold of the registry's mutex: so of two threads that close a cycle at the same time the second sees the
//! first.
//!
//! A link holds only while its owner can be trusted: a plain lock that was ever released by another thread than its taker
//! is a signal, not a possession ([`Owned::owner`] says [`NOBODY`] then), a wait with a deadline ends by itself, and a
//! thread that holds the lock it is said to wait for is on its way. A wait for a condition counts as one for the condition's lock
//! without a deadline: however it ends, its thread goes on only when it has that lock again.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::OnceLock;

use super::deadline::{Deadline, now_ns};
use super::sync::{Mutex, MutexGuard};
use super::thread_id::{self, NOBODY, ThreadId};

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

/// What a thread may hold while others wait for it: a lock.
pub trait Owned: Sync {
    /// The thread that holds it, where that tells who will release it; [`NOBODY`] where nobody does.
    fn owner(&self) -> ThreadId;
}

/// Which lock a thread cannot go on without.
#[derive(Clone, Copy)]
struct Wanted {
    lock: NonNull<dyn Owned>,
    /// It waits for the lock itself, and not for something that comes before it.
    now: bool,
}

impl Wanted {
    fn new<'lock>(lock: &'lock (dyn Owned + 'lock), now: bool) -> Self {
        let lock: NonNull<dyn Owned + 'lock> = NonNull::from(lock);
        // SAFETY: the two types differ in the lifetime alone, and the pointer is followed only while that lasts: see `Record`.
        let lock = unsafe { std::mem::transmute::<NonNull<dyn Owned + 'lock>, NonNull<dyn Owned>>(lock) };
        Self { lock, now }
    }
}

struct Record {
    serial: u64,
    waiting: Waiting,
    wanted: Option<Wanted>,
    /// The wait of the same thread that this one interrupted: a signal handler may wait, too.
    outer: Option<Box<Record>>,
}

// SAFETY: the pointer is only followed under the registry's mutex, while the record is in the registry, and a record with a
// lock leaves the registry before the borrow of that lock ends (see `scope`).
unsafe impl Send for Record {}

#[derive(Default)]
struct Registry {
    innermost: BTreeMap<ThreadId, Record>,
    entered: u64,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { innermost: BTreeMap::new(), entered: 0 });

type Held = MutexGuard<'static, Registry>;

thread_local! {
    /// The registry, locked, from before a fork until after it. Nothing drops it with its thread, so it can be reached even
    /// from a thread that is about to end.
    static HELD: Cell<Option<ManuallyDrop<Held>>> = const { Cell::new(None) };
}

/// Keeps a wait in the registry until it is dropped.
#[derive(Debug)]
#[must_use = "the wait is in the registry as long as this lives"]
pub struct Entry {
    thread: ThreadId,
    serial: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        REGISTRY.lock().remove(self.thread, self.serial);
    }
}

impl Registry {
    fn insert(&mut self, what: What, deadline: Option<Deadline>, wanted: Option<Wanted>) -> Entry {
        let thread = thread_id::current();
        self.entered += 1;
        let serial = self.entered;
        let waiting = Waiting { thread, what, since_ns: now_ns(), deadline, owner: NOBODY };
        let outer = self.innermost.remove(&thread).map(Box::new);
        self.innermost.insert(thread, Record { serial, waiting, wanted, outer });
        Entry { thread, serial }
    }

    /// Takes out one wait of a thread, innermost or not; none is there if a fork left it behind.
    fn remove(&mut self, thread: ThreadId, serial: u64) {
        let Some(mut record) = self.innermost.remove(&thread) else { return };
        if record.serial == serial {
            if let Some(outer) = record.outer {
                self.innermost.insert(thread, *outer);
            }
            return;
        }
        let mut place = &mut record.outer;
        while place.as_ref().is_some_and(|outer| outer.serial != serial) {
            place = &mut place.as_mut().expect("it was there").outer;
        }
        if let Some(found) = place.take() {
            *place = found.outer;
        }
        self.innermost.insert(thread, record);
    }

    /// The cycle that a wait of the calling thread for `lock` would close.
    fn cycle(&self, what: What, lock: &dyn Owned) -> Option<Cycle> {
        let me = thread_id::current();
        let mut links = vec![Link { thread: me, wants: what.object }];
        let mut owner = lock.owner();
        // The bound is for a cycle further on, which this thread would wait for but is no part of.
        while owner != NOBODY && links.len() <= self.innermost.len() + 1 {
            if owner == me {
                return Some(Cycle { links });
            }
            let record = self.innermost.get(&owner)?;
            let wanted = record.wanted?;
            if wanted.now && record.waiting.deadline.is_some() {
                return None;
            }
            // SAFETY: see `Record`: it is in the registry, which is locked, so the lock is still borrowed.
            let next = unsafe { wanted.lock.as_ref() }.owner();
            if next == owner {
                return None;
            }
            links.push(Link { thread: owner, wants: record.waiting.what.object });
            owner = next;
        }
        None
    }
}

/// Enters a wait of the calling thread for anything but a lock or what belongs to one.
pub fn enter(what: What, deadline: Option<Deadline>) -> Entry {
    REGISTRY.lock().insert(what, deadline, None)
}

/// One wait of the calling thread that may be for a lock, within a call of [`scope`].
#[derive(Debug)]
pub struct Scope<'lock> {
    entry: OnceLock<Entry>,
    /// Invariant: no scope passes for one of locks that live shorter.
    locks: PhantomData<fn(&'lock ()) -> &'lock ()>,
}

/// Runs `wait`, which enters itself into the registry, now or once it is known to last, and is out of it when this returns.
///
/// The registry points to the lock that is waited for. So the entry stays in this frame, where nobody can keep or forget it,
/// and the lock has to outlive the call, as what threads borrow outlives [`std::thread::scope`].
///
/// ```
/// use tress_core::base::waits::{self, What};
/// use tress_core::threads::lock::Lock;
///
/// let lock = Lock::new();
/// let what = What { operation: "Lock.acquire", object: 0 };
/// assert!(lock.try_acquire());
/// let cycle = waits::scope(|scope| {
///     scope.enter_lock(what, &lock)?;
///     // Here the thread would park, and be seen to wait.
///     Ok(())
/// });
/// let cycle: waits::Cycle = cycle.unwrap_err();
/// assert_eq!(cycle.links.len(), 1, "this thread holds what it wants");
/// ```
///
/// A lock that does not outlive the call is refused:
///
/// ```compile_fail,E0597
/// use tress_core::base::waits::{self, What};
/// use tress_core::threads::lock::Lock;
///
/// waits::scope(|scope| {
///     let lock = Lock::new();
///     scope.enter_lock_unchecked(What { operation: "Lock.acquire", object: 0 }, None, &lock);
/// });
/// ```
pub fn scope<'lock, R>(wait: impl FnOnce(&Scope<'lock>) -> R) -> R {
    let scope = Scope { entry: OnceLock::new(), locks: PhantomData };
    wait(&scope)
}

impl<'lock> Scope<'lock> {
    /// Enters a wait without a deadline for `lock`.
    ///
    /// # Errors
    /// The [`Cycle`] that this wait would close; it is not entered then. A cycle of one link is a thread that waits for a lock
    /// of its own: only another thread could release that.
    ///
    /// # Panics
    /// Like the others, if the scope has been entered before.
    pub fn enter_lock(&self, what: What, lock: &'lock dyn Owned) -> Result<(), Cycle> {
        let mut registry = REGISTRY.lock();
        if let Some(cycle) = registry.cycle(what, lock) {
            return Err(cycle);
        }
        let entry = registry.insert(what, None, Some(Wanted::new(lock, true)));
        drop(registry);
        self.keep(entry);
        Ok(())
    }

    /// Enters a wait for `lock`, whatever cycle that may close.
    pub fn enter_lock_unchecked(&self, what: What, deadline: Option<Deadline>, lock: &'lock dyn Owned) {
        let wanted = Wanted::new(lock, true);
        let entry = REGISTRY.lock().insert(what, deadline, Some(wanted));
        self.keep(entry);
    }

    /// Enters a wait for a condition that belongs to `lock`.
    pub fn enter_condition(&self, what: What, deadline: Option<Deadline>, lock: &'lock dyn Owned) {
        let wanted = Wanted::new(lock, false);
        let entry = REGISTRY.lock().insert(what, deadline, Some(wanted));
        self.keep(entry);
    }

    /// Enters a wait for anything else.
    pub fn enter(&self, what: What, deadline: Option<Deadline>) {
        self.keep(enter(what, deadline));
    }

    fn keep(&self, entry: Entry) {
        // One that is refused is dropped, and so out of the registry, before the panic.
        assert!(self.entry.set(entry).is_ok(), "one wait a scope");
    }
}

/// Every thread that waits, with its innermost wait, each passed to `visit` while the registry is locked: `visit` must not wait.
pub fn visit(mut visit: impl FnMut(Waiting)) {
    let registry = REGISTRY.lock();
    for record in registry.innermost.values() {
        // SAFETY: as in `cycle`.
        let owner = record
            .wanted
            .filter(|wanted| wanted.now)
            .map_or(NOBODY, |wanted| unsafe { wanted.lock.as_ref() }.owner());
        visit(Waiting { owner, ..record.waiting });
    }
}

/// Every thread that waits, with its innermost wait.
pub fn snapshot() -> Vec<Waiting> {
    let mut all = Vec::new();
    visit(|waiting| all.push(waiting));
    all
}

pub(super) fn before_fork() {
    HELD.set(Some(ManuallyDrop::new(REGISTRY.lock())));
}

pub(super) fn after_fork_in_parent() {
    drop(HELD.take().map(ManuallyDrop::into_inner));
}

pub(super) fn after_fork_in_child() {
    let Some(mut registry) = HELD.take().map(ManuallyDrop::into_inner) else { return };
    // This thread may have forked inside a wait, and goes on with it.
    let me = thread_id::current();
    registry.innermost.retain(|thread, _| *thread == me);
}
