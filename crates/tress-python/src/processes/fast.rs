//! The common calls of a SemLock, without PyO3's calling conventions: see `base::raw` and `threads::raw_methods`.

use std::ptr;

use pyo3::exceptions::{PyAttributeError, PyTypeError};
use pyo3::ffi::{self, METH_FASTCALL, METH_NOARGS, Py_ssize_t, PyMethodDef, PyMethodDefPointer, PyObject};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};

use super::semlock::SemLock;
use crate::base::raw::{Behind, attached};
use crate::threads::raw_methods::{Definition, add_to};

/// What a class on top of a SemLock is made of: `_semlock`, and `with`, which goes there.
///
/// A SemLock holds no objects, so nothing of this is ever part of a cycle.
#[pyclass(module = "tress._native", frozen, subclass, weakref)]
pub struct OnSemLock {
    semlock: PyOnceLock<Py<SemLock>>,
}

impl OnSemLock {
    #[inline]
    fn semlock<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, SemLock>> {
        match self.semlock.get(py) {
            Some(semlock) => Ok(semlock.bind(py)),
            None => Err(PyAttributeError::new_err("_semlock")),
        }
    }
}

#[pymethods]
impl OnSemLock {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { semlock: PyOnceLock::new() }
    }

    #[getter(_semlock)]
    fn get_semlock(&self, py: Python<'_>) -> PyResult<Py<SemLock>> {
        self.semlock(py).map(|semlock| semlock.clone().unbind())
    }

    /// Can be set once.
    #[setter(_semlock)]
    fn set_semlock(&self, py: Python<'_>, semlock: Py<SemLock>) -> PyResult<()> {
        self.semlock.set(py, semlock).map_err(|_| PyAttributeError::new_err("_semlock is set already"))
    }
}

/// Ends a call.
#[inline(always)]
fn ended(py: Python<'_>, outcome: PyResult<Option<bool>>) -> *mut PyObject {
    // SAFETY: attached; the three objects are never freed.
    unsafe {
        match outcome {
            Ok(Some(true)) => ffi::Py_NewRef(ffi::Py_True()),
            Ok(Some(false)) => ffi::Py_NewRef(ffi::Py_False()),
            Ok(None) => ffi::Py_NewRef(ffi::Py_None()),
            Err(error) => {
                error.restore(py);
                ptr::null_mut()
            }
        }
    }
}

#[cold]
#[inline(never)]
fn enter_waiting(semlock: &Bound<'_, SemLock>) -> *mut PyObject {
    // SAFETY: a bound object comes with a token for the interpreter.
    unsafe { attached(|py| ended(py, SemLock::enter(semlock).map(Some))) }
}

#[inline(always)]
fn enter(py: Python<'_>, semlock: &Bound<'_, SemLock>) -> *mut PyObject {
    if semlock.get().take_now() { ended(py, Ok(Some(true))) } else { enter_waiting(semlock) }
}

#[inline(always)]
fn leave(py: Python<'_>, semlock: &SemLock) -> *mut PyObject {
    match semlock.release() {
        Ok(()) => ended(py, Ok(None)),
        Err(error) => fail(error),
    }
}

#[cold]
#[inline(never)]
fn fail(error: PyErr) -> *mut PyObject {
    // SAFETY: only an entry point fails, in a thread that is attached.
    unsafe { attached(|py| ended(py, Err(error))) }
}

#[cold]
#[inline(never)]
fn refuse(count: Py_ssize_t) -> *mut PyObject {
    fail(PyTypeError::new_err(format!("__exit__ expected at most 3 arguments, got {count}")))
}

/// `acquire`, for the call without arguments.
static ACQUIRE: Behind = Behind::new();

unsafe extern "C" fn acquire(
    slf: *mut PyObject,
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the interpreter calls this, attached, with an instance of the class and its arguments; its caller holds a
    // reference for as long as the call lasts.
    unsafe {
        if count != 0 || !names.is_null() {
            return ACQUIRE.call(slf, arguments, count, names);
        }
        let py = Python::assume_attached();
        enter(py, &Borrowed::from_ptr(py, slf).cast_unchecked())
    }
}

