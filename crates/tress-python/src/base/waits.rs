//! The registry of waits, as Python objects.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyAny;
use pyo3::{PyTraverseError, PyVisit};
use tress_core::base::deadline::{Deadline, now_ns};
use tress_core::base::sync::Mutex;
use tress_core::base::waits::{self as registry, Entry, What};

use super::held::Held;

/// One wait: thread, operation, object, seconds since, seconds left or None, owner's thread or None.
type Wait = (u64, &'static str, Option<Py<PyAny>>, f64, Option<f64>, Option<u64>);

/// What `object` waits for in its method `operation`. The object stays alive as long as the call: its caller holds it.
pub fn what<T>(operation: &'static str, object: &Bound<'_, T>) -> What {
    What { operation, object: object.as_ptr() as usize }
}

/// The object behind a handle that [`what`] made.
///
/// # Safety
/// The wait that the handle is of must still be in the registry, or have been since this thread last attached.
pub unsafe fn object_of(py: Python<'_>, handle: usize) -> Option<Py<PyAny>> {
    if handle == 0 {
        return None;
    }
    // SAFETY: by the caller's promise the waiting thread has not come back through the door, for which it would need the
    // interpreter lock that this thread holds; so the object is still the argument of a call in progress, which owns it.
    Some(unsafe { Bound::from_borrowed_ptr(py, handle as *mut pyo3::ffi::PyObject) }.unbind())
}

/// Every wait in progress. `tress.waits()` is the public form.
#[pyfunction]
pub fn waits(py: Python<'_>) -> Vec<Wait> {
    let now = now_ns();
    let mut all = Vec::new();
    registry::visit(|waiting| {
        // SAFETY: the entry is in the registry: `visit` holds its lock.
        let object = unsafe { object_of(py, waiting.what.object) };
        let since = now.saturating_sub(waiting.since_ns) as f64 / 1e9;
        let left = waiting.deadline.map(|end| end.as_ns().saturating_sub(now) as f64 / 1e9);
        let owner = (waiting.owner != 0).then_some(waiting.owner);
        all.push((waiting.thread, waiting.what.operation, object, since, left, owner));
    });
    all
}

/// A wait outside the engine, made visible between `enter` and `leave`, which the same thread calls.
#[pyclass(module = "tress._native", frozen)]
pub struct Waiting {
    operation: &'static str,
    object: Held,
    entry: Mutex<Option<Entry>>,
}

/// The operations that are made visible so; the registry keeps names that live as long as the process.
const OPERATIONS: [&str; 1] = ["Thread.join"];

#[pymethods]
impl Waiting {
    #[new]
    fn new(operation: &str, object: Py<PyAny>) -> PyResult<Self> {
        let operation = OPERATIONS.into_iter().find(|known| *known == operation).ok_or_else(|| {
            PyValueError::new_err(format!("operation must be one of {OPERATIONS:?}, not {operation:?}"))
        })?;
        Ok(Self { operation, object: Held::new(object), entry: Mutex::new(None) })
    }

    #[pyo3(signature = (timeout=None))]
    fn enter(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        let object = self.object.get(py)?.as_ptr() as usize;
        let deadline = timeout.map(|seconds| Deadline::after_ns((seconds.max(0.0) * 1e9) as u64));
        let what = What { operation: self.operation, object };
        *self.entry.lock() = Some(registry::enter(what, deadline));
        Ok(())
    }

    fn leave(&self) {
        let entry = self.entry.lock().take();
        drop(entry);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.object.traverse(&visit)
    }

    fn __clear__(&self) {
        // A wait in progress is a call on some thread's stack, which the garbage collector does not reach.
        self.object.clear();
    }
}
