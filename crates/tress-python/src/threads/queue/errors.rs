//! The exceptions of queues: the standard library's own, where it has them.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

static EMPTY: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static FULL: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static SHUT_DOWN: PyOnceLock<Py<PyType>> = PyOnceLock::new();

#[cold]
fn raise(py: Python<'_>, cell: &PyOnceLock<Py<PyType>>, module: &str, name: &str) -> PyErr {
    match cell.import(py, module, name) {
        Ok(class) => PyErr::from_type(class.clone(), ()),
        Err(error) => error,
    }
}

pub fn empty(py: Python<'_>) -> PyErr {
    raise(py, &EMPTY, "_queue", "Empty")
}

pub fn full(py: Python<'_>) -> PyErr {
    raise(py, &FULL, "queue", "Full")
}

pub fn shut_down(py: Python<'_>) -> PyErr {
    raise(py, &SHUT_DOWN, "tress._open_queue", "ShutDown")
}
