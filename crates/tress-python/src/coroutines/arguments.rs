//! The positional arguments of a call that waits to be made.

use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

use pyo3::ffi::PyObject;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{PyTraverseError, PyVisit};

use crate::base::calls;

/// None, one, or a tuple of them, in one word: most calls have none or one, and there may be many calls.
pub struct Arguments(*mut PyObject);

/// Set in the address of a tuple of several. Objects are at multiples of 8.
const MANY: usize = 1;

// SAFETY: it owns a reference, as `Py` does.
unsafe impl Send for Arguments {}

enum View {
    None,
    One(NonNull<PyObject>),
    Many(NonNull<PyObject>),
}

impl Arguments {
    pub const NONE: Self = Self(ptr::null_mut());

    #[inline]
    pub fn one(only: Py<PyAny>) -> Self {
        Self(only.into_ptr())
    }

    #[inline]
    pub fn many(all: Py<PyTuple>) -> Self {
        Self(all.into_ptr().map_addr(|at| at | MANY))
    }

    pub fn of(arguments: &Bound<'_, PyTuple>) -> Self {
        match arguments.len() {
            0 => Self::NONE,
            1 => match arguments.get_item(0) {
                Ok(only) => Self::one(only.unbind()),
                Err(_) => Self::many(arguments.clone().unbind()),
            },
            _ => Self::many(arguments.clone().unbind()),
        }
    }

    #[inline]
    fn view(&self) -> View {
        match NonNull::new(self.0.map_addr(|at| at & !MANY)) {
            None => View::None,
            Some(object) if self.0.addr() & MANY == 0 => View::One(object),
            Some(object) => View::Many(object),
        }
    }

    /// The object that it refers to, which it goes on owning.
    #[inline]
    fn object(&self, _: Python<'_>) -> Option<ManuallyDrop<Py<PyAny>>> {
        match self.view() {
            View::None => None,
            // SAFETY: a live object, of which this owns a reference; it is not given up here.
            View::One(object) | View::Many(object) => unsafe {
                Some(ManuallyDrop::new(
                    Bound::from_owned_ptr(Python::assume_attached(), object.as_ptr()).unbind(),
                ))
            },
        }
    }

    /// The argument, if there is one alone.
    #[inline]
    pub fn only<'a, 'py>(&'a self, py: Python<'py>) -> Option<Borrowed<'a, 'py, PyAny>> {
        match self.view() {
            // SAFETY: a live object, which this owns for as long as it is borrowed.
            View::One(only) => unsafe { Some(Borrowed::from_ptr(py, only.as_ptr())) },
            View::None | View::Many(_) => None,
        }
    }

    #[inline]
    pub fn clone_ref(&self, py: Python<'_>) -> Self {
        if let Some(object) = self.object(py) {
            std::mem::forget(object.clone_ref(py));
        }
        Self(self.0)
    }

    /// Without a look whether this thread is attached.
    #[inline]
    pub fn drop_attached(self, py: Python<'_>) {
        if let Some(object) = self.object(py) {
            drop(ManuallyDrop::into_inner(object).into_bound(py));
        }
        std::mem::forget(self);
    }

    pub fn tuple<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        match (self.view(), self.object(py)) {
            (View::Many(_), Some(all)) => Ok(all.bind(py).cast::<PyTuple>()?.clone()),
            (View::One(_), Some(only)) => PyTuple::new(py, [&*only]),
            _ => Ok(PyTuple::empty(py)),
        }
    }

    /// `callable(*self)`.
    ///
    /// # Errors
    /// What the call raises.
    #[inline]
    pub fn pass_to<'py>(&self, callable: Borrowed<'_, 'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = callable.py();
        // SAFETY: all are owned by the caller until this returns; what is many is a tuple.
        unsafe {
            match self.view() {
                View::None => calls::vectorcall(py, callable.as_ptr(), &[]),
                View::One(only) => calls::vectorcall(py, callable.as_ptr(), &[only.as_ptr()]),
                View::Many(all) => {
                    let all = Borrowed::from_ptr(py, all.as_ptr());
                    calls::call(&callable, &all.cast_unchecked::<PyTuple>())
                }
            }
        }
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        // SAFETY: the collector holds the interpreter lock.
        let object = self.object(unsafe { Python::assume_attached() });
        object.map_or(Ok(()), |object| visit.call(&*object))
    }
}

impl Drop for Arguments {
    fn drop(&mut self) {
        // SAFETY: nothing is done with the token but to make a reference, which then is dropped as any.
        if let Some(object) = self.object(unsafe { Python::assume_attached() }) {
            drop(ManuallyDrop::into_inner(object));
        }
    }
}
