//! Objects that are hidden from the garbage collector, while one owner alone refers to them.
//!
//! A burst of calls for a loop makes a handle and a context for each. The collector would look at every one of them again and again, and
//! finds nothing: they are in no cycle but those through the loop, which visits what they refer to in their place. So they are hidden
//! from it until somebody else has a reference to them.

use std::ffi::{c_int, c_void};
use std::mem::ManuallyDrop;

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

/// Hides an object.
///
/// # Safety
/// - It is a live object of a class with garbage collection; attached.
/// - Its owner calls [`show`] before it lets go of it, unless its destructor takes hidden objects; and [`traverse`] where it is visited
///   itself.
#[inline]
pub unsafe fn hide(object: *mut PyObject) {
    // SAFETY: by the caller's promise.
    unsafe { ffi::PyObject_GC_UnTrack(object.cast()) };
}

/// # Safety
/// As for [`hide`].
#[inline]
pub unsafe fn is_hidden(object: *mut PyObject) -> bool {
    // SAFETY: by the caller's promise.
    unsafe { ffi::PyObject_GC_IsTracked(object) == 0 }
}

/// Shows it to the collector again, if it is hidden.
///
/// # Safety
/// As for [`hide`]; all its fields are there.
#[inline]
pub unsafe fn show(object: *mut PyObject) {
    // SAFETY: by the caller's promise; an object is tracked once.
    unsafe {
        if is_hidden(object) {
            ffi::PyObject_GC_Track(object.cast());
        }
    }
}

/// Visits an object, or what it refers to if it is hidden and nobody else has a reference to it. What is hidden and has others is left
/// alone, as what the collector knows nothing of: it stays.
pub fn traverse<T>(object: &Py<T>, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
    let at = object.as_ptr();
    // SAFETY: a live object of a class with garbage collection, as all that is traversed here; the collector holds the interpreter lock,
    // and its visit may be made through another function, with the reference to it as the argument, for as long as that one lasts.
    unsafe {
        if !is_hidden(at) {
            return visit.call(object);
        }
        let (1, Some(traverse)) = (ffi::Py_REFCNT(at), (*ffi::Py_TYPE(at)).tp_traverse) else {
            return Ok(());
        };
        let mut outcome = Visit { visit, error: None };
        traverse(at, visit_through, (&raw mut outcome).cast());
        outcome.error.map_or(Ok(()), Err)
    }
}

struct Visit<'a, 'v> {
    visit: &'a PyVisit<'v>,
    error: Option<PyTraverseError>,
}

/// # Safety
/// `visit` is a `Visit`, and `object` a live object.
unsafe extern "C" fn visit_through(object: *mut PyObject, visit: *mut c_void) -> c_int {
    // SAFETY: by the caller's promise. The reference is borrowed: it is not dropped here.
    unsafe {
        let Visit { visit, error } = &mut *visit.cast::<Visit<'_, '_>>();
        let object = ManuallyDrop::new(Bound::from_owned_ptr(Python::assume_attached(), object).unbind());
        match visit.call(&*object) {
            Ok(()) => 0,
            Err(stop) => {
                *error = Some(stop);
                1
            }
        }
    }
}
