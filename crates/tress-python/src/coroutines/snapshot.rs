//! Contexts of calls that are made later.
//!
//! Each call has a context of its own, a copy of what was the present one. A timer may wait for long, and there may be very many: those
//! that were made one after another where the same values were set share one copy, the *snapshot*, of which each makes its own when it is
//! called, or when somebody asks for it.

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use crate::base::attached::Attached;

use super::context;

/// The last snapshot of a loop's, for as long as a timer that is to be called has it: so it keeps no value alive longer than a copy of
/// each timer's own would.
pub struct Snapshots(Attached<Option<Snapshot>>);

struct Snapshot {
    context: Py<PyAny>,
    values: *mut PyObject,
    /// How many timers have it.
    timers: usize,
}

// SAFETY: `values` is not followed, only compared.
unsafe impl Send for Snapshot {}

impl Snapshots {
    pub const fn new() -> Self {
        Self(Attached::new(None))
    }

    /// A copy of the present context, for a timer to share; and whether it is a snapshot, of which [`Self::give_back`] is told.
    ///
    /// # Errors
    /// MemoryError.
    #[inline]
    pub fn present(&self, py: Python<'_>) -> PyResult<(Py<PyAny>, bool)> {
        let copy = context::copy_present(py)?;
        let Some(values) = values(&copy) else { return Ok((copy.unbind(), false)) };
        let shared = self.0.with(py, |last| {
            let last = last.as_mut().filter(|last| last.values == values)?;
            last.timers += 1;
            Some(last.context.clone_ref(py))
        });
        if let Some(shared) = shared {
            return Ok((shared, true));
        }
        let snapshot = Snapshot { context: copy.clone().unbind(), values, timers: 1 };
        let replaced = self.0.with(py, |last| last.replace(snapshot));
        if let Some(replaced) = replaced {
            drop(replaced.context.into_bound(py));
        }
        Ok((copy.unbind(), true))
    }

    /// A timer no longer has this snapshot.
    #[inline]
    pub fn give_back(&self, py: Python<'_>, context: *mut PyObject) {
        let out = self.0.with(py, |place| {
            let last = place.as_mut().filter(|last| last.context.as_ptr() == context)?;
            last.timers -= 1;
            if last.timers == 0 { place.take() } else { None }
        });
        drop(out.map(|snapshot| snapshot.context.into_bound(py)));
    }

    /// The loop's timers are dropped.
    pub fn clear(&self) {
        let out = self.0.collected(Option::take);
        drop(out);
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.0.collected(|last| last.as_ref().map_or(Ok(()), |last| visit.call(&last.context)));
        visited.unwrap_or(Ok(()))
    }
}

/// What holds the values of a context that has not been entered: all that it refers to. It never changes, a context in which a variable is
/// set refers to another one; so whoever refers to the same one has the same values. None where it is otherwise.
#[inline]
fn values(context: &Bound<'_, PyAny>) -> Option<*mut PyObject> {
    let mut found = Found { object: ptr::null_mut(), count: 0 };
    // SAFETY: a live object, whose class has this function if it has garbage collection; it calls `note` with `found` alone.
    unsafe {
        let traverse = (*ffi::Py_TYPE(context.as_ptr())).tp_traverse?;
        traverse(context.as_ptr(), note, (&raw mut found).cast());
    }
    (found.count == 1).then_some(found.object)
}

struct Found {
    object: *mut PyObject,
    count: usize,
}

/// # Safety
/// `found` is a `Found`.
unsafe extern "C" fn note(object: *mut PyObject, found: *mut c_void) -> c_int {
    // SAFETY: by the caller's promise.
    let found = unsafe { &mut *found.cast::<Found>() };
    found.object = object;
    found.count += 1;
    0
}
