//! Futures that have ended, for one who takes them in the order in which they did.

use std::collections::VecDeque;

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tress_core::base::sync::Mutex;

use crate::threads::future::{Future, Outcome};

/// What is taken out, and the bell of whoever waits for something to be there. The mutexes are held for a few instructions, and no
/// Python code runs meanwhile.
#[pyclass(module = "tress._native", frozen)]
pub struct Ready {
    items: Mutex<VecDeque<Py<PyAny>>>,
    bells: Mutex<Vec<Py<Future>>>,
}

impl Ready {
    /// Whether nothing is there; also for a thread that is detached.
    pub fn is_empty(&self) -> bool {
        self.items.lock().is_empty()
    }
}

#[pymethods]
impl Ready {
    #[new]
    fn new() -> Self {
        Self { items: Mutex::new(VecDeque::new()), bells: Mutex::new(Vec::new()) }
    }

    /// Puts something in, and tells whoever waits.
    pub fn put(&self, py: Python<'_>, item: Py<PyAny>) -> PyResult<()> {
        self.items.lock().push_back(item);
        let bells = std::mem::take(&mut *self.bells.lock());
        for bell in bells {
            Future::finish(bell.bind(py), Outcome::Result(py.None()))?;
        }
        Ok(())
    }

    /// Has `bell` end when something is put in from here on. Look afterwards whether something is there.
    pub fn arm(&self, bell: Py<Future>) {
        self.bells.lock().push(bell);
    }

    /// Nobody waits for `bell` any more.
    pub fn disarm(&self, bell: Py<Future>) {
        let armed = {
            let mut bells = self.bells.lock();
            let index = bells.iter().position(|armed| armed.is(&bell));
            index.map(|index| bells.swap_remove(index))
        };
        drop(armed);
    }

    /// Takes out what has been there longest; None if nothing is.
    fn take(&self) -> Option<Py<PyAny>> {
        self.items.lock().pop_front()
    }

    fn __len__(&self) -> usize {
        self.items.lock().len()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Some(items) = self.items.try_lock() {
            for item in items.iter() {
                visit.call(item)?;
            }
        }
        if let Some(bells) = self.bells.try_lock() {
            for bell in bells.iter() {
                visit.call(bell)?;
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        drop(std::mem::take(&mut *self.items.lock()));
        drop(std::mem::take(&mut *self.bells.lock()));
    }
}
