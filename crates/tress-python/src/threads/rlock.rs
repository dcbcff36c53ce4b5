//! `RLock`.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};
use tress_core::base::thread_id::{self, ThreadId};
use tress_core::threads::rlock as core;

use crate::base::argument::{LockTimeout, Timeout, Truth};
use crate::base::raw::attached;
use crate::base::waits::what;
use crate::coroutines::lazy::{Attempt, LazyCoroutine, done};
use crate::coroutines::tasks;
use crate::error::Error;

use super::awaiting::{Operation, owning_task};
use super::blocking;
use super::lock::{holder, holder_text};

/// A lock that its owner may acquire again, as `threading.RLock`.
///
/// It must be released once for each time it was acquired, by the thread that acquired it. A wait without a timeout that
/// closes a cycle of locks raises `tress.DeadlockError`.
#[pyclass(module = "tress.threading", frozen, subclass, weakref)]
pub struct RLock {
    lock: core::RLock,
}

impl RLock {
    /// One that nobody holds.
    pub fn free() -> Self {
        Self { lock: core::RLock::new() }
    }

    pub fn core(&self) -> &core::RLock {
        &self.lock
    }

    /// What `with` does; `with_lock.rs` has the method.
    pub fn enter(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Self::acquire_within(slf, Timeout::Never)
    }

    /// The task that runs here, if it owns the lock.
    fn owning_task_here(&self, py: Python<'_>) -> PyResult<Option<ThreadId>> {
        let owner = self.lock.owner();
        if !thread_id::is_task(owner) || !self.lock.is_locked() {
            return Ok(None);
        }
        Ok(Some(tasks::running_task(py)?).filter(|task| *task == owner))
    }

    /// Whether the calling thread owns it, or the task that it runs.
    pub fn is_owned_here(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.lock.is_owned() || self.owning_task_here(py)?.is_some())
    }

    #[cold]
    fn release_of_task(&self) -> PyResult<()> {
        // SAFETY: it is released by methods of ours alone, which are called in threads that are attached.
        unsafe {
            attached(|py| {
                let task = self.owning_task_here(py)?.ok_or(Error::NotOwner)?;
                self.lock.release_as(task).map_err(Error::from)?.wake();
                Ok(())
            })
        }
    }

    fn acquire_within(slf: &Bound<'_, Self>, timeout: Timeout) -> PyResult<bool> {
        let lock = &slf.get().lock;
        if lock.try_acquire() {
            return Ok(true);
        }
        if let Some(task) = slf.get().owning_task_here(slf.py())? {
            return Ok(lock.try_acquire_as(task));
        }
        if timeout == Timeout::Now {
            return Ok(false);
        }
        let what = what("RLock.acquire", slf);
        let acquired = blocking::acquire_lock(slf.py(), lock.lock(), timeout.deadline(), what, true)?;
        if acquired {
            lock.taken(1);
        }
        Ok(acquired)
    }
}

