//! The locks of `asyncio` as far as nobody waits.
//!
//! The public classes are Python classes on top of these and of the standard library's, which do the waiting: they find `_locked`, `_value` and
//! `_waiters` where they expect them.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{PyTraverseError, PyVisit, intern};

use crate::base::attached::Attached;

use super::lazy::{Attempt, LazyCoroutine, done};

/// Those who wait, in the standard library's container: None until somebody does.
struct Waiters(Attached<Option<Py<PyAny>>>);

impl Waiters {
    const fn new() -> Self {
        Self(Attached::new(None))
    }

    fn get<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.0.with(py, |waiters| waiters.as_ref().map(|waiters| waiters.bind(py).clone()))
    }

    fn set(&self, py: Python<'_>, waiters: Option<Py<PyAny>>) {
        let before = self.0.with(py, |place| std::mem::replace(place, waiters));
        drop(before);
    }

    fn is_empty(&self, py: Python<'_>) -> PyResult<bool> {
        match self.get(py) {
            None => Ok(true),
            Some(waiters) => Ok(waiters.len()? == 0),
        }
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.collected(|waiters| visit.call(&*waiters)).unwrap_or(Ok(()))
    }

    fn clear(&self) {
        let before = self.0.collected(|waiters| waiters.take());
        drop(before);
    }
}

#[pyclass(module = "tress._native", frozen, subclass, weakref)]
pub struct LoopLock {
    is_locked: Attached<bool>,
    waiters: Waiters,
}

impl LoopLock {
    /// Takes it, if it is free and nobody waits for it.
    pub fn take(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let (py, this) = (slf.py(), slf.get());
        if this.is_locked.with(py, |is_locked| *is_locked) || !this.waiters.is_empty(py)? {
            return Ok(false);
        }
        this.is_locked.with(py, |is_locked| *is_locked = true);
        Ok(true)
    }
}

#[pymethods]
impl LoopLock {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { is_locked: Attached::new(false), waiters: Waiters::new() }
    }

    /// Waits until the lock is free, takes it, and returns True.
    fn acquire<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, LazyCoroutine>> {
        LazyCoroutine::object(Attempt::AcquireLock, slf.as_any(), None)
    }

    /// Gives the lock back; RuntimeError if nobody has it.
    fn release(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        if !this.is_locked.with(py, |is_locked| std::mem::replace(is_locked, false)) {
            return Err(PyRuntimeError::new_err("Lock is not acquired."));
        }
        if !this.waiters.is_empty(py)? {
            slf.call_method0(intern!(py, "_wake_up_first"))?;
        }
        Ok(())
    }

    /// Whether somebody has it.
    fn locked(&self, py: Python<'_>) -> bool {
        self.is_locked.with(py, |is_locked| *is_locked)
    }

    fn __aenter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        // It is awaited by whoever calls this, so that it may be taken at once.
        if Self::take(slf)? { done(slf.py()) } else { slf.call_method0(intern!(slf.py(), "_wait_and_enter")) }
    }

    #[pyo3(signature = (*_exc))]
    fn __aexit__<'py>(slf: &Bound<'py, Self>, _exc: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        Self::release(slf)?;
        done(slf.py())
    }

    #[getter(_locked)]
    fn get_locked(&self, py: Python<'_>) -> bool {
        self.locked(py)
    }

    #[setter(_locked)]
    fn set_locked(&self, py: Python<'_>, is_locked: bool) {
        self.is_locked.with(py, |place| *place = is_locked);
    }

    #[getter(_waiters)]
    fn get_waiters<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.waiters.get(py)
    }

    #[setter(_waiters)]
    fn set_waiters(&self, py: Python<'_>, waiters: Option<Py<PyAny>>) {
        self.waiters.set(py, waiters);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.waiters.traverse(&visit)
    }

    fn __clear__(&self) {
        self.waiters.clear();
    }
}

#[pyclass(module = "tress._native", frozen, subclass, weakref)]
pub struct LoopSemaphore {
    value: Attached<i64>,
    waiters: Waiters,
}

