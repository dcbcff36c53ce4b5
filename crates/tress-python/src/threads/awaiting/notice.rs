//! What is awaited of events and conditions.

use pyo3::exceptions::{PyBaseException, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tress_core::base::sync::Arc;
use tress_core::base::thread_id::ThreadId;
use tress_core::base::waiter::{Waiter, Who};
use tress_core::base::waitlist::Node;
use tress_core::threads::condition::ConditionWait;

use super::super::condition::Condition;
use super::super::event::Event;
use super::locks::{Either, LockTurn, owning_task};
use super::{Progress, Want};
use crate::coroutines::tasks;
use crate::error::Error;

/// An event that is set.
pub struct Set {
    event: Py<Event>,
    node: Option<Arc<Waiter>>,
}

impl Set {
    pub fn new(event: &Bound<'_, Event>) -> Self {
        Self { event: event.clone().unbind(), node: None }
    }
}

impl Want for Set {
    fn attempt<'py>(&mut self, _py: Python<'py>, who: Option<Who<'_>>) -> PyResult<Progress<'py>> {
        let event = self.event.get().core();
        let is_set = match who {
            None => event.is_set(),
            Some(who) => {
                self.node = event.enrol_as(who);
                self.node.is_none()
            }
        };
        Ok(if is_set { Progress::Done } else { Progress::NotYet })
    }

    fn arrive<'py>(&mut self, _py: Python<'py>) -> PyResult<Progress<'py>> {
        // It has been set, and may be clear again by now.
        self.node = None;
        Ok(Progress::Done)
    }

    fn give_up(&mut self, _py: Python<'_>) {
        if let Some(node) = self.node.take() {
            // An event takes nothing from whoever sets it: there is nothing to pass on.
            let _ = self.event.get().core().cancel(&node);
        }
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event)
    }
}

enum Stage {
    New,
    /// The lock has been released.
    Waiting(Arc<ConditionWait>),
    /// It is over but for the lock, which it must hold again; then, if it was interrupted, it raises this.
    Returning {
        turn: LockTurn,
        raises: Option<Py<PyBaseException>>,
    },
    Over,
}

/// A notification, and the condition's lock again.
pub struct Notification {
    condition: Py<Condition>,
    lock: Either,
    holder: ThreadId,
    /// How often the lock was held.
    count: usize,
    /// It was notified before it was interrupted.
    passes_on: bool,
    stage: Stage,
}

impl Notification {
    /// # Errors
    /// RuntimeError when the lock is not held by the running task, as far as it can tell, or is not one of ours.
    pub fn new(condition: &Bound<'_, Condition>) -> PyResult<Self> {
        let py = condition.py();
        let Some(lock) = condition.get().either_lock(py)? else {
            return Err(PyRuntimeError::new_err(
                "a condition is awaited only around a tress.threading.Lock or RLock, not around a lock of another kind",
            ));
        };
        let (holder, is_held) = match &lock {
            // A plain lock belongs to whoever says so.
            Either::Lock(lock) => (tasks::running_task(py)?, lock.get().core().is_locked()),
            Either::RLock(lock) => {
                let task = owning_task(py)?;
                (task, lock.get().core().is_owned_by(task))
            }
        };
        if !is_held {
            return Err(PyRuntimeError::new_err("cannot wait on un-acquired lock"));
        }
        let condition = condition.clone().unbind();
        Ok(Self { condition, lock, holder, count: 1, passes_on: false, stage: Stage::New })
    }

    /// Enrols, and releases the lock.
    fn leave(&mut self, who: Who<'_>) -> PyResult<()> {
        let condition = self.condition.get().core();
        // Before the lock is released, so that no notification comes in between.
        let node = condition.enrol_as(who);
        let released = match &self.lock {
            Either::Lock(lock) => lock.get().core().release().map(|wakes| (1, wakes)).map_err(Error::from),
            Either::RLock(lock) => lock.get().core().release_all_as(self.holder).map_err(Error::from),
        };
        match released {
            Ok((count, wakes)) => {
                self.count = count;
                self.stage = Stage::Waiting(node);
                wakes.wake();
                Ok(())
            }
            Err(error) => {
                let _ = condition.give_up_as(self.holder, &node, None);
                Err(error.into())
            }
        }
    }

