//! The locks of `asyncio`.
//!
//! The public classes are Python classes on top of these and of the standard library's, whose methods find `_locked`, `_value` and `_waiters`
//! where they expect them. Each who waits has a future among the waiters; what the classes do with it is what the standard library's do.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{PyTraverseError, PyVisit, intern};

use crate::base::attached::Attached;

use super::creating::Found;
use super::cycle;
use super::future_state;
use super::lazy::{Attempt, LazyCoroutine, Step, done};
use super::owner::Owner;
use super::waiting::Waiters;

// A class of the program's may have overridden anything: its blocks are the standard library's.
static LOCK: Found = Found::new("tress.asyncio._locks", "Lock");
static SEMAPHORE: Found = Found::new("tress.asyncio._locks", "Semaphore");
static BOUNDED_SEMAPHORE: Found = Found::new("tress.asyncio._locks", "BoundedSemaphore");
static STANDARD_LOCK: Found = Found::new("tress.asyncio._locks", "_StandardLock");
static STANDARD_SEMAPHORE: Found = Found::new("tress.asyncio._locks", "_StandardSemaphore");

#[pyclass(module = "tress._native", frozen, subclass, weakref)]
pub struct LoopLock {
    is_locked: Attached<bool>,
    owner: Owner,
    waiters: Waiters,
}

impl LoopLock {
    /// Takes it, if it is free and nobody waits for it.
    fn take(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let (py, this) = (slf.py(), slf.get());
        if this.locked(py) || !this.waiters.are_all_cancelled(py)? {
            return Ok(false);
        }
        this.become_locked(py)?;
        Ok(true)
    }

    fn become_locked(&self, py: Python<'_>) -> PyResult<()> {
        self.is_locked.with(py, |is_locked| *is_locked = true);
        self.owner.note_taken(py)
    }

    fn give_back(&self, py: Python<'_>) -> PyResult<()> {
        if !self.is_locked.with(py, |is_locked| std::mem::replace(is_locked, false)) {
            return Err(PyRuntimeError::new_err("Lock is not acquired."));
        }
        self.waiters.wake_first(py)
    }

    /// Leaves a block.
    pub fn leave<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if slf.get_type().is(LOCK.get(py)?) {
            // It is left by the task that has entered it.
            slf.get().give_back(py)?;
        } else {
            slf.call_method0(intern!(py, "release"))?;
        }
        done(py)
    }

    /// The task without which the lock does not become free; None where that cannot be told.
    pub fn owner<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        if self.locked(py) { self.owner.who(py) } else { None }
    }

    pub fn begin<'py>(slf: &Bound<'py, Self>) -> PyResult<Step<'py>> {
        if Self::take(slf)? {
            return Ok(Step::Done);
        }
        // It raises, before all, for the lock of another loop.
        let future = slf.get().waiters.join(slf)?;
        if let Err(error) = cycle::check(slf) {
            slf.get().waiters.leave(&future)?;
            return Err(error);
        }
        Ok(Step::Wait(future))
    }

    /// It has been released, and this one is the first.
    pub fn go_on<'py>(slf: &Bound<'py, Self>, future: &Bound<'py, PyAny>) -> PyResult<Step<'py>> {
        slf.get().waiters.leave(future)?;
        slf.get().become_locked(slf.py())?;
        Ok(Step::Done)
    }

    pub fn give_up(slf: &Bound<'_, Self>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        this.waiters.leave(future)?;
        // It may have been this one's turn.
        if this.locked(py) { Ok(()) } else { this.waiters.wake_first(py) }
    }
}

