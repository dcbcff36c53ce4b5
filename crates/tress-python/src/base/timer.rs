//! The shared timers: one thread sleeps for all of them.

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tress_core::base::deadline::Deadline;
use tress_core::base::sync::{Arc, Mutex};
use tress_core::base::timer::{TimerId, Timers as Core};
use tress_core::base::waiter::{Cancel, Grant, Signal, Waiter};

use super::argument::{TIMEOUT_MAX, seconds};
use crate::attach;

#[derive(Default)]
struct State {
    timers: Core<Py<PyAny>>,
    sleeper: Option<Sleeper>,
}

/// The thread in `next`, while it sleeps.
struct Sleeper {
    waiter: Arc<Waiter>,
    until: Deadline,
    /// Its patience is over: it sleeps for what is pending alone.
    ends_with_the_last: bool,
}

fn wake(sleeper: Option<Sleeper>) {
    if let Some(Sleeper { waiter, .. }) = sleeper {
        if waiter.grant(Signal::Retry) == Grant::Asleep {
            waiter.wake();
        }
    }
}

/// Objects and when they are due. One thread takes them out with `next`.
#[pyclass(module = "tress._native", frozen)]
pub struct Timers {
    state: Mutex<State>,
}

#[pymethods]
impl Timers {
    #[new]
    fn new() -> Self {
        Self { state: Mutex::new(State::default()) }
    }

    /// Adds `object`, due in `delay` seconds; returns its number for `cancel`.
    fn add(&self, delay: &Bound<'_, PyAny>, object: Py<PyAny>) -> PyResult<u64> {
        let delay = seconds(delay)?.clamp(0.0, TIMEOUT_MAX);
        let due = Deadline::after_ns((delay * 1e9).ceil() as u64);
        let mut state = self.state.lock();
        let (id, _) = state.timers.add(due, object);
        let sleeper = state.sleeper.take_if(|sleeper| due < sleeper.until);
        drop(state);
        wake(sleeper);
        Ok(id.number())
    }

    /// Takes the object with this number out; whether it was still pending.
    fn cancel(&self, number: u64) -> bool {
        let mut state = self.state.lock();
        let object = state.timers.cancel(TimerId::of_number(number));
        let none_left = state.timers.is_empty();
        let sleeper = state.sleeper.take_if(|sleeper| none_left && sleeper.ends_with_the_last);
        drop(state);
        wake(sleeper);
        object.is_some()
    }

    /// Waits until an object is due and returns it; None when none is pending after `patience` seconds, or at any later time.
    ///
    /// So long it does not sleep for what is due later: objects that are added and cancelled in turn wake nobody.
    fn next(&self, py: Python<'_>, patience: f64) -> PyResult<Option<Py<PyAny>>> {
        let patience = Deadline::after_ns((patience.max(0.0) * 1e9) as u64);
        loop {
            let mut state = self.state.lock();
            if let Some(object) = state.timers.pop_due() {
                return Ok(Some(object));
            }
            let ends_with_the_last = patience.has_passed();
            let until = match state.timers.soonest() {
                None if ends_with_the_last => return Ok(None),
                Some(soonest) if ends_with_the_last || soonest < patience => soonest,
                _ => patience,
            };
            let waiter = Arc::new(Waiter::new());
            state.sleeper = Some(Sleeper { waiter: waiter.clone(), until, ends_with_the_last });
            drop(state);
            let ended = attach::wait_unseen(py, &waiter, Some(until));
            if waiter.cancel() == Cancel::Cancelled {
                self.state.lock().sleeper = None;
            }
            let _ = ended?;
        }
    }

    /// Forgets all: for the child of a fork, where nobody sleeps for them.
    fn clear(&self) {
        let mut state = self.state.lock();
        state.sleeper = None;
        let objects = state.timers.take_all();
        drop(state);
        drop(objects);
    }

    fn __len__(&self) -> usize {
        self.state.lock().timers.len()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Some(state) = self.state.try_lock() {
            for object in state.timers.values() {
                visit.call(object)?;
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        self.clear();
    }
}