    /// Ends the wait for the notification; whether the lock is held.
    fn stop_waiting(&mut self, node: &ConditionWait) -> bool {
        let ended = self.condition.get().core().give_up_as(self.holder, node, Some(self.lock.core()));
        self.passes_on |= ended.notified;
        ended.owns_lock
    }

    /// Ends whatever it waits for; whether the lock is held.
    fn stop(&mut self) -> bool {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Waiting(node) => self.stop_waiting(&node),
            Stage::Returning { mut turn, raises } => {
                // It had been notified, and would have returned, if this is the first to interrupt it.
                self.passes_on |= raises.is_none();
                turn.cancel(self.lock.core(), self.holder)
            }
            Stage::New | Stage::Over => false,
        }
    }

    /// The lock is held again.
    fn finish(&mut self, py: Python<'_>) -> PyResult<Progress<'static>> {
        self.lock.taken(self.count);
        let Stage::Returning { raises: Some(error), .. } = std::mem::replace(&mut self.stage, Stage::Over)
        else {
            return Ok(Progress::Done);
        };
        self.pass_on();
        Err(PyErr::from_value(error.into_bound(py).into_any()))
    }

    /// A notification that this one does not act on is the next one's.
    fn pass_on(&mut self) {
        if std::mem::take(&mut self.passes_on) {
            self.condition.get().notify_held(1);
        }
    }
}

impl Want for Notification {
    fn attempt<'py>(&mut self, py: Python<'py>, who: Option<Who<'_>>) -> PyResult<Progress<'py>> {
        // There is always something to wait for.
        let Some(who) = who else { return Ok(Progress::NotYet) };
        if let Stage::Returning { turn, .. } = &mut self.stage {
            let is_taken = turn.enrol(self.lock.core(), who);
            return if is_taken { self.finish(py) } else { Ok(Progress::NotYet) };
        }
        self.leave(who)?;
        Ok(Progress::NotYet)
    }

    fn arrive<'py>(&mut self, py: Python<'py>) -> PyResult<Progress<'py>> {
        let (lock, holder) = (self.lock.core(), self.holder);
        let is_taken = match &mut self.stage {
            Stage::Waiting(node) => {
                // Notified, and then let in as any who waits for the lock.
                let granted = node.waiter().granted();
                let is_taken = granted.is_some_and(|signal| lock.settle_as(holder, signal));
                self.stage = Stage::Returning { turn: LockTurn::again(), raises: None };
                is_taken
            }
            Stage::Returning { turn, .. } => turn.arrive(lock, holder),
            Stage::New | Stage::Over => false,
        };
        if is_taken { self.finish(py) } else { Ok(Progress::NotYet) }
    }

    fn interrupt(&mut self, py: Python<'_>, error: PyErr) -> PyResult<Progress<'static>> {
        let is_taken = self.stop() || self.lock.core().try_acquire_as(self.holder);
        self.stage = Stage::Returning { turn: LockTurn::new(), raises: Some(error.into_value(py)) };
        if is_taken { self.finish(py) } else { Ok(Progress::NotYet) }
    }

    fn give_up(&mut self, _py: Python<'_>) {
        if self.stop()
            && let Ok(wakes) = self.lock.core().release()
        {
            wakes.wake();
        }
        self.pass_on();
    }

    fn close(&mut self, _py: Python<'_>) {
        // Nothing can wait here. What is around releases the lock, which is to be its own if that can be had.
        if self.stop() || self.lock.core().try_acquire_as(self.holder) {
            self.lock.taken(self.count);
        }
        self.pass_on();
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.condition)?;
        if let Stage::Returning { raises, .. } = &self.stage {
            visit.call(raises)?;
        }
        self.lock.traverse(visit)
    }
}