#[pymethods]
impl LoopLock {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { is_locked: Attached::new(false), owner: Owner::new(), waiters: Waiters::new() }
    }

    fn _begin_to_acquire<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, LazyCoroutine>> {
        LazyCoroutine::object(Attempt::AcquireLock, slf.as_any(), None)
    }

    /// Gives the lock back; RuntimeError if nobody has it.
    fn release(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().give_back(slf.py())?;
        slf.get().owner.note_released(slf.py())
    }

    /// Whether somebody has it.
    fn locked(&self, py: Python<'_>) -> bool {
        self.is_locked.with(py, |is_locked| *is_locked)
    }

    fn __aenter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        if !slf.get_type().is(LOCK.get(slf.py())?) {
            return STANDARD_LOCK.get(slf.py())?.call_method1(intern!(slf.py(), "__aenter__"), (slf,));
        }
        // It is awaited by whoever calls this, so that it may be taken at once.
        if Self::take(slf)? {
            return done(slf.py());
        }
        LazyCoroutine::object(Attempt::EnterLock, slf.as_any(), None).map(Bound::into_any)
    }

    #[pyo3(signature = (*_exc))]
    fn __aexit__<'py>(slf: &Bound<'py, Self>, _exc: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        Self::leave(slf)
    }

    #[getter(_locked)]
    fn get_locked(&self, py: Python<'_>) -> bool {
        self.locked(py)
    }

    #[setter(_locked)]
    fn set_locked(&self, py: Python<'_>, is_locked: bool) {
        self.is_locked.with(py, |place| *place = is_locked);
        self.owner.forget(py);
    }

    /// The task that is known to hold it; None if nobody does, or if another than that may release it.
    #[getter(_owner)]
    fn get_owner<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.owner(py)
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
    fn add(&self, py: Python<'_>, count: i64) {
        self.value.with(py, |value| *value += count);
    }

    /// Takes a permit, if there is one and nobody waits.
    fn take(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let (py, this) = (slf.py(), slf.get());
        if this.get_value(py) <= 0 || !this.waiters.are_all_cancelled(py)? {
            return Ok(false);
        }
        this.add(py, -1);
        Ok(true)
    }

    /// The first who waits gets a permit; false if nobody does.
    fn give(&self, py: Python<'_>) -> PyResult<bool> {
        self.waiters.wake_next(py, || self.add(py, -1))
    }

    /// Whoever came while others were ahead has waited, whatever there was.
    fn give_what_is_left(&self, py: Python<'_>) -> PyResult<()> {
        while self.get_value(py) > 0 && self.give(py)? {}
        Ok(())
    }

    pub fn begin<'py>(slf: &Bound<'py, Self>) -> PyResult<Step<'py>> {
        if Self::take(slf)? { Ok(Step::Done) } else { slf.get().waiters.join(slf).map(Step::Wait) }
    }

    /// It has been given a permit.
    pub fn go_on<'py>(slf: &Bound<'py, Self>, future: &Bound<'py, PyAny>) -> PyResult<Step<'py>> {
        slf.get().waiters.leave(future)?;
        slf.get().give_what_is_left(slf.py())?;
        Ok(Step::Done)
    }

    pub fn give_up(slf: &Bound<'_, Self>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        this.waiters.leave(future)?;
        if future_state::is_done(future)? && !future_state::is_cancelled(future)? {
            // A permit that it has been given goes back.
            this.add(py, 1);
        }
        this.give_what_is_left(py)
    }
}

#[pymethods]
impl LoopSemaphore {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { value: Attached::new(0), waiters: Waiters::new() }
    }

    fn _begin_to_acquire<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, LazyCoroutine>> {
        LazyCoroutine::object(Attempt::AcquireSemaphore, slf.as_any(), None)
    }

    /// Gives a permit back.
    fn release(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        this.add(py, 1);
        this.give(py).map(drop)
    }

    fn __aenter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let class = slf.get_type();
        if !class.is(SEMAPHORE.get(slf.py())?) && !class.is(BOUNDED_SEMAPHORE.get(slf.py())?) {
            return STANDARD_SEMAPHORE.get(slf.py())?.call_method1(intern!(slf.py(), "__aenter__"), (slf,));
        }
        if Self::take(slf)? {
            return done(slf.py());
        }
        LazyCoroutine::object(Attempt::EnterSemaphore, slf.as_any(), None).map(Bound::into_any)
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
    pub fn begin<'py>(slf: &Bound<'py, Self>) -> PyResult<Step<'py>> {
        if slf.get().is_set(slf.py()) { Ok(Step::Done) } else { slf.get().waiters.join(slf).map(Step::Wait) }
    }

    /// It has been set, and may be unset again by now.
    pub fn go_on<'py>(slf: &Bound<'py, Self>, future: &Bound<'py, PyAny>) -> PyResult<Step<'py>> {
        slf.get().waiters.leave(future)?;
        Ok(Step::Done)
    }

    pub fn give_up(slf: &Bound<'_, Self>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        slf.get().waiters.leave(future)
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
        if this.is_set.with(py, |is_set| std::mem::replace(is_set, true)) {
            return Ok(());
        }
        this.waiters.wake_all(py)
    }

    /// Unsets it: whoever waits from now on waits for the next `set`.
    fn clear(&self, py: Python<'_>) {
        self.is_set.with(py, |is_set| *is_set = false);
    }

    fn _begin_to_wait<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, LazyCoroutine>> {
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
