//! Awaiting what threads wait for: `await queue.aget()`, `async with lock`.
//!
//! A coroutine's wait stands in the same list as a thread's ([`Who::Task`]), so that there is one order among all of them. The parts:
//!
//! - [`Operation`] is what is awaited, in the terms of `LazyCoroutine`: it tries, and if there is something to wait for, enrols.
//! - [`Want`] is an operation that may have to wait: it is with its [`TaskWait`] from its enrolment until it is over or given up.
//! - [`TaskWait`] is one wait of one coroutine: the future that the coroutine yields to its loop, and the waker in the list.
//!
//! Whoever ends the wait calls the waker, with no lock held. The waker has the loop call a [`Turn`](task_wait::Turn), by
//! `call_soon_threadsafe`, which gives the future its result; the loop then resumes the coroutine, and that sees what it was granted.
//!
//! A wait ends once, by whoever comes first, attached:
//!
//! | by                                                       | then                                                       |
//! |----------------------------------------------------------|------------------------------------------------------------|
//! | the coroutine, resumed because it was granted            | it has what it wanted, or asks again                       |
//! | the coroutine, cancelled, closed or dropped              | gives up: what was granted meanwhile is passed on          |
//! | the turn that nobody calls, as the loop has been closed  | the same; the coroutine raises if it is ever resumed       |
//! | the end of the `TaskWait`, in a cycle that is collected  | the same                                                   |
//!
//! The list refers to the wait weakly, so that a lock holds no Python object. What keeps a waiting task alive is its loop, in a set
//! that is one of the loop's attributes: a task that waits is there as long as its loop.

mod locks;
mod notice;
mod queue;
mod task_wait;

use pyo3::prelude::*;
use pyo3::types::PyBool;
use pyo3::{PyTraverseError, PyVisit};
use tress_core::base::waiter::Who;

use crate::coroutines::lazy::Step;
use crate::coroutines::{creating, tasks};

use locks::{Acquire, Permit};
pub use locks::{Either, owning_task};
use notice::{Notification, Set};
use queue::{Finish, Item, Room};
use task_wait::TaskWait;

/// What is awaited.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    Get,
    SimpleGet,
    Put,
    Join,
    AcquireLock,
    EnterLock,
    AcquireRLock,
    EnterRLock,
    AcquireSemaphore,
    EnterSemaphore,
    WaitForEvent,
    WaitForNotification,
}

/// What comes of an attempt.
pub enum Progress<'py> {
    /// It is over, with this result.
    Over(Bound<'py, PyAny>),
    /// It is over, with the result that it always has.
    Done,
    /// It is not to be had now; the wait is enrolled, if it was to be.
    NotYet,
    /// It is for this coroutine.
    Delegate(Bound<'py, PyAny>),
}

/// An operation that may have to wait.
pub trait Want: Send + Sync {
    /// Tries, and enrols a wait of `who` where that does not do; of nobody: only tries.
    ///
    /// # Errors
    /// What the operation raises.
    fn attempt<'py>(&mut self, py: Python<'py>, who: Option<Who<'_>>) -> PyResult<Progress<'py>>;

    /// Its wait was granted. [`Progress::NotYet`] means to ask again.
    ///
    /// # Errors
    /// What the operation raises.
    fn arrive<'py>(&mut self, py: Python<'py>) -> PyResult<Progress<'py>>;

    /// An exception is thrown into its wait. [`Progress::NotYet`] means to ask again: the exception comes when that is over.
    ///
    /// # Errors
    /// The exception.
    fn interrupt(&mut self, py: Python<'_>, error: PyErr) -> PyResult<Progress<'static>> {
        self.give_up(py);
        Err(error)
    }

    /// Ends its wait, if it has not ended, and passes on what it was granted in the last moment. Nobody is there any more.
    fn give_up(&mut self, py: Python<'_>);

    /// The same, and the coroutine is closed: what is around it ends without another wait.
    fn close(&mut self, py: Python<'_>) {
        self.give_up(py);
    }

    /// Shows what it holds to the garbage collector.
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError>;
}

impl Operation {
    /// In messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "Queue.aget",
            Self::SimpleGet => "SimpleQueue.aget",
            Self::Put => "Queue.aput",
            Self::Join => "Queue.ajoin",
            Self::AcquireLock => "Lock.aacquire",
            Self::EnterLock => "Lock.__aenter__",
            Self::AcquireRLock => "RLock.aacquire",
            Self::EnterRLock => "RLock.__aenter__",
            Self::AcquireSemaphore => "Semaphore.aacquire",
            Self::EnterSemaphore => "Semaphore.__aenter__",
            Self::WaitForEvent => "Event.await_",
            Self::WaitForNotification => "Condition.await_",
        }
    }

    /// What it returns when it is done.
    pub fn usual_result(self, py: Python<'_>) -> Bound<'_, PyAny> {
        match self {
            Self::AcquireLock
            | Self::AcquireRLock
            | Self::AcquireSemaphore
            | Self::WaitForEvent
            | Self::WaitForNotification => PyBool::new(py, true).to_owned().into_any(),
            Self::Get
            | Self::SimpleGet
            | Self::Put
            | Self::Join
            | Self::EnterLock
            | Self::EnterRLock
            | Self::EnterSemaphore => py.None().into_bound(py),
        }
    }

    /// Resumes it for the first time.
    ///
    /// # Errors
    /// What the operation raises; RuntimeError where it has to wait and no loop runs.
    pub fn begin<'py>(
        self,
        of: &Bound<'py, PyAny>,
        argument: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Step<'py>> {
        match self {
            Self::Get => try_and_wait(of.py(), Item::of_queue(of.cast()?)),
            Self::SimpleGet => try_and_wait(of.py(), Item::of_simple(of.cast()?)),
            Self::Put => try_and_wait(of.py(), Room::new(of.cast()?, argument.unwrap_or(of))),
            Self::Join => try_and_wait(of.py(), Finish::new(of.cast()?)),
            Self::AcquireLock | Self::EnterLock => try_and_wait(of.py(), Acquire::of_lock(of.cast()?)?),
            Self::AcquireRLock | Self::EnterRLock => try_and_wait(of.py(), Acquire::of_rlock(of.cast()?)?),
            Self::AcquireSemaphore | Self::EnterSemaphore => try_and_wait(of.py(), Permit::new(of.cast()?)),
            Self::WaitForEvent => try_and_wait(of.py(), Set::new(of.cast()?)),
            Self::WaitForNotification => try_and_wait(of.py(), Notification::new(of.cast()?)?),
        }
    }
}

