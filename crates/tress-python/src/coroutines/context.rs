//! Contexts, as `contextvars` has them.

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;

/// A copy of the present context.
///
/// # Errors
/// MemoryError.
#[inline]
pub fn copy_present(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: attached; the result is a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyContext_CopyCurrent()) }
}

/// A copy of that context.
///
/// # Errors
/// MemoryError.
pub fn copy_of<'py>(context: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: a live object, of which another class gives an exception; the result is a new reference, or null with one set.
    unsafe { Bound::from_owned_ptr_or_err(context.py(), ffi::PyContext_Copy(context.as_ptr())) }
}

/// Whether an argument is a context.
///
/// # Errors
/// TypeError when it is none.
#[inline]
pub fn check(given: &Bound<'_, PyAny>) -> PyResult<()> {
    // SAFETY: a comparison of types.
    if unsafe { ffi::PyContext_CheckExact(given.as_ptr()) } != 0 {
        return Ok(());
    }
    let kind = given.get_type().name()?;
    Err(PyTypeError::new_err(format!("context must be a contextvars.Context, not {kind}")))
}

/// Calls `f` in a context, which is left before this returns.
///
/// # Errors
/// RuntimeError if it has been entered already; what is not a context gives TypeError.
#[inline]
pub fn run<'py, R>(context: Borrowed<'_, 'py, PyAny>, f: impl FnOnce() -> R) -> PyResult<R> {
    // SAFETY: a live object, of which another class gives an exception.
    if unsafe { ffi::PyContext_Enter(context.as_ptr()) } != 0 {
        return Err(PyErr::fetch(context.py()));
    }
    let made = f();
    // SAFETY: it was entered above, and whatever has been entered since has been left.
    if unsafe { ffi::PyContext_Exit(context.as_ptr()) } != 0 {
        return Err(PyErr::fetch(context.py()));
    }
    Ok(made)
}
