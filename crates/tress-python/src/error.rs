//! What core reports, as the exceptions that the standard library raises.

use std::io;

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use tress_core::threads::{lock, rlock, semaphore};

/// Everything that core can report.
pub enum Error {
    NotLocked,
    NotOwner,
    AboveBound,
}

impl From<lock::NotLocked> for Error {
    fn from(_: lock::NotLocked) -> Self {
        Self::NotLocked
    }
}

impl From<rlock::NotOwner> for Error {
    fn from(_: rlock::NotOwner) -> Self {
        Self::NotOwner
    }
}

impl From<semaphore::AboveBound> for Error {
    fn from(_: semaphore::AboveBound) -> Self {
        Self::AboveBound
    }
}

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        match error {
            Error::NotLocked => PyRuntimeError::new_err("release unlocked lock"),
            Error::NotOwner => PyRuntimeError::new_err("cannot release un-acquired lock"),
            Error::AboveBound => PyValueError::new_err("Semaphore released too many times"),
        }
    }
}

/// What the kernel reports, as Python's own modules raise it: with `errno`, and of the class that is for it.
pub fn os_error(py: Python<'_>, error: &io::Error) -> PyErr {
    match error.raw_os_error() {
        // SAFETY: attached; errno is this thread's own, and the call always sets an exception.
        Some(code) => unsafe {
            *libc::__errno_location() = code;
            ffi::PyErr_SetFromErrno(ffi::PyExc_OSError);
            PyErr::fetch(py)
        },
        None => PyOSError::new_err(error.to_string()),
    }
}

/// For results that are handed to Python.
pub trait OrRaise<T> {
    /// The value, or the exception for the error.
    fn or_raise(self) -> PyResult<T>;
}

impl<T> OrRaise<T> for io::Result<T> {
    fn or_raise(self) -> PyResult<T> {
        self.map_err(|error| Python::attach(|py| os_error(py, &error)))
    }
}