#[pymethods]
impl RLock {
    /// Takes any arguments for the constructors of subclasses, as the standard class does; for itself, before 3.15, too.
    /// Arguments are a subclass's: of RLock itself they are ignored before Python 3.13, warned of until 3.15, then refused.
    #[new]
    #[classmethod]
    #[pyo3(signature = (*args, **kwargs), text_signature = "()")]
    fn new(
        class: &Bound<'_, PyType>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        if !args.is_empty() || kwargs.is_some_and(|kwargs| !kwargs.is_empty()) {
            refuse_arguments(class)?;
        }
        Ok(Self::free())
    }

    /// Acquires the lock, blocking or not; at once when the calling thread owns it.
    ///
    /// `timeout` is in seconds; -1 waits for ever. Returns True when the lock was acquired, False when it was not: because
    /// `blocking` is false and another thread holds it, or because the timeout passed. A timeout or a signal takes nothing.
    #[pyo3(signature = (blocking=Truth(true), timeout=LockTimeout::FOREVER), text_signature = "($self, blocking=True, timeout=-1)")]
    fn acquire(slf: &Bound<'_, Self>, blocking: Truth, timeout: LockTimeout) -> PyResult<bool> {
        Self::acquire_within(slf, timeout.with(blocking.0)?)
    }

    /// Releases the lock once. RuntimeError when neither the calling thread nor the task that it runs owns it.
    pub fn release(&self) -> PyResult<()> {
        match self.lock.release() {
            Ok(wakes) => {
                wakes.wake();
                Ok(())
            }
            Err(_) => self.release_of_task(),
        }
    }

    /// Acquires the lock; for coroutines: `await lock.aacquire()`, or `async with lock`. At once when the running task owns it.
    ///
    /// The owner is the task, and not the thread that runs it: another task of the same thread waits, and so does this one if the thread
    /// holds the lock by `acquire`. Waits in one order with threads and with coroutines of any loop. Returns True; RuntimeError where no
    /// task runs. A call that is cancelled takes nothing.
    fn aacquire<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, LazyCoroutine>> {
        LazyCoroutine::object(Attempt::Shared(Operation::AcquireRLock), slf.as_any(), None)
    }

    pub fn __aenter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        if slf.get().lock.try_acquire_as(owning_task(slf.py())?) {
            return done(slf.py());
        }
        LazyCoroutine::object(Attempt::Shared(Operation::EnterRLock), slf.as_any(), None).map(Bound::into_any)
    }

    #[pyo3(signature = (*_exc))]
    pub fn __aexit__<'py>(slf: &Bound<'py, Self>, _exc: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let lock = &slf.get().lock;
        // The task that entered it leaves it, also when its coroutine is closed by somebody else.
        let owner = lock.owner();
        if !thread_id::is_task(owner) {
            return Err(PyRuntimeError::new_err("cannot release un-acquired lock"));
        }
        lock.release_as(owner).map_err(Error::from)?.wake();
        done(slf.py())
    }

    /// Whether any thread holds the lock.
    #[cfg(Py_3_14)]
    fn locked(&self) -> bool {
        self.lock.is_locked()
    }

    /// Whether the calling thread owns the lock, or the task that it runs.
    fn _is_owned(&self, py: Python<'_>) -> PyResult<bool> {
        self.is_owned_here(py)
    }

    /// How often the calling thread, or the task that it runs, holds the lock: 0 when it does not own it.
    fn _recursion_count(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(if self.is_owned_here(py)? { self.lock.count() } else { 0 })
    }

    /// Releases the lock altogether; returns what `_acquire_restore` needs. RuntimeError when the calling thread does not own it.
    fn _release_save(&self) -> PyResult<(usize, u64)> {
        let owner = self.lock.owner();
        let (count, wakes) = self.lock.release_all().map_err(Error::from)?;
        wakes.wake();
        Ok((count, owner))
    }

    /// Acquires the lock as often as it was held before `_release_save`.
    fn _acquire_restore(slf: &Bound<'_, Self>, state: (usize, u64)) -> PyResult<()> {
        let (count, _) = state;
        blocking::restore_rlock(slf, count)
    }

    /// Frees the lock in the child of a fork, where its owner and its waiters do not exist.
    fn _at_fork_reinit(&self) {
        self.lock.reset_after_fork();
    }

    /// Numbers: `owner` (its thread, or None), `task` (the `id()` of the task that owns it, or None), `count` (how often it is held) and
    /// `waiters`.
    pub fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let numbers = PyDict::new(py);
        let (owner, task) = holder(self.lock.owner());
        numbers.set_item("owner", owner)?;
        numbers.set_item("task", task)?;
        numbers.set_item("count", self.lock.count())?;
        numbers.set_item("waiters", self.lock.lock().waiting())?;
        Ok(numbers)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let lock = &slf.get().lock;
        Ok(format!(
            "<{} {} object owner={} count={} waiters={} at {:p}>",
            if lock.is_locked() { "locked" } else { "unlocked" },
            slf.get_type().fully_qualified_name()?,
            holder_text(lock.owner()),
            lock.count(),
            lock.lock().waiting(),
            slf.as_ptr()
        ))
    }
}

#[cfg(not(Py_3_13))]
fn refuse_arguments(_class: &Bound<'_, PyType>) -> PyResult<()> {
    Ok(())
}

#[cfg(Py_3_13)]
fn refuse_arguments(class: &Bound<'_, PyType>) -> PyResult<()> {
    let py = class.py();
    if !class.is(py.get_type::<RLock>()) {
        return Ok(());
    }
    if cfg!(Py_3_15) {
        return Err(pyo3::exceptions::PyTypeError::new_err("RLock() takes no arguments"));
    }
    let deprecation = py.get_type::<pyo3::exceptions::PyDeprecationWarning>();
    let message = c"Passing arguments to RLock is deprecated and will be removed in 3.15";
    PyErr::warn(py, &deprecation, message, 1)
}
