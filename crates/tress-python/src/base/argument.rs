//! Arguments that several classes take: timeouts and truth values.

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat};
use tress_core::base::deadline::Deadline;

/// `threading.TIMEOUT_MAX`, in seconds.
pub const TIMEOUT_MAX: f64 = 9_223_372_036.0;

/// How long to wait at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Timeout {
    /// As long as it takes.
    Never,
    /// Not at all.
    Now,
    /// This many nanoseconds.
    Ns(u64),
}

impl Timeout {
    /// The deadline of a wait that begins now; `None` waits for ever. [`Timeout::Now`] is the caller's to handle first.
    pub fn deadline(self) -> Option<Deadline> {
        match self {
            Self::Never => None,
            Self::Now => Some(Deadline::at_ns(0)),
            Self::Ns(ns) => Some(Deadline::after_ns(ns)),
        }
    }

    /// `timeout` as `Condition.wait` and most of the standard library take it: None for ever, negative not at all.
    pub fn optional(timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        match timeout {
            None => Ok(Self::Never),
            Some(timeout) if timeout.is_none() => Ok(Self::Never),
            Some(timeout) => Self::of_seconds(seconds(timeout)?),
        }
    }

    /// This many seconds; 0 and less means not at all.
    pub fn of_seconds(seconds: f64) -> PyResult<Self> {
        if seconds > TIMEOUT_MAX {
            return Err(PyOverflowError::new_err(format!(
                "timeout value is too large: {seconds} s, at most threading.TIMEOUT_MAX = {TIMEOUT_MAX} s"
            )));
        }
        Ok(if seconds <= 0.0 { Self::Now } else { Self::Ns((seconds * 1e9).ceil() as u64) })
    }
}

/// A number of seconds: an int or a float, not NaN.
pub fn seconds(timeout: &Bound<'_, PyAny>) -> PyResult<f64> {
    let seconds = if let Ok(float) = timeout.cast::<PyFloat>() {
        float.value()
    } else if timeout.hasattr("__index__")? || timeout.hasattr("__float__")? {
        timeout.extract::<f64>()?
    } else {
        return Err(PyTypeError::new_err(format!(
            "timeout must be a number of seconds or None, not {}",
            timeout.get_type().name()?
        )));
    };
    if seconds.is_nan() {
        return Err(PyValueError::new_err("Invalid value NaN (not a number) for timeout, in seconds"));
    }
    Ok(seconds)
}

/// `blocking` and `timeout` as `Lock.acquire` takes them: -1 means for ever, and only a blocking call has a timeout.
#[derive(Clone, Copy, Debug)]
pub struct LockTimeout(f64);

impl LockTimeout {
    /// The default: no timeout.
    pub const FOREVER: Self = Self(-1.0);

    /// What both arguments say together.
    pub fn with(self, blocking: bool) -> PyResult<Timeout> {
        let Self(seconds) = self;
        if seconds == -1.0 {
            return Ok(if blocking { Timeout::Never } else { Timeout::Now });
        }
        if !blocking {
            return Err(PyValueError::new_err("can't specify a timeout for a non-blocking call"));
        }
        if seconds < 0.0 {
            return Err(PyValueError::new_err(format!(
                "timeout value must be a non-negative number of seconds, or -1 for no timeout: {seconds}"
            )));
        }
        Timeout::of_seconds(seconds)
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for LockTimeout {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        seconds(&object).map(Self)
    }
}

/// Any object, for its truth: `blocking=1` is as good as `blocking=True`.
#[derive(Clone, Copy, Debug)]
pub struct Truth(pub bool);

impl<'a, 'py> FromPyObject<'a, 'py> for Truth {
    type Error = PyErr;

    #[inline]
    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(bool) = object.cast::<PyBool>() {
            return Ok(Self(bool.is_true()));
        }
        object.is_truthy().map(Self)
    }
}

/// A number of things: any int. One of more than 63 bits counts as the largest (or smallest) there is.
#[derive(Clone, Copy, Debug)]
pub struct Count(pub i64);

impl Count {
    /// The default of most.
    pub const ONE: Self = Self(1);
}

impl<'a, 'py> FromPyObject<'a, 'py> for Count {
    type Error = PyErr;

    #[inline]
    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        match object.extract::<i64>() {
            Ok(count) => Ok(Self(count)),
            Err(error) if error.is_instance_of::<PyOverflowError>(object.py()) => {
                Ok(Self(if object.lt(0)? { i64::MIN } else { i64::MAX }))
            }
            Err(_) => {
                let kind = object.get_type().name()?.to_string();
                Err(PyTypeError::new_err(format!("must be an int, not {kind}")))
            }
        }
    }
}
