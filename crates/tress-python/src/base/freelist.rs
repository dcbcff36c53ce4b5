//! Objects of classes that keep a list of free ones.

use pyo3::PyClass;
use pyo3::ffi;
use pyo3::prelude::*;

/// A new object, known to the garbage collector: one that comes from the list of free ones is not yet.
///
/// # Errors
/// MemoryError.
///
/// # Safety
/// The class takes part in garbage collection: it has a `__traverse__`.
#[inline]
pub unsafe fn object<T: PyClass>(
    py: Python<'_>,
    value: impl Into<PyClassInitializer<T>>,
) -> PyResult<Bound<'_, T>> {
    let object = Bound::new(py, value)?;
    // SAFETY: a live object of a class that the collector knows (by the caller's promise), all of whose fields are there.
    unsafe {
        if ffi::PyObject_GC_IsTracked(object.as_ptr()) == 0 {
            ffi::PyObject_GC_Track(object.as_ptr().cast());
        }
    }
    Ok(object)
}
