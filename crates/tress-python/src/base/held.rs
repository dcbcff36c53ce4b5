//! A Python object that a frozen class holds, for as long as the garbage collector lets it.
//!
//! Some objects in a cycle cannot break it: a bound method or a tuple, say. Whatever holds an arbitrary object must therefore
//! be able to let go of it, or a cycle through it is never freed.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tress_core::base::sync::Mutex;

/// See the module's documentation. The mutex is taken attached only, and no Python code runs while it is held.
pub struct Held(Mutex<Option<Py<PyAny>>>);

impl Held {
    /// Holds `object`.
    pub fn new(object: Py<PyAny>) -> Self {
        Self(Mutex::new(Some(object)))
    }

    /// The object. A finalizer of its own cycle may find that the garbage collector has taken it away: RuntimeError.
    pub fn get<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let object = self.0.lock().as_ref().map(|object| object.clone_ref(py));
        match object {
            Some(object) => Ok(object.into_bound(py)),
            None => Err(PyRuntimeError::new_err("the object is being freed by the garbage collector")),
        }
    }

    /// For `__traverse__`.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.0.try_lock() {
            Some(object) => visit.call(&*object),
            None => Ok(()),
        }
    }

    /// For `__clear__`.
    pub fn clear(&self) {
        let object = self.0.lock().take();
        drop(object);
    }
}
