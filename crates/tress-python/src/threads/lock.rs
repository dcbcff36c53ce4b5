//! `Lock`.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use tress_core::base::thread_id::{self, ThreadId};
use tress_core::threads::lock as core;

use crate::base::argument::{LockTimeout, Timeout, Truth};
use crate::base::waits::what;
use crate::coroutines::lazy::{Attempt, LazyCoroutine, done};
use crate::coroutines::tasks;
use crate::error::Error;

use super::awaiting::Operation;
use super::blocking;

/// A mutual-exclusion lock, as `threading.Lock`.
///
/// Once a thread has acquired it, others that try to acquire it block until it is released; any thread may release it.
/// A wait without a timeout that closes a cycle of locks raises `tress.DeadlockError`.
#[pyclass(module = "tress.threading", frozen, weakref)]
pub struct Lock {
    lock: core::Lock,
}

impl Lock {
    pub fn core(&self) -> &core::Lock {
        &self.lock
    }

    /// What `with` does; `with_lock.rs` has the method.
    pub fn enter(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Self::acquire_within(slf, Timeout::Never)
    }

    fn acquire_within(slf: &Bound<'_, Self>, timeout: Timeout) -> PyResult<bool> {
        let lock = &slf.get().lock;
        if lock.try_acquire() {
            return Ok(true);
        }
        if timeout == Timeout::Now {
            return Ok(false);
        }
        blocking::acquire_lock(slf.py(), lock, timeout.deadline(), what("Lock.acquire", slf), true)
    }
}

#[pymethods]
impl Lock {
    #[cfg(Py_3_13)]
    #[new]
    fn new() -> Self {
        Self { lock: core::Lock::new() }
    }

    /// Acquires the lock, blocking or not.
    ///
    /// `timeout` is in seconds; -1 waits for ever. Returns True when the lock was acquired, False when it was not: because
    /// `blocking` is false and the lock is held, or because the timeout passed. A timeout or a signal takes nothing.
    #[pyo3(signature = (blocking=Truth(true), timeout=LockTimeout::FOREVER), text_signature = "($self, blocking=True, timeout=-1)")]
    fn acquire(slf: &Bound<'_, Self>, blocking: Truth, timeout: LockTimeout) -> PyResult<bool> {
        Self::acquire_within(slf, timeout.with(blocking.0)?)
    }

    /// Releases the lock, which any thread may do. RuntimeError when it is not locked.
    pub fn release(&self) -> PyResult<()> {
        self.lock.release().map_err(Error::from)?.wake();
        Ok(())
    }

    /// Acquires the lock; for coroutines: `await lock.aacquire()`, or `async with lock`.
    ///
    /// Waits while it is held, in one order with threads and with coroutines of any loop; RuntimeError when it has to wait and no loop
    /// runs. Returns True. A call that is cancelled takes nothing. The running task is the holder; anybody may release the lock.
    fn aacquire<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, LazyCoroutine>> {
        LazyCoroutine::object(Attempt::Shared(Operation::AcquireLock), slf.as_any(), None)
    }

    pub fn __aenter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        // It is awaited by whoever calls this, so that it may be taken at once.
        if slf.get().lock.try_acquire_as(tasks::running_task(slf.py())?) {
            return done(slf.py());
        }
        LazyCoroutine::object(Attempt::Shared(Operation::EnterLock), slf.as_any(), None).map(Bound::into_any)
    }

    #[pyo3(signature = (*_exc))]
    pub fn __aexit__<'py>(slf: &Bound<'py, Self>, _exc: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        slf.get().release()?;
        done(slf.py())
    }

    /// Whether the lock is held.
    fn locked(&self) -> bool {
        self.lock.is_locked()
    }

    /// An obsolete name of `acquire`.
    #[pyo3(signature = (blocking=Truth(true), timeout=LockTimeout::FOREVER), text_signature = "($self, blocking=True, timeout=-1)")]
    fn acquire_lock(slf: &Bound<'_, Self>, blocking: Truth, timeout: LockTimeout) -> PyResult<bool> {
        Self::acquire(slf, blocking, timeout)
    }

    /// An obsolete name of `release`.
    fn release_lock(&self) -> PyResult<()> {
        self.release()
    }

    /// An obsolete name of `locked`.
    fn locked_lock(&self) -> bool {
        self.locked()
    }

    /// Frees the lock in the child of a fork, where its owner and its waiters do not exist.
    fn _at_fork_reinit(&self) {
        self.lock.reset_after_fork();
    }

    /// Numbers: `locked`, `owner` (the thread that took it, or None), `task` (the `id()` of the task that took it, or None) and `waiters`.
    pub fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let numbers = PyDict::new(py);
        numbers.set_item("locked", self.lock.is_locked())?;
        let (owner, task) = holder(self.lock.taker());
        numbers.set_item("owner", owner)?;
        numbers.set_item("task", task)?;
        numbers.set_item("waiters", self.lock.waiting())?;
        Ok(numbers)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        let lock = &slf.get().lock;
        if lock.is_locked() {
            format!(
                "<locked tress.threading.Lock object owner={} waiters={} at {:p}>",
                holder_text(lock.taker()),
                lock.waiting(),
                slf.as_ptr()
            )
        } else {
            format!("<unlocked tress.threading.Lock object at {:p}>", slf.as_ptr())
        }
    }
}

/// The thread, or the `id()` of the task, that holds a lock under that number.
pub fn holder(number: ThreadId) -> (Option<ThreadId>, Option<usize>) {
    match thread_id::task_of(number) {
        None => (Some(number).filter(|thread| *thread != thread_id::NOBODY), None),
        task => (None, task.filter(|task| *task != 0)),
    }
}

/// The same, in words.
pub fn holder_text(number: ThreadId) -> String {
    match thread_id::task_of(number) {
        None => number.to_string(),
        Some(0) => "coroutine".to_string(),
        Some(task) => format!("task-{task:#x}"),
    }
}

/// Returns a new lock: what `threading.Lock` is before Python 3.13, and is named, so that it can be pickled.
#[pyfunction(name = "Lock")]
pub fn allocate_lock() -> Lock {
    Lock { lock: core::Lock::new() }
}
