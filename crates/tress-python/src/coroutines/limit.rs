//! A number that limits something, as a program gives it: what was given, and what it is compared by.

use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;

/// See the module's documentation.
#[derive(Default)]
pub struct Limit {
    pub number: f64,
    given: Option<Py<PyAny>>,
}

impl Limit {
    /// # Errors
    /// What the conversion of the number raises.
    pub fn of(given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let number = match given.extract::<f64>() {
            // As good as no limit, whatever its sign was.
            Err(error) if error.is_instance_of::<PyOverflowError>(given.py()) => f64::INFINITY,
            number => number?,
        };
        Ok(Self { number, given: Some(given.clone().unbind()) })
    }

    /// As it was given.
    pub fn given(&self) -> &Option<Py<PyAny>> {
        &self.given
    }
}
