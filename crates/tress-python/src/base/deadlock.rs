//! What a cycle of locks becomes in Python: an exception, a warning or nothing.

use std::sync::atomic::{AtomicU8, Ordering};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use tress_core::base::waits::Cycle;

use super::waits::object_of;

/// What to do about a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Raise,
    Warn,
    Off,
}

const NAMES: [&str; 3] = ["raise", "warn", "off"];
const MODES: [Mode; 3] = [Mode::Raise, Mode::Warn, Mode::Off];
static MODE: AtomicU8 = AtomicU8::new(0);

/// What is set now.
pub fn mode() -> Mode {
    MODES[MODE.load(Ordering::Relaxed) as usize]
}

/// "raise", "warn" or "off".
#[pyfunction]
pub fn deadlock_mode() -> &'static str {
    NAMES[MODE.load(Ordering::Relaxed) as usize]
}

/// Sets what becomes of a cycle of locks. `tress.deadlock()` is the public form.
#[pyfunction]
pub fn set_deadlock_mode(mode: &str) -> PyResult<()> {
    let index = NAMES.iter().position(|name| *name == mode).ok_or_else(|| {
        PyValueError::new_err(format!("mode must be 'raise', 'warn' or 'off', not {mode:?}"))
    })?;
    MODE.store(index as u8, Ordering::Relaxed);
    Ok(())
}

/// Tells Python of a cycle, in words that name threads, locks and lines; an error if it is to be raised.
///
/// `may_raise` is false where an exception would leave the caller's object in a state it cannot be in, such as a condition
/// whose lock is not held after a wait.
pub fn report(py: Python<'_>, cycle: &Cycle, may_raise: bool) -> PyResult<()> {
    let links = PyList::empty(py);
    for link in &cycle.links {
        // SAFETY: the cycle was read from the registry by this thread, which has been attached ever since.
        links.append((link.thread, unsafe { object_of(py, link.wants) }))?;
    }
    let raise = may_raise && mode() == Mode::Raise;
    py.import("tress._deadlock")?.call_method1("report", (links, raise))?;
    Ok(())
}
