//! What core reports, as the exceptions that the standard library raises.

use pyo3::exceptions::{PyRuntimeError, PyValueError};
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