unsafe extern "C" fn semlock_enter(slf: *mut PyObject, _unused: *mut PyObject) -> *mut PyObject {
    // SAFETY: as for `acquire`.
    unsafe {
        let py = Python::assume_attached();
        enter(py, &Borrowed::from_ptr(py, slf).cast_unchecked())
    }
}

unsafe extern "C" fn semlock_release(slf: *mut PyObject, _unused: *mut PyObject) -> *mut PyObject {
    // SAFETY: as for `acquire`.
    unsafe {
        let py = Python::assume_attached();
        leave(py, Borrowed::from_ptr(py, slf).cast_unchecked::<SemLock>().get())
    }
}

unsafe extern "C" fn semlock_exit(
    slf: *mut PyObject,
    _arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    if count > 3 {
        return refuse(count);
    }
    // SAFETY: as for `acquire`.
    unsafe { semlock_release(slf, ptr::null_mut()) }
}

unsafe extern "C" fn user_enter(slf: *mut PyObject, _unused: *mut PyObject) -> *mut PyObject {
    // SAFETY: as for `acquire`; the SemLock is never replaced, and so lives as long as its user.
    unsafe {
        let py = Python::assume_attached();
        match Borrowed::from_ptr(py, slf).cast_unchecked::<OnSemLock>().get().semlock(py) {
            Ok(semlock) => enter(py, semlock),
            Err(error) => fail(error),
        }
    }
}

unsafe extern "C" fn user_exit(
    slf: *mut PyObject,
    _arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    if count > 3 {
        return refuse(count);
    }
    // SAFETY: as for `user_enter`.
    unsafe {
        let py = Python::assume_attached();
        match Borrowed::from_ptr(py, slf).cast_unchecked::<OnSemLock>().get().semlock(py) {
            Ok(semlock) => leave(py, semlock.get()),
            Err(error) => fail(error),
        }
    }
}

type Unary = unsafe extern "C" fn(*mut PyObject, *mut PyObject) -> *mut PyObject;
type Fast = unsafe extern "C" fn(*mut PyObject, *mut *mut PyObject, Py_ssize_t) -> *mut PyObject;

const fn entering(function: Unary) -> Definition {
    Definition(PyMethodDef {
        ml_name: c"__enter__".as_ptr(),
        ml_meth: PyMethodDefPointer { PyCFunction: function },
        ml_flags: METH_NOARGS,
        ml_doc: c"__enter__($self, /)\n--\n\nAcquires the semaphore or lock, waiting as long as it takes."
            .as_ptr(),
    })
}

const fn leaving(function: Fast) -> Definition {
    Definition(PyMethodDef {
        ml_name: c"__exit__".as_ptr(),
        ml_meth: PyMethodDefPointer { PyCFunctionFast: function },
        ml_flags: METH_FASTCALL,
        ml_doc: c"__exit__($self, exc_type=None, exc_value=None, exc_tb=None, /)\n--\n\nReleases the semaphore or lock.".as_ptr(),
    })
}

static ENTER: Definition = entering(semlock_enter);
static EXIT: Definition = leaving(semlock_exit);
static USER_ENTER: Definition = entering(user_enter);
static USER_EXIT: Definition = leaving(user_exit);
static RELEASE: Definition = Definition(PyMethodDef {
    ml_name: c"release".as_ptr(),
    ml_meth: PyMethodDefPointer { PyCFunction: semlock_release },
    ml_flags: METH_NOARGS,
    ml_doc: c"release($self, /)\n--\n\nReleases the semaphore or lock.\n\nAssertionError for a recursive lock that the calling thread does not hold, ValueError when it is at its most already.".as_ptr(),
});

/// Puts them in their places.
pub fn install(py: Python<'_>) -> PyResult<()> {
    let (semlock, user) = (py.get_type::<SemLock>(), py.get_type::<OnSemLock>());
    add_to(&semlock, &RELEASE)?;
    add_to(&semlock, &ENTER)?;
    add_to(&semlock, &EXIT)?;
    add_to(&user, &USER_ENTER)?;
    add_to(&user, &USER_EXIT)?;
    // SAFETY: it serves calls without arguments and passes on the rest.
    unsafe { ACQUIRE.put(&semlock, "acquire", acquire) }
}
