//! What is between the waiters of a `multiprocessing.Condition` and who notifies them; its lock is elsewhere.

use pyo3::prelude::*;
use tress_core::processes::condition::{self as core, Ticket};
use tress_core::processes::patience::Patience;

use crate::attach;
use crate::base::argument::{Count, Timeout};
use crate::base::waits::what;
use crate::error::OrRaise;

use super::slot::Slot;

/// Who waits for a condition. All but `wait` is called with the condition's lock held.
#[pyclass(module = "tress._native", frozen)]
pub struct SharedCondition {
    condition: core::Condition,
}

#[pymethods]
impl SharedCondition {
    /// The condition in `slot`, or a new one.
    #[new]
    #[pyo3(signature = (slot=None))]
    fn new(slot: Option<&Bound<'_, Slot>>) -> PyResult<Self> {
        let condition = match slot {
            Some(slot) => core::Condition::of(slot.get().get()),
            None => core::Condition::new().or_raise()?,
        };
        Ok(Self { condition })
    }

    /// Where it is.
    #[getter]
    fn slot(&self) -> Slot {
        Slot::of(self.condition.slot())
    }

    /// Joins those who wait; the ticket to wait with.
    fn enrol(&self) -> u16 {
        self.condition.enrol().bits()
    }

    /// Waits for a notification, for `timeout` seconds at most; whether one came. If not, or if it raises, `leave` comes next.
    #[pyo3(signature = (ticket, timeout=None))]
    fn wait(slf: &Bound<'_, Self>, ticket: u16, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        let condition = &slf.get().condition;
        let ticket = Ticket::from_bits(ticket);
        let deadline = Timeout::optional(timeout)?.deadline();
        let mut patience = Patience::new();
        let _entry = tress_core::base::waits::enter(what("Condition.wait", slf), deadline);
        let attempt = |until| condition.attempt(ticket, &mut patience, until);
        Ok(attach::wait_shared(slf.py(), deadline, attempt)?.is_some())
    }

    /// Leaves those who wait; whether a notification has come after all.
    fn leave(&self, ticket: u16) -> bool {
        self.condition.leave(Ticket::from_bits(ticket))
    }

    /// Notifies `count` waiters, or all if there are fewer.
    fn notify(&self, count: Count) {
        self.condition.notify(usize::try_from(count.0).unwrap_or(0));
    }

    /// How many wait and have not been notified.
    fn waiting(&self) -> u64 {
        self.condition.waiting()
    }

    /// How many have been notified and have not noticed yet.
    fn under_way(&self) -> u64 {
        self.condition.under_way()
    }
}
