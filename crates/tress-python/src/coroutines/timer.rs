//! What a loop calls later: one word for each, as there may be very many.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::ffi::PyObject;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit, intern};
use tress_core::coroutines::timers::Numbered;

use super::handle::TimerHandle;
use super::lazy::LazyCoroutine;

/// A reference to one of the objects of [`Kind`]; which it is stands in the low bits, as objects are at multiples of 8.
pub struct Timer(NonNull<PyObject>);

const SLEEPER: usize = 1;
const FOREIGN: usize = 2;
const KINDS: usize = SLEEPER | FOREIGN;

// SAFETY: it owns a reference, as `Py` does.
unsafe impl Send for Timer {}

/// What is called later.
pub enum Kind<'a, 'py> {
    Own(Borrowed<'a, 'py, TimerHandle>),
    /// A coroutine that sleeps, until it is woken or has given up.
    Sleeper(Borrowed<'a, 'py, LazyCoroutine>),
    Foreign(Borrowed<'a, 'py, ForeignTimer>),
}

/// A handle of the standard library's, as a loop in debug mode makes them.
#[pyclass(module = "tress._native", frozen)]
pub struct ForeignTimer {
    handle: Py<PyAny>,
    number: AtomicU64,
}

#[pymethods]
impl ForeignTimer {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.handle)
    }
}

impl ForeignTimer {
    pub fn handle<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.handle.bind(py).clone()
    }
}

impl Timer {
    fn of(object: Py<PyAny>, kind: usize) -> Self {
        // SAFETY: an object's address is not 0.
        Self(unsafe { NonNull::new_unchecked(object.into_ptr().map_addr(|at| at | kind)) })
    }

    pub fn own(handle: Py<TimerHandle>) -> Self {
        Self::of(handle.into_any(), 0)
    }

    pub fn sleeper(sleeper: Py<LazyCoroutine>) -> Self {
        Self::of(sleeper.into_any(), SLEEPER)
    }

    /// # Errors
    /// MemoryError.
    pub fn foreign(py: Python<'_>, handle: Py<PyAny>) -> PyResult<Self> {
        let foreign = Py::new(py, ForeignTimer { handle, number: AtomicU64::new(0) })?;
        Ok(Self::of(foreign.into_any(), FOREIGN))
    }

    fn object(&self) -> *mut PyObject {
        self.0.as_ptr().map_addr(|at| at & !KINDS)
    }

    #[inline]
    pub fn kind<'py>(&self, py: Python<'py>) -> Kind<'_, 'py> {
        // SAFETY: a live object, which this owns for as long as it is borrowed, of the class that the bits say.
        unsafe {
            let object = Borrowed::from_ptr(py, self.object());
            match self.0.addr().get() & KINDS {
                0 => Kind::Own(object.cast_unchecked()),
                SLEEPER => Kind::Sleeper(object.cast_unchecked()),
                _ => Kind::Foreign(object.cast_unchecked()),
            }
        }
    }

    pub fn is_cancelled(&self, py: Python<'_>) -> bool {
        match self.kind(py) {
            Kind::Own(handle) => handle.as_super().get().is_cancelled(py),
            Kind::Sleeper(sleeper) => !sleeper.get().is_waiting(py),
            // It is looked at when it comes up: to ask would call into Python.
            Kind::Foreign(_) => false,
        }
    }

    /// Its handle, if somebody may have it.
    pub fn handle<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        match self.kind(py) {
            Kind::Own(handle) => Some(handle.to_owned().into_any()),
            Kind::Foreign(foreign) => Some(foreign.get().handle(py)),
            Kind::Sleeper(_) => None,
        }
    }

    /// It has been taken out.
    ///
    /// # Errors
    /// What setting an attribute of a handle of the standard library's raises.
    pub fn note_taken(&self, py: Python<'_>) -> PyResult<()> {
        match self.kind(py) {
            Kind::Own(handle) => handle.as_super().get().note_taken(),
            Kind::Sleeper(_) => {}
            Kind::Foreign(foreign) => foreign.get().handle(py).setattr(intern!(py, "_scheduled"), false)?,
        }
        Ok(())
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        // SAFETY: a live object, of which this owns a reference that is not given up here; the collector holds the interpreter lock.
        let object = unsafe {
            ManuallyDrop::new(Bound::from_owned_ptr(Python::assume_attached(), self.object()).unbind())
        };
        visit.call(&*object)
    }
}

impl Numbered for Timer {
    fn number(&self) -> u64 {
        // SAFETY: a loop's timers are reached under the interpreter lock alone.
        match self.kind(unsafe { Python::assume_attached() }) {
            Kind::Own(handle) => handle.as_super().get().number(),
            Kind::Sleeper(sleeper) => sleeper.get().progress.get() as u64,
            Kind::Foreign(foreign) => foreign.get().number.load(Ordering::Relaxed),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a number is below 2**48, and a word has 64 bits")]
    fn set_number(&mut self, number: u64) {
        // SAFETY: as above.
        match self.kind(unsafe { Python::assume_attached() }) {
            Kind::Own(handle) => handle.as_super().get().set_number(number),
            Kind::Sleeper(sleeper) => sleeper.get().progress.set(number as usize),
            Kind::Foreign(foreign) => foreign.get().number.store(number, Ordering::Relaxed),
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY:
        // - A loop's timers are dropped by the loop, or by the collector: attached.
        // - This is the reference that is given up, and the only place that does.
        drop(unsafe { Bound::from_owned_ptr(Python::assume_attached(), self.object()) });
    }
}
