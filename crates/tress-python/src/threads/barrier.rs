//! `Barrier`.

use std::sync::OnceLock;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};
use tress_core::base::deadline::Deadline;
use tress_core::base::waiter::{Outcome, Signal, Waiter};
use tress_core::base::waits::What;
use tress_core::threads::barrier::{self as core, Arrival, TimedOut};

use crate::attach;
use crate::base::argument::{Count, Timeout};
use crate::base::calls;
use crate::base::held::Held;
use crate::base::waits::what;

struct Made {
    barrier: core::Barrier,
    action: Option<Held>,
    timeout: Option<Held>,
}

impl Made {
    fn held(&self) -> impl Iterator<Item = &Held> {
        self.action.iter().chain(&self.timeout)
    }
}

/// A meeting point for a fixed number of threads, as `threading.Barrier`.
#[pyclass(module = "tress._native", frozen, subclass, weakref)]
pub struct Barrier {
    made: OnceLock<Made>,
}

fn broken(py: Python<'_>) -> PyErr {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    match CLASS.import(py, "threading", "BrokenBarrierError") {
        Ok(class) => PyErr::from_type(class.clone(), ()),
        Err(error) => error,
    }
}

/// Waits as one of those that are not the last to arrive.
fn wait_for_others(
    py: Python<'_>,
    barrier: &core::Barrier,
    index: usize,
    node: &Waiter,
    mut deadline: Option<Deadline>,
    what: What,
) -> PyResult<usize> {
    loop {
        match attach::wait(py, node, deadline, what) {
            Ok(Outcome::Granted(Signal::Handed)) => return Ok(index),
            Ok(Outcome::Granted(_)) => return Err(broken(py)),
            Ok(_) => match barrier.time_out(node) {
                TimedOut::Met => return Ok(index),
                TimedOut::Acting => deadline = None,
                TimedOut::Broken(wakes) => {
                    wakes.wake();
                    return Err(broken(py));
                }
            },
            Err(error) => {
                // All may have met in the last moment: they pass, and this thread raises what it was told to.
                let _ = barrier.leave(index, node);
                return Err(error);
            }
        }
    }
}

impl Barrier {
    fn made(&self) -> PyResult<&Made> {
        self.made
            .get()
            .ok_or_else(|| pyo3::exceptions::PyRuntimeError::new_err("Barrier.__init__() not called"))
    }
}

#[pymethods]
impl Barrier {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(parties, action=None, timeout=None)")]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { made: OnceLock::new() }
    }

    #[pyo3(signature = (parties, action=None, timeout=None))]
    fn __init__(
        &self,
        parties: Count,
        action: Option<Py<PyAny>>,
        timeout: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let Count(count) = parties;
        if count < 1 {
            return Err(PyValueError::new_err(format!("parties must be >= 1, not {count}")));
        }
        let barrier = core::Barrier::new(count as usize);
        let made = Made { barrier, action: action.map(Held::new), timeout: timeout.map(Held::new) };
        let _ = self.made.set(made);
        Ok(())
    }

    /// Waits until all parties have called it; returns this thread's place, a different one from 0 to parties - 1 each.
    ///
    /// The last to arrive runs the barrier's action first. `timeout` is in seconds; without one the barrier's own counts.
    /// BrokenBarrierError when the barrier is or gets broken or is reset; a timeout breaks it for everybody.
    #[pyo3(signature = (timeout=None))]
    fn wait(slf: &Bound<'_, Self>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<usize> {
        let py = slf.py();
        let made = slf.get().made()?;
        let barrier = &made.barrier;
        let own = match &made.timeout {
            Some(own) if timeout.is_none_or(|timeout| timeout.is_none()) => Some(own.get(py)?),
            _ => None,
        };
        let timeout = Timeout::optional(own.as_ref().or(timeout))?;
        let deadline = timeout.deadline();
        let what = what("Barrier.wait", slf);
        loop {
            match barrier.arrive() {
                Arrival::Broken => return Err(broken(py)),
                Arrival::Last(index) => {
                    let action = made.action.as_ref().map(|action| action.get(py));
                    let acted =
                        action.map_or(Ok(()), |action| calls::call(&action?, &PyTuple::empty(py)).map(drop));
                    attach::wake(py, barrier.finish(acted.is_ok()));
                    return acted.map(|()| index);
                }
                Arrival::Waiting(index, node) => {
                    return wait_for_others(py, barrier, index, &node, deadline, what);
                }
                Arrival::Gate(node) => match attach::wait(py, &node, deadline, what) {
                    Ok(Outcome::Granted(_)) => {}
                    Ok(_) => {
                        barrier.leave_gate(&node);
                        barrier.abort().wake();
                        return Err(broken(py));
                    }
                    Err(error) => {
                        barrier.leave_gate(&node);
                        return Err(error);
                    }
                },
            }
        }
    }

    /// Empties the barrier: threads that wait get BrokenBarrierError. A broken barrier is whole again.
    fn reset(&self) -> PyResult<()> {
        self.made()?.barrier.reset().wake();
        Ok(())
    }

    /// Breaks the barrier: threads that wait, now or later, get BrokenBarrierError.
    fn abort(&self) -> PyResult<()> {
        self.made()?.barrier.abort().wake();
        Ok(())
    }

    /// How many threads it takes to pass.
    #[getter]
    fn parties(&self) -> PyResult<usize> {
        Ok(self.made()?.barrier.parties())
    }

    /// How many threads wait now.
    #[getter]
    fn n_waiting(&self) -> PyResult<usize> {
        Ok(self.made()?.barrier.waiting())
    }

    /// Whether it is broken.
    #[getter]
    fn broken(&self) -> PyResult<bool> {
        Ok(self.made()?.barrier.is_broken())
    }

    #[getter(_action)]
    fn action<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.made()?.action.as_ref().map(|action| action.get(py)).transpose()
    }

    #[getter(_timeout)]
    fn timeout<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.made()?.timeout.as_ref().map(|timeout| timeout.get(py)).transpose()
    }

    /// Numbers: `parties`, `waiters` and `broken`.
    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let barrier = &self.made()?.barrier;
        let numbers = PyDict::new(py);
        numbers.set_item("parties", barrier.parties())?;
        numbers.set_item("waiters", barrier.waiting())?;
        numbers.set_item("broken", barrier.is_broken())?;
        Ok(numbers)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let class = slf.get_type();
        let name = format!("{}.{} at {:p}", class.module()?, class.qualname()?, slf.as_ptr());
        let barrier = &slf.get().made()?.barrier;
        if barrier.is_broken() {
            return Ok(format!("<{name}: broken>"));
        }
        Ok(format!("<{name}: waiters={}/{}>", barrier.waiting(), barrier.parties()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        for held in self.made.get().into_iter().flat_map(Made::held) {
            held.traverse(&visit)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        for held in self.made.get().into_iter().flat_map(Made::held) {
            held.clear();
        }
    }
}
