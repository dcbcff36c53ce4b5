//! `Semaphore` and `BoundedSemaphore`.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use tress_core::threads::semaphore::{self as core, MOST, Take};

use crate::base::argument::{Count, Timeout, Truth};
use crate::base::waits::what;
use crate::coroutines::lazy::{Attempt, LazyCoroutine, done};
use crate::error::Error;

use super::awaiting::Operation;
use super::blocking;

/// No bound.
const UNBOUNDED: u64 = u64::MAX;

/// A counter of permits, as `threading.Semaphore`: `acquire` takes one and waits while there is none, `release` gives.
#[pyclass(module = "tress._native", frozen, subclass, weakref)]
pub struct Semaphore {
    semaphore: core::Semaphore,
    bound: AtomicU64,
}

impl Semaphore {
    pub fn core(&self) -> &core::Semaphore {
        &self.semaphore
    }

    fn bound(&self) -> Option<u64> {
        let bound = self.bound.load(Ordering::Relaxed);
        (bound != UNBOUNDED).then_some(bound)
    }

    fn acquire_within(slf: &Bound<'_, Self>, timeout: Timeout) -> PyResult<bool> {
        let semaphore = &slf.get().semaphore;
        if semaphore.try_acquire() == Take::Taken {
            return Ok(true);
        }
        if timeout == Timeout::Now {
            return Ok(false);
        }
        let what = what("Semaphore.acquire", slf);
        let taken = blocking::acquire_permit(slf.py(), semaphore, timeout.deadline(), what)?;
        Ok(taken == Take::Taken)
    }

    fn give(&self, count: u64) -> PyResult<()> {
        if count > MOST {
            return Err(too_many());
        }
        match self.semaphore.release(count, self.bound()) {
            Ok(wakes) => wakes.wake(),
            Err(_) if self.bound().is_none() => return Err(too_many()),
            Err(error) => return Err(Error::from(error).into()),
        }
        Ok(())
    }
}

fn too_many() -> PyErr {
    PyValueError::new_err("the value of a semaphore must fit in 61 bits")
}

#[pymethods]
impl Semaphore {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(value=1)")]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { semaphore: core::Semaphore::new(1), bound: AtomicU64::new(UNBOUNDED) }
    }

    #[pyo3(signature = (value=Count::ONE))]
    fn __init__(&self, value: Count) -> PyResult<()> {
        let value = u64::try_from(value.0)
            .map_err(|_| PyValueError::new_err("semaphore initial value must be >= 0"))?;
        if value > MOST {
            return Err(too_many());
        }
        self.semaphore.set_value(value);
        Ok(())
    }

    /// Takes a permit, waiting while there is none.
    ///
    /// `timeout` is in seconds, None waits for ever. Returns True, or False when `blocking` is false and there is none, or
    /// the timeout passed. A timeout or a signal takes nothing. ValueError for a timeout of a call that does not block.
    #[pyo3(signature = (blocking=Truth(true), timeout=None), text_signature = "($self, blocking=True, timeout=None)")]
    fn acquire(slf: &Bound<'_, Self>, blocking: Truth, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        if !blocking.0 {
            if timeout.is_some_and(|timeout| !timeout.is_none()) {
                return Err(PyValueError::new_err("can't specify timeout for non-blocking acquire"));
            }
            return Self::acquire_within(slf, Timeout::Now);
        }
        Self::acquire_within(slf, Timeout::optional(timeout)?)
    }

    /// Gives `n` permits; wakes as many waiters.
    ///
    /// ValueError when `n` is less than one, and, of a BoundedSemaphore, when the value would pass its initial value.
    #[pyo3(signature = (n=Count::ONE), text_signature = "($self, n=1)")]
    fn release(&self, n: Count) -> PyResult<()> {
        if n.0 < 1 {
            return Err(PyValueError::new_err("n must be one or more"));
        }
        self.give(n.0 as u64)
    }

    /// Takes a permit; for coroutines: `await semaphore.aacquire()`, or `async with semaphore`.
    ///
    /// Waits while there is none, in one order with threads and with coroutines of any loop; RuntimeError when it has to wait and no loop
    /// runs. Returns True. A call that is cancelled takes nothing.
    fn aacquire<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, LazyCoroutine>> {
        LazyCoroutine::object(Attempt::Shared(Operation::AcquireSemaphore), slf.as_any(), None)
    }

    fn __aenter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        if slf.get().semaphore.try_acquire() == Take::Taken {
            return done(slf.py());
        }
        LazyCoroutine::object(Attempt::Shared(Operation::EnterSemaphore), slf.as_any(), None)
            .map(Bound::into_any)
    }

    #[pyo3(signature = (*_exc))]
    fn __aexit__<'py>(slf: &Bound<'py, Self>, _exc: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        slf.get().give(1)?;
        done(slf.py())
    }

    fn __enter__(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Self::acquire_within(slf, Timeout::Never)
    }

    #[pyo3(signature = (_type=None, _value=None, _traceback=None))]
    fn __exit__(
        &self,
        _type: Option<&Bound<'_, PyAny>>,
        _value: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.give(1)
    }

    /// Permits to be had now.
    #[getter(_value)]
    fn value(&self) -> u64 {
        self.semaphore.value()
    }

    #[setter(_value)]
    fn set_value(&self, value: u64) {
        self.semaphore.set_value(value.min(MOST));
    }

    /// The most permits that there may be, or None.
    #[getter(_initial_value)]
    fn initial_value(&self) -> Option<u64> {
        self.bound()
    }

    /// Makes the present value the bound.
    fn _set_bound(&self) {
        self.bound.store(self.semaphore.value(), Ordering::Relaxed);
    }

    /// Numbers: `value`, `bound` (None without one) and `waiters`.
    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let numbers = PyDict::new(py);
        numbers.set_item("value", self.semaphore.value())?;
        numbers.set_item("bound", self.bound())?;
        numbers.set_item("waiters", self.semaphore.waiting())?;
        Ok(numbers)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let this = slf.get();
        let class = slf.get_type();
        let bound = this.bound().map_or(String::new(), |bound| format!("/{bound}"));
        Ok(format!(
            "<{}.{} at {:p}: value={}{}>",
            class.module()?,
            class.qualname()?,
            slf.as_ptr(),
            this.semaphore.value(),
            bound
        ))
    }
}
