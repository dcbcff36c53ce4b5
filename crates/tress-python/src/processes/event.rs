//! The flag behind `multiprocessing.Event`.

use pyo3::prelude::*;
use tress_core::processes::event as core;
use tress_core::processes::patience::Patience;

use crate::attach;
use crate::base::argument::Timeout;
use crate::base::waits::what;
use crate::error::OrRaise;

use super::slot::Slot;

/// A flag that processes wait for.
#[pyclass(module = "tress._native", frozen)]
pub struct SharedEvent {
    event: core::Event,
}

#[pymethods]
impl SharedEvent {
    /// The event in `slot`, or a new one.
    #[new]
    #[pyo3(signature = (slot=None))]
    fn new(slot: Option<&Bound<'_, Slot>>) -> PyResult<Self> {
        let event = match slot {
            Some(slot) => core::Event::of(slot.get().get()),
            None => core::Event::new().or_raise()?,
        };
        Ok(Self { event })
    }

    /// Where it is.
    #[getter]
    fn slot(&self) -> Slot {
        Slot::of(self.event.slot())
    }

    /// Whether it is set.
    fn is_set(&self) -> bool {
        self.event.is_set()
    }

    /// Sets it: everybody who waits for it goes on.
    fn set(&self) {
        self.event.set();
    }

    /// Clears it.
    fn clear(&self) {
        self.event.clear();
    }

    /// Waits until it is set, for `timeout` seconds at most; whether it has been.
    #[pyo3(signature = (timeout=None))]
    fn wait(slf: &Bound<'_, Self>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        let event = &slf.get().event;
        if event.is_set() {
            return Ok(true);
        }
        let timeout = Timeout::optional(timeout)?;
        if timeout == Timeout::Now {
            return Ok(false);
        }
        let (before, mut patience) = (event.now(), Patience::new());
        let deadline = timeout.deadline();
        let _entry = tress_core::base::waits::enter(what("Event.wait", slf), deadline);
        let attempt = |until| event.attempt(before, &mut patience, until);
        Ok(attach::wait_shared(slf.py(), deadline, attempt)?.is_some())
    }
}
