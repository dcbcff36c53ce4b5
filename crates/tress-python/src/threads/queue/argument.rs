//! Arguments of queues.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyType};

use super::wait::Patience;
use crate::base::argument::{Timeout, seconds};

/// An argument that may be left out, where None is as good as any other object.
pub struct Given(Option<Py<PyAny>>);

impl Given {
    pub const NOTHING: Self = Self(None);

    /// What was given, or 0.
    pub fn or_zero(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        match self.0 {
            Some(object) => Ok(object.into_bound(py)),
            None => Ok(0i32.into_pyobject(py)?.into_any()),
        }
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Given {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self(Some(object.to_owned().unbind())))
    }
}

/// The bound that a `maxsize` means: none at 0 and below.
pub fn bound(maxsize: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
    if let Ok(float) = maxsize.cast::<PyFloat>() {
        let size = float.value().ceil();
        // One that no number of items reaches, infinity or NaN, is none.
        return Ok((size > 0.0 && size < usize::MAX as f64).then_some(size as usize));
    }
    if !maxsize.hasattr(intern!(maxsize.py(), "__index__"))? {
        return Err(PyTypeError::new_err(format!(
            "maxsize must be a number of items, 0 for any number, not {}",
            maxsize.get_type().name()?
        )));
    }
    if maxsize.le(0)? { Ok(None) } else { Ok(maxsize.extract().ok()) }
}

/// How long `get` and `put` wait by their arguments.
pub fn patience(block: bool, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Patience> {
    let timeout = match timeout {
        _ if !block => return Ok(Patience::No),
        Some(timeout) if !timeout.is_none() => timeout,
        _ => return Ok(Patience::Until(None)),
    };
    let seconds = seconds(timeout)?;
    if seconds < 0.0 {
        return Err(PyValueError::new_err("'timeout' must be a non-negative number"));
    }
    Ok(match Timeout::of_seconds(seconds)? {
        Timeout::Now => Patience::No,
        timeout => Patience::Until(timeout.deadline()),
    })
}

/// `class[item]`.
pub fn generic_alias<'py>(
    class: &Bound<'py, PyType>,
    item: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    py.import(intern!(py, "types"))?.getattr(intern!(py, "GenericAlias"))?.call1((class, item))
}
