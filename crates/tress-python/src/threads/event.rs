//! `Event`.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use tress_core::base::waiter::Outcome;
use tress_core::base::waits::What;
use tress_core::threads::event as core;

use crate::attach;
use crate::base::argument::Timeout;
use crate::base::waits::what;
use crate::coroutines::lazy::{Attempt, LazyCoroutine};

use super::awaiting::Operation;

/// A flag that threads wait for, as `threading.Event`.
#[pyclass(module = "tress._native", frozen, subclass, weakref)]
pub struct Event {
    event: core::Event,
}

impl Event {
    pub fn core(&self) -> &core::Event {
        &self.event
    }

    fn wait_as(slf: &Bound<'_, Self>, timeout: Option<&Bound<'_, PyAny>>, what: What) -> PyResult<bool> {
        let event = &slf.get().event;
        if event.is_set() {
            return Ok(true);
        }
        let timeout = Timeout::optional(timeout)?;
        if timeout == Timeout::Now {
            return Ok(false);
        }
        let deadline = timeout.deadline();
        let Some(node) = event.enrol() else { return Ok(true) };
        match attach::wait(slf.py(), &node, deadline, what) {
            Ok(Outcome::Granted(_)) => Ok(true),
            Ok(_) => Ok(event.cancel(&node)),
            Err(error) => {
                // An event takes nothing from whoever sets it: there is nothing to give back.
                let _ = event.cancel(&node);
                Err(error)
            }
        }
    }
}

#[pymethods]
impl Event {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "()")]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { event: core::Event::new() }
    }

    fn __init__(&self) {}

    /// Whether the event is set.
    fn is_set(&self) -> bool {
        self.event.is_set()
    }

    /// Sets the event: every thread that waits for it goes on, and later waits return at once.
    fn set(&self, py: Python<'_>) {
        attach::wake(py, self.event.set());
    }

    /// Clears the event: waits block again until it is set.
    fn clear(&self) {
        self.event.clear();
    }

    /// Waits until the event is set.
    ///
    /// `timeout` is in seconds, None waits for ever. Returns True, or False when the timeout passed first. The wait of a
    /// thread that was already waiting when `set` was called ends with True, even if `clear` follows at once.
    #[pyo3(signature = (timeout=None))]
    fn wait(slf: &Bound<'_, Self>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        Self::wait_as(slf, timeout, what("Event.wait", slf))
    }

    /// Waits until the event is set; for coroutines of any loop: `await event.await_()`.
    ///
    /// Returns True; RuntimeError when it has to wait and no loop runs. As with `wait`, one that was already waiting when `set` was called
    /// goes on, even if `clear` follows at once.
    fn await_<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, LazyCoroutine>> {
        LazyCoroutine::object(Attempt::Shared(Operation::WaitForEvent), slf.as_any(), None)
    }

    /// As `wait`, by one that joins `thread`, and is seen to do so.
    #[pyo3(signature = (thread, timeout=None))]
    fn _wait_to_join(
        slf: &Bound<'_, Self>,
        thread: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        Self::wait_as(slf, timeout, what("Thread.join", thread))
    }

    /// Forgets the waiters in the child of a fork, where they do not exist; the flag stays.
    fn _at_fork_reinit(&self) {
        self.event.reset_after_fork();
    }

    /// Numbers: `set` and `waiters`.
    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let numbers = PyDict::new(py);
        numbers.set_item("set", self.event.is_set())?;
        numbers.set_item("waiters", self.event.waiting())?;
        Ok(numbers)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let event = &slf.get().event;
        let class = slf.get_type();
        let state = if event.is_set() { "set" } else { "unset" };
        Ok(format!("<{}.{} at {:p}: {}>", class.module()?, class.qualname()?, slf.as_ptr(), state))
    }
}
