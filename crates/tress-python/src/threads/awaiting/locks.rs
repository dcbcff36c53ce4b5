//! What is awaited of locks and semaphores.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tress_core::base::deadline::now_ns;
use tress_core::base::sync::Arc;
use tress_core::base::thread_id::{self, ThreadId};
use tress_core::base::waiter::{Signal, Who};
use tress_core::base::waitlist::Node;
use tress_core::threads::lock::{self, LockWait};
use tress_core::threads::semaphore::{Enrol, Take};

use super::super::lock::Lock;
use super::super::rlock::RLock;
use super::super::semaphore::Semaphore;
use super::{Progress, Want};
use crate::coroutines::tasks;

/// A lock of ours, of either kind.
pub enum Either {
    Lock(Py<Lock>),
    RLock(Py<RLock>),
}

impl Either {
    pub fn core(&self) -> &lock::Lock {
        match self {
            Self::Lock(lock) => lock.get().core(),
            Self::RLock(lock) => lock.get().core().lock(),
        }
    }

    fn try_acquire_as(&self, holder: ThreadId) -> bool {
        match self {
            Self::Lock(lock) => lock.get().core().try_acquire_as(holder),
            Self::RLock(lock) => lock.get().core().try_acquire_as(holder),
        }
    }

    /// Notes that the lock was taken, to be held `count` times.
    pub fn taken(&self, count: usize) {
        if let Self::RLock(lock) = self {
            lock.get().core().taken(count);
        }
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Lock(lock) => visit.call(lock),
            Self::RLock(lock) => visit.call(lock),
        }
    }
}

/// The task that runs, as the holder of an RLock: nothing but a task can own one without a thread of its own.
///
/// # Errors
/// RuntimeError where no task runs.
pub fn owning_task(py: Python<'_>) -> PyResult<ThreadId> {
    let task = tasks::running_task(py)?;
    if task == thread_id::of_task(0) {
        return Err(PyRuntimeError::new_err(
            "an RLock is awaited by a task, which owns it then: no task runs here",
        ));
    }
    Ok(task)
}

/// The wait for a lock, enrolled again as the oldest when somebody else was quicker.
pub struct LockTurn {
    node: Option<Arc<LockWait>>,
    since_ns: u64,
    again: bool,
}

impl LockTurn {
    pub fn new() -> Self {
        Self { node: None, since_ns: now_ns(), again: false }
    }

    /// Of one who has been let in once.
    pub fn again() -> Self {
        Self { again: true, ..Self::new() }
    }

    /// True when the lock was taken at once.
    pub fn enrol(&mut self, lock: &lock::Lock, who: Who<'_>) -> bool {
        self.node = lock.enrol_as(who, self.since_ns, self.again);
        self.node.is_none()
    }

    /// After a grant: whether `holder` has the lock.
    pub fn arrive(&mut self, lock: &lock::Lock, holder: ThreadId) -> bool {
        self.again = true;
        let granted = self.node.take().and_then(|node| node.waiter().granted());
        granted.is_some_and(|signal| lock.settle_as(holder, signal))
    }

    /// Ends the wait; whether `holder` has the lock after all.
    pub fn cancel(&mut self, lock: &lock::Lock, holder: ThreadId) -> bool {
        self.node.take().is_some_and(|node| lock.cancel_as(holder, &node))
    }

    fn give_up(&mut self, lock: &lock::Lock, holder: ThreadId) {
        if self.cancel(lock, holder)
            && let Ok(wakes) = lock.release()
        {
            wakes.wake();
        }
    }
}

/// A lock.
pub struct Acquire {
    lock: Either,
    holder: ThreadId,
    turn: LockTurn,
}

impl Acquire {
    pub fn of_lock(lock: &Bound<'_, Lock>) -> PyResult<Self> {
        let holder = tasks::running_task(lock.py())?;
        Ok(Self { lock: Either::Lock(lock.clone().unbind()), holder, turn: LockTurn::new() })
    }

    pub fn of_rlock(lock: &Bound<'_, RLock>) -> PyResult<Self> {
        let holder = owning_task(lock.py())?;
        Ok(Self { lock: Either::RLock(lock.clone().unbind()), holder, turn: LockTurn::new() })
    }

    fn progress(&self, is_taken: bool) -> Progress<'static> {
        if !is_taken {
            return Progress::NotYet;
        }
        self.lock.taken(1);
        Progress::Done
    }
}

impl Want for Acquire {
    fn attempt<'py>(&mut self, _py: Python<'py>, who: Option<Who<'_>>) -> PyResult<Progress<'py>> {
        let Some(who) = who else {
            let is_taken = self.lock.try_acquire_as(self.holder);
            return Ok(if is_taken { Progress::Done } else { Progress::NotYet });
        };
        let is_taken = self.turn.enrol(self.lock.core(), who);
        Ok(self.progress(is_taken))
    }

    fn arrive<'py>(&mut self, _py: Python<'py>) -> PyResult<Progress<'py>> {
        let is_taken = self.turn.arrive(self.lock.core(), self.holder);
        Ok(self.progress(is_taken))
    }

    fn give_up(&mut self, _py: Python<'_>) {
        self.turn.give_up(self.lock.core(), self.holder);
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.lock.traverse(visit)
    }
}

/// A permit.
pub struct Permit {
    semaphore: Py<Semaphore>,
    node: Option<Arc<LockWait>>,
    since_ns: u64,
    again: bool,
}

impl Permit {
    pub fn new(semaphore: &Bound<'_, Semaphore>) -> Self {
        Self { semaphore: semaphore.clone().unbind(), node: None, since_ns: now_ns(), again: false }
    }

    fn try_acquire(&self) -> Progress<'static> {
        let is_taken = self.semaphore.get().core().try_acquire() == Take::Taken;
        if is_taken { Progress::Done } else { Progress::NotYet }
    }
}

impl Want for Permit {
    fn attempt<'py>(&mut self, _py: Python<'py>, who: Option<Who<'_>>) -> PyResult<Progress<'py>> {
        let Some(who) = who else { return Ok(self.try_acquire()) };
        Ok(match self.semaphore.get().core().enrol_as(who, self.since_ns, self.again) {
            Enrol::Taken => Progress::Done,
            Enrol::Waiting(node) => {
                self.node = Some(node);
                Progress::NotYet
            }
            Enrol::Closed => unreachable!("nothing closes a semaphore of Python's"),
        })
    }

    fn arrive<'py>(&mut self, _py: Python<'py>) -> PyResult<Progress<'py>> {
        self.again = true;
        let granted = self.node.take().and_then(|node| node.waiter().granted());
        Ok(if granted == Some(Signal::Handed) { Progress::Done } else { self.try_acquire() })
    }

    fn give_up(&mut self, _py: Python<'_>) {
        let semaphore = self.semaphore.get().core();
        if let Some(node) = self.node.take()
            && semaphore.cancel(&node)
            && let Ok(wakes) = semaphore.release(1, None)
        {
            wakes.wake();
        }
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.semaphore)
    }
}
