//! `RLock`.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};
use tress_core::threads::rlock as core;

use crate::base::argument::{LockTimeout, Timeout, Truth};
use crate::base::waits::what;
use crate::error::Error;

use super::blocking;

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

    fn acquire_within(slf: &Bound<'_, Self>, timeout: Timeout) -> PyResult<bool> {
        let lock = &slf.get().lock;
        if lock.try_acquire() {
            return Ok(true);
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

    /// Releases the lock once. RuntimeError when the calling thread does not own it.
    pub fn release(&self) -> PyResult<()> {
        self.lock.release().map_err(Error::from)?.wake();
        Ok(())
    }

    /// Whether any thread holds the lock.
    #[cfg(Py_3_14)]
    fn locked(&self) -> bool {
        self.lock.is_locked()
    }

    /// Whether the calling thread owns the lock.
    fn _is_owned(&self) -> bool {
        self.lock.is_owned()
    }

    /// How often the calling thread holds the lock: 0 when it does not own it.
    fn _recursion_count(&self) -> usize {
        if self.lock.is_owned() { self.lock.count() } else { 0 }
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

    /// Numbers: `owner` (its thread, or None), `count` (how often it is held) and `waiters`.
    pub fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let numbers = PyDict::new(py);
        numbers.set_item("owner", Some(self.lock.owner()).filter(|thread| *thread != 0))?;
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
            lock.owner(),
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
