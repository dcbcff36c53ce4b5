//! The moment in which a new thread begins to run.

use pyo3::prelude::*;
use tress_core::base::deadline::Deadline;
use tress_core::base::waiter::Outcome;
use tress_core::threads::event::Event;

use crate::attach;

/// How long the starter looks for the new thread before it sleeps, in nanoseconds: about what the system takes to start one.
const LOOK_NS: u64 = 200_000;

/// Lets a thread that started another wait until that one runs.
///
/// The starter has nothing better to do, so it looks instead of sleeping: the new thread then need not wake it, and keeps the
/// interpreter until it blocks, as with the standard library.
#[pyclass(module = "tress._native", frozen)]
pub struct Start {
    begun: Event,
}

#[pymethods]
impl Start {
    #[new]
    fn new() -> Self {
        Self { begun: Event::new() }
    }

    /// Called by the new thread: it runs.
    fn tell(&self) {
        // Attached: who started a thread goes on when the thread lets it.
        self.begun.set().wake();
    }

    /// Waits until the thread runs, at most `timeout` seconds; whether it does.
    fn wait(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let Some(node) = self.begun.enrol() else { return Ok(true) };
        if attach::look(py, &node, LOOK_NS) {
            return Ok(true);
        }
        let deadline = Deadline::after_ns((timeout.max(0.0) * 1e9) as u64);
        match attach::wait_unseen(py, &node, Some(deadline)) {
            Ok(Outcome::Granted(_)) => Ok(true),
            Ok(_) => Ok(self.begun.cancel(&node)),
            Err(error) => {
                let _ = self.begun.cancel(&node);
                Err(error)
            }
        }
    }
}
