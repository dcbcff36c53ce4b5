//! The common calls of `put` and `get`, ahead of the argument parser: see `base::raw`.

use pyo3::ffi;
use pyo3::prelude::*;

use super::class::Queue;
use super::simple::SimpleQueue;
use super::wait::Core;
use crate::base::raw::Behind;

/// A class that stands on a core queue.
trait Holder: pyo3::PyClass<Frozen = pyo3::pyclass::boolean_struct::True> + Sync {
    fn queue(&self) -> &Core;
}

impl Holder for Queue {
    fn queue(&self) -> &Core {
        self.core()
    }
}

impl Holder for SimpleQueue {
    fn queue(&self) -> &Core {
        self.core()
    }
}

/// Puts the entry points in front of the methods.
pub fn install(py: Python<'_>) -> PyResult<()> {
    let queue = py.get_type::<Queue>();
    let simple = py.get_type::<SimpleQueue>();
    // SAFETY: each function checks its arguments, serves `self` of the class that it is named after, and passes on the rest.
    unsafe {
        QUEUE_PUT.put(&queue, "put", queue_put)?;
        QUEUE_GET.put(&queue, "get", queue_get)?;
        SIMPLE_PUT.put(&simple, "put", simple_put)?;
        SIMPLE_GET.put(&simple, "get", simple_get)
    }
}

/// Puts the one argument, if that is all there is to do.
///
/// # Safety
/// `slf` is an instance of `H`, `arguments` holds `count` objects; attached.
#[inline(always)]
unsafe fn try_put<H: Holder>(
    slf: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> bool {
    if count != 1 || !names.is_null() {
        return false;
    }
    // SAFETY: by the caller's promise this thread is attached, `slf` is an instance of `H`, and there is an argument.
    let (this, item) = unsafe {
        let py = Python::assume_attached();
        let this = Borrowed::from_ptr(py, slf).cast_unchecked::<H>();
        (this, Bound::from_borrowed_ptr(py, *arguments).unbind())
    };
    match this.get().queue().put_fast(item) {
        Ok(()) => true,
        Err(item) => {
            // SAFETY: this gives up the reference made above; the caller's own keeps the object alive.
            unsafe { ffi::Py_DECREF(item.into_ptr()) };
            false
        }
    }
}

/// An item, if taking it is all there is to do; null without an exception otherwise.
///
/// # Safety
/// `slf` is an instance of `H`; attached.
#[inline(always)]
unsafe fn try_get<H: Holder>(
    slf: *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    if count != 0 || !names.is_null() {
        return std::ptr::null_mut();
    }
    // SAFETY: by the caller's promise this thread is attached and `slf` is an instance of `H`.
    let this = unsafe { Borrowed::from_ptr(Python::assume_attached(), slf).cast_unchecked::<H>() };
    this.get().queue().get_fast().map_or(std::ptr::null_mut(), Py::into_ptr)
}

macro_rules! entry_points {
    ($class:ty, $behind_put:ident, $put:ident, $behind_get:ident, $get:ident) => {
        static $behind_put: Behind = Behind::new();
        static $behind_get: Behind = Behind::new();

        unsafe extern "C" fn $put(
            slf: *mut ffi::PyObject,
            arguments: *const *mut ffi::PyObject,
            count: ffi::Py_ssize_t,
            names: *mut ffi::PyObject,
        ) -> *mut ffi::PyObject {
            // SAFETY: the interpreter calls this, attached, with an instance of the class and its arguments.
            unsafe {
                if try_put::<$class>(slf, arguments, count, names) {
                    return ffi::Py_NewRef(ffi::Py_None());
                }
                $behind_put.call(slf, arguments, count, names)
            }
        }

        unsafe extern "C" fn $get(
            slf: *mut ffi::PyObject,
            arguments: *const *mut ffi::PyObject,
            count: ffi::Py_ssize_t,
            names: *mut ffi::PyObject,
        ) -> *mut ffi::PyObject {
            // SAFETY: as above.
            unsafe {
                let item = try_get::<$class>(slf, count, names);
                if !item.is_null() {
                    return item;
                }
                $behind_get.call(slf, arguments, count, names)
            }
        }
    };
}

entry_points!(Queue, QUEUE_PUT, queue_put, QUEUE_GET, queue_get);
entry_points!(SimpleQueue, SIMPLE_PUT, simple_put, SIMPLE_GET, simple_get);
