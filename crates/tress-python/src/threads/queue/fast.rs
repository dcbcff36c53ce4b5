//! The common calls of `put` and `get`, ahead of the argument parser: see `base::raw`.

use pyo3::ffi;
use pyo3::prelude::*;

use super::class::Queue;
use super::simple::SimpleQueue;
use super::sorted;
use super::wait::Core;
use crate::base::raw::Behind;

/// What became of a common call.
enum Served<T> {
    Yes(T),
    /// It raised: the exception is set.
    Failed,
    /// It is not so common after all.
    No,
}

/// A class that stands on a core queue.
trait Holder: pyo3::PyClass<Frozen = pyo3::pyclass::boolean_struct::True> + Sync {
    fn queue(&self) -> &Core;
    fn is_sorted(&self) -> bool;
}

impl Holder for Queue {
    fn queue(&self) -> &Core {
        self.core()
    }

    fn is_sorted(&self) -> bool {
        self.is_sorted()
    }
}

impl Holder for SimpleQueue {
    fn queue(&self) -> &Core {
        self.core()
    }

    fn is_sorted(&self) -> bool {
        false
    }
}

/// Puts `item`, if that is a matter of this thread alone; gives it back otherwise.
#[inline(always)]
fn put_now<H: Holder>(py: Python<'_>, this: &H, item: Py<PyAny>) -> Result<Served<()>, Py<PyAny>> {
    if !this.is_sorted() {
        return this.queue().put_fast(item).map(Served::Yes);
    }
    let Some((item, items)) = this.queue().put_sorted_fast(item)? else { return Ok(Served::Yes(())) };
    Ok(match sorted::put(py, this.queue(), item, items, 1) {
        Ok(()) => Served::Yes(()),
        Err(error) => {
            error.restore(py);
            Served::Failed
        }
    })
}

/// Takes an item, if that is a matter of this thread alone.
#[inline(always)]
fn get_now<H: Holder>(py: Python<'_>, this: &H) -> Served<Py<PyAny>> {
    if !this.is_sorted() {
        return this.queue().get_fast().map_or(Served::No, Served::Yes);
    }
    let Some(items) = this.queue().get_sorted_fast() else { return Served::No };
    match sorted::get(py, this.queue(), items) {
        Ok(item) => item.map_or(Served::No, Served::Yes),
        Err(error) => {
            error.restore(py);
            Served::Failed
        }
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
) -> Served<()> {
    if count != 1 || !names.is_null() {
        return Served::No;
    }
    // SAFETY: by the caller's promise this thread is attached, `slf` is an instance of `H`, and there is an argument.
    let (py, this, item) = unsafe {
        let py = Python::assume_attached();
        let this = Borrowed::from_ptr(py, slf).cast_unchecked::<H>();
        (py, this, Bound::from_borrowed_ptr(py, *arguments).unbind())
    };
    match put_now(py, this.get(), item) {
        Ok(served) => served,
        Err(item) => {
            // SAFETY: this gives up the reference made above; the caller's own keeps the object alive.
            unsafe { ffi::Py_DECREF(item.into_ptr()) };
            Served::No
        }
    }
}

/// Takes an item, if that is all there is to do.
///
/// # Safety
/// `slf` is an instance of `H`; attached.
#[inline(always)]
unsafe fn try_get<H: Holder>(
    slf: *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> Served<Py<PyAny>> {
    if count != 0 || !names.is_null() {
        return Served::No;
    }
    // SAFETY: by the caller's promise this thread is attached and `slf` is an instance of `H`.
    let (py, this) = unsafe {
        let py = Python::assume_attached();
        (py, Borrowed::from_ptr(py, slf).cast_unchecked::<H>())
    };
    get_now(py, this.get())
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
                match try_put::<$class>(slf, arguments, count, names) {
                    Served::Yes(()) => ffi::Py_NewRef(ffi::Py_None()),
                    Served::Failed => std::ptr::null_mut(),
                    Served::No => $behind_put.call(slf, arguments, count, names),
                }
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
                match try_get::<$class>(slf, count, names) {
                    Served::Yes(item) => item.into_ptr(),
                    Served::Failed => std::ptr::null_mut(),
                    Served::No => $behind_get.call(slf, arguments, count, names),
                }
            }
        }
    };
}

entry_points!(Queue, QUEUE_PUT, queue_put, QUEUE_GET, queue_get);
entry_points!(SimpleQueue, SIMPLE_PUT, simple_put, SIMPLE_GET, simple_get);
