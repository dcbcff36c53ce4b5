//! The shared timers: one thread sleeps for all of them.

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tress_core::base::deadline::Deadline;
use tress_core::base::sync::{Arc, Mutex};
use tress_core::base::timer::{TimerId, Timers as Core};
use tress_core::base::waiter::{Cancel, Grant, Signal, Waiter};

use super::argument::{TIMEOUT_MAX, seconds};
use crate::attach;

/// The thread sleeps no longer at a time, so that it goes soon after the last timer was cancelled.
const LOOK_AGAIN_NS: u64 = 500_000_000;

#[derive(Default)]
struct State {
    timers: Core<Py<PyAny>>,
    sleeper: Option<Arc<Waiter>>,
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
        let mut sleeper = None;
        let mut state = self.state.lock();
        let (id, soonest) = state.timers.add(due, object);
        if soonest {
            sleeper = state.sleeper.take();
        }
        drop(state);
        if let Some(sleeper) = sleeper {
            if sleeper.grant(Signal::Retry) == Grant::Asleep {
                sleeper.wake();
            }
        }
        Ok(id.number())
    }

    /// Takes the object with this number out; whether it was still pending.
    fn cancel(&self, number: u64) -> bool {
        let object = self.state.lock().timers.cancel(TimerId::of_number(number));
        object.is_some()
    }

    /// Waits until an object is due and returns it; None after `patience` seconds in which none was pending.
    fn next(&self, py: Python<'_>, patience: f64) -> PyResult<Option<Py<PyAny>>> {
        let patience = Deadline::after_ns((patience.max(0.0) * 1e9) as u64);
        loop {
            let mut state = self.state.lock();
            if let Some(object) = state.timers.pop_due() {
                return Ok(Some(object));
            }
            let soonest = state.timers.soonest();
            if soonest.is_none() && patience.has_passed() {
                return Ok(None);
            }
            // What it sleeps for may be taken out meanwhile, which wakes nobody.
            let look_again = Deadline::after_ns(LOOK_AGAIN_NS);
            let soonest = Some(soonest.unwrap_or(patience).min(look_again));
            let sleeper = Arc::new(Waiter::new());
            state.sleeper = Some(sleeper.clone());
            drop(state);
            let ended = attach::wait_unseen(py, &sleeper, soonest);
            if sleeper.cancel() == Cancel::Cancelled {
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