impl LoopSemaphore {
    /// Takes a permit, if there is one and nobody waits.
    pub fn take(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let (py, this) = (slf.py(), slf.get());
        if this.value.with(py, |value| *value <= 0) || !this.waiters.is_empty(py)? {
            return Ok(false);
        }
        this.value.with(py, |value| *value -= 1);
        Ok(true)
    }
}

#[pymethods]
impl LoopSemaphore {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { value: Attached::new(0), waiters: Waiters::new() }
    }

    /// Waits for a permit, takes it, and returns True.
    fn acquire<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, LazyCoroutine>> {
        LazyCoroutine::object(Attempt::AcquireSemaphore, slf.as_any(), None)
    }

    /// Gives a permit back.
    fn release(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        this.value.with(py, |value| *value += 1);
        if !this.waiters.is_empty(py)? {
            slf.call_method0(intern!(py, "_wake_up_next"))?;
        }
        Ok(())
    }

    fn __aenter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        if Self::take(slf)? { done(slf.py()) } else { slf.call_method0(intern!(slf.py(), "_wait_and_enter")) }
    }

    #[pyo3(signature = (*_exc))]
    fn __aexit__<'py>(slf: &Bound<'py, Self>, _exc: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        // A bounded one checks.
        slf.call_method0(intern!(slf.py(), "release"))?;
        done(slf.py())
    }

    #[getter(_value)]
    fn get_value(&self, py: Python<'_>) -> i64 {
        self.value.with(py, |value| *value)
    }

    #[setter(_value)]
    fn set_value(&self, py: Python<'_>, value: i64) {
        self.value.with(py, |place| *place = value);
    }

    #[getter(_waiters)]
    fn get_waiters<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.waiters.get(py)
    }

    #[setter(_waiters)]
    fn set_waiters(&self, py: Python<'_>, waiters: Option<Py<PyAny>>) {
        self.waiters.set(py, waiters);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.waiters.traverse(&visit)
    }

    fn __clear__(&self) {
        self.waiters.clear();
    }
}

#[pyclass(module = "tress._native", frozen, subclass, weakref)]
pub struct LoopEvent {
    is_set: Attached<bool>,
    waiters: Waiters,
}

impl LoopEvent {
    pub fn is_set_now(slf: &Bound<'_, Self>) -> bool {
        slf.get().is_set(slf.py())
    }
}

#[pymethods]
impl LoopEvent {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { is_set: Attached::new(false), waiters: Waiters::new() }
    }

    /// Whether it is set.
    fn is_set(&self, py: Python<'_>) -> bool {
        self.is_set.with(py, |is_set| *is_set)
    }

    /// Sets it: all who wait go on.
    fn set(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        if this.waiters.is_empty(py)? {
            this.is_set.with(py, |is_set| *is_set = true);
            return Ok(());
        }
        slf.call_method0(intern!(py, "_set_and_wake")).map(drop)
    }

    /// Unsets it: whoever waits from now on waits for the next `set`.
    fn clear(&self, py: Python<'_>) {
        self.is_set.with(py, |is_set| *is_set = false);
    }

    /// Waits until it is set, and returns True.
    fn wait<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, LazyCoroutine>> {
        LazyCoroutine::object(Attempt::WaitForEvent, slf.as_any(), None)
    }

    #[getter(_value)]
    fn get_value(&self, py: Python<'_>) -> bool {
        self.is_set(py)
    }

    #[setter(_value)]
    fn set_value(&self, py: Python<'_>, value: bool) {
        self.is_set.with(py, |place| *place = value);
    }

    #[getter(_waiters)]
    fn get_waiters<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.waiters.get(py)
    }

    #[setter(_waiters)]
    fn set_waiters(&self, py: Python<'_>, waiters: Option<Py<PyAny>>) {
        self.waiters.set(py, waiters);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.waiters.traverse(&visit)
    }

    fn __clear__(&self) {
        self.waiters.clear();
    }
}
