//! How a worker goes to rest without missing a task, and who is woken for one.
//!
//! | the worker                                 | whoever offers a task                   |
//! |--------------------------------------------|-----------------------------------------|
//! | sets its word `awake` to 0                 | offers it in [`Tasks`]                  |
//! | enters the set [`Idle`]                    | takes one worker out of the set, if one is in it |
//! | looks once more; only if there is nothing, sleeps while `awake` is 0 | sets that worker's `awake` to 1, and wakes it |
//! | leaves the set, and takes a task           |                                         |
//!
//! Between the two steps of each side stands a fence ([`Idle::enter`], [`Idle::pick`]), so either the worker sees the task or the
//! other sees the worker.
//!
//! A wake-up need not come to the worker that takes the task it was made for, as takers take the oldest. But none is lost: whoever
//! is picked takes once afterwards, and finds nothing only if nothing waits any more. Suppose that a task waits while a worker
//! is in the set and nobody is on the way. The worker's last look found nothing, so every task that is still there was offered after it
//! and had somebody picked for it, as the set was not empty. These are as many takes as tasks, none in vain; so all are taken.
//!
//! A worker that dies may take its wake-up with it. Whoever finds it dead picks another if a task waits. Workers pick nobody,
//! so no wake-up of another's goes with it.

use super::idle::Idle;
use super::tasks::Tasks;
use crate::base::sync::atomic::{AtomicU32, Ordering};

/// The words that the workers of a pool rest on, but for those that they sleep on.
#[derive(Clone, Copy, Debug)]
pub struct Rest<'a> {
    tasks: Tasks<'a>,
    idle: Idle<'a>,
    closed: &'a AtomicU32,
}

impl<'a> Rest<'a> {
    /// Rest for the workers that take from `tasks`.
    pub fn new(tasks: Tasks<'a>, idle: Idle<'a>, closed: &'a AtomicU32) -> Self {
        Self { tasks, idle, closed }
    }

    /// Whether no worker is to rest: a task waits, or the pool is closed.
    pub fn is_over(&self) -> bool {
        self.tasks.is_waiting() || self.is_closed()
    }

    /// Whether the pool is closed: no task will be offered that is not there.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst) != 0
    }

    /// Closes the pool; the workers that are to be woken.
    pub fn close(&self) -> Vec<u32> {
        self.closed.store(1, Ordering::SeqCst);
        // Whoever enters after this has seen the store.
        self.idle.take_all()
    }

    /// `worker` is about to sleep while `awake` is 0; false if it is not to. Either way it leaves afterwards.
    pub fn enter(&self, worker: u32, awake: &AtomicU32) -> bool {
        awake.store(0, Ordering::SeqCst);
        self.idle.enter(worker);
        !self.is_over()
    }

    /// `worker` sleeps no more: it takes a task next, if there is one.
    pub fn leave(&self, worker: u32) {
        self.idle.leave(worker);
    }

    /// The worker that is to be woken by whoever has offered a task.
    pub fn pick(&self) -> Option<u32> {
        self.idle.pick()
    }

    /// Takes out a worker that is dead; the worker that is to be woken in its place.
    pub fn bury(&self, worker: u32) -> Option<u32> {
        self.idle.leave(worker);
        if self.tasks.is_waiting() { self.idle.pick() } else { None }
    }
}
