//! Processes as a model sees them: each thread is one, and says itself when it has been killed.

use std::collections::HashSet;

use loom::sync::Mutex;

use crate::base::thread_id;

loom::lazy_static! {
    static ref DEAD: Mutex<HashSet<u64>> = Mutex::new(HashSet::new());
    static ref DOOMED: Mutex<HashSet<u64>> = Mutex::new(HashSet::new());
}

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessId(u64);

impl ProcessId {
    /// One that cannot be named here.
    pub const UNKNOWN: Self = Self(1 << 62);

    /// The number.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The process that a number is of.
    pub const fn from_bits(bits: u64) -> Option<Self> {
        if bits == 0 { None } else { Some(Self(bits)) }
    }

    /// Its process id.
    pub fn pid(self) -> Option<u32> {
        Some(self.0 as u32 & 0x3f_ffff).filter(|pid| *pid != 0)
    }

    pub(super) fn start(self) -> u64 {
        0
    }
}

/// See the real one.
#[derive(Debug, Default)]
pub(super) struct Watch;

impl Watch {
    pub(super) fn has_ended(&mut self, process: ProcessId) -> bool {
        process.pid().is_some_and(|pid| self.has(0, pid, |_| true))
    }

    pub(super) fn has(&mut self, _name: u64, pid: u32, _is_it: impl Fn(u64) -> bool) -> bool {
        DEAD.lock().unwrap().contains(&u64::from(pid))
    }
}

/// The calling thread.
pub fn current() -> ProcessId {
    ProcessId(thread_id::current() & 0x3f_fffe | 1)
}

/// The one namespace that there is.
pub fn namespaces() -> u32 {
    1
}

pub(super) fn current_in(_there: u32) -> ProcessId {
    current()
}

/// The calling thread is as good as killed: it does nothing with what is shared any more.
pub fn die() {
    DEAD.lock().unwrap().insert(current().bits());
}

/// The calling thread will be killed where [`is_killed_here`] is next.
pub fn doom() {
    DOOMED.lock().unwrap().insert(current().bits());
}

/// A moment at which a process may be killed that a model is to look at; whether the calling one was.
pub(super) fn is_killed_here() -> bool {
    let killed = DOOMED.lock().unwrap().remove(&current().bits());
    if killed {
        die();
    }
    killed
}