fn try_and_wait<'py>(py: Python<'py>, mut want: impl Want + 'static) -> PyResult<Step<'py>> {
    let progress = want.attempt(py, None)?;
    over(progress).map_or_else(|| wait(py, Box::new(want)), Ok)
}

/// The end of an operation that is over.
fn over(progress: Progress<'_>) -> Option<Step<'_>> {
    match progress {
        Progress::Over(result) => Some(Step::Over(result)),
        Progress::Done => Some(Step::Done),
        Progress::Delegate(coroutine) => Some(Step::Delegate(coroutine)),
        Progress::NotYet => None,
    }
}

/// Enrols a wait of the running task.
fn wait<'py>(py: Python<'py>, mut want: Box<dyn Want>) -> PyResult<Step<'py>> {
    let (task_wait, waker) = TaskWait::new(&creating::running(py)?)?;
    let progress = want.attempt(py, Some(Who::Task(&waker, tasks::running_task(py)?)))?;
    if let Some(step) = over(progress) {
        return Ok(step);
    }
    let future = TaskWait::begin(&task_wait, want)?;
    Ok(Step::WaitWith { future, instead: task_wait.into_any() })
}

/// Resumes one that waits, when its future has its result.
///
/// # Errors
/// What the operation raises; RuntimeError when the wait has been given up, with its loop.
pub fn go_on<'py>(of: &Bound<'py, PyAny>) -> PyResult<Step<'py>> {
    let py = of.py();
    let mut want = TaskWait::end(of.cast()?)?;
    let progress = want.arrive(py)?;
    over(progress).map_or_else(|| wait(py, want), Ok)
}

/// Throws an exception into one that waits.
///
/// # Errors
/// The exception, when there is nothing more to wait for.
pub fn interrupt<'py>(of: &Bound<'py, PyAny>, error: PyErr) -> PyResult<Step<'py>> {
    let py = of.py();
    let Ok(mut want) = TaskWait::end(of.cast()?) else { return Err(error) };
    let progress = want.interrupt(py, error)?;
    over(progress).map_or_else(|| wait(py, want), Ok)
}

/// Ends one that waits.
///
/// # Errors
/// TypeError for what is no wait.
pub fn give_up(of: &Bound<'_, PyAny>) -> PyResult<()> {
    TaskWait::give_up(of.cast()?);
    Ok(())
}

/// Closes one that waits.
///
/// # Errors
/// TypeError for what is no wait.
pub fn close(of: &Bound<'_, PyAny>) -> PyResult<()> {
    TaskWait::close(of.cast()?);
    Ok(())
}
