//! Waiting for a turn, as the classes of `asyncio` do: a future for each who waits, in a `collections.deque`.

use pyo3::prelude::*;
use pyo3::types::PyBool;
use pyo3::{PyTraverseError, PyVisit, intern};

use crate::base::attached::Attached;

use super::creating;
use super::deque;
use super::future_state::{self, SET_RESULT};

/// Those who wait, the longest first: None until somebody does.
pub struct Waiters(Attached<Option<Py<PyAny>>>);

impl Waiters {
    pub const fn new() -> Self {
        Self(Attached::new(None))
    }

    pub fn get<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.0.with(py, |waiters| waiters.as_ref().map(|waiters| waiters.bind(py).clone()))
    }

    pub fn set(&self, py: Python<'_>, waiters: Option<Py<PyAny>>) {
        let before = self.0.with(py, |place| std::mem::replace(place, waiters));
        drop(before);
    }

    /// The container, if somebody is in it.
    fn occupied<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.get(py) {
            Some(waiters) if waiters.len()? > 0 => Ok(Some(waiters)),
            _ => Ok(None),
        }
    }

    /// Whether nobody waits who still wants a turn.
    pub fn are_all_cancelled(&self, py: Python<'_>) -> PyResult<bool> {
        let Some(waiters) = self.occupied(py)? else { return Ok(true) };
        for waiter in waiters.try_iter()? {
            if !future_state::is_cancelled(&waiter?)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A future of somebody who waits from now on, for an object with the attribute `_loop` and the method `_get_loop`.
    pub fn join<'py>(&self, of: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = of.py();
        let waiters = match self.get(py) {
            Some(waiters) => waiters,
            None => {
                let made = deque::new(py)?;
                self.set(py, Some(made.clone().unbind()));
                made
            }
        };
        join(&waiters, of)
    }

    pub fn leave(&self, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = future.py();
        match self.get(py) {
            Some(waiters) => deque::remove(&waiters, future),
            None => Ok(()),
        }
    }

    /// The first goes on, unless it has been told already.
    pub fn wake_first(&self, py: Python<'_>) -> PyResult<()> {
        match self.occupied(py)? {
            Some(waiters) => tell(&deque::first(&waiters)?),
            None => Ok(()),
        }
    }

    /// The first that has not been told yet goes on; false if there is none. `before` is done ahead of telling it.
    pub fn wake_next(&self, py: Python<'_>, before: impl FnOnce()) -> PyResult<bool> {
        let Some(waiters) = self.occupied(py)? else { return Ok(false) };
        for waiter in waiters.try_iter()? {
            let waiter = waiter?;
            if !future_state::is_done(&waiter)? {
                before();
                tell(&waiter)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub fn wake_all(&self, py: Python<'_>) -> PyResult<()> {
        let Some(waiters) = self.occupied(py)? else { return Ok(()) };
        if waiters.len()? == 1 {
            return tell(&deque::first(&waiters)?);
        }
        for waiter in waiters.try_iter()? {
            tell(&waiter?)?;
        }
        Ok(())
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.collected(|waiters| visit.call(&*waiters)).unwrap_or(Ok(()))
    }

    pub fn clear(&self) {
        let before = self.0.collected(|waiters| waiters.take());
        drop(before);
    }
}

/// A new future at the end of `waiters`, of the loop that runs: from the first wait on, `of` belongs to that loop.
pub fn join<'py>(waiters: &Bound<'py, PyAny>, of: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = of.py();
    let running = creating::running_own(py)?;
    let future = match running {
        Some(running) if of.getattr(intern!(py, "_loop"))?.is(&running) => creating::future(&running)?,
        // It raises for another loop, or none.
        _ => new_future(&of.call_method0(intern!(py, "_get_loop"))?)?,
    };
    deque::append(waiters, &future)?;
    Ok(future)
}

/// A future of any loop.
pub fn new_future<'py>(owner: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    match creating::own(owner)? {
        Some(owner) => creating::future(owner),
        None => owner.call_method0(intern!(owner.py(), "create_future")),
    }
}

/// Whoever waits goes on with True, unless that was told already, or the wait is given up.
pub fn tell(future: &Bound<'_, PyAny>) -> PyResult<()> {
    tell_with(future, PyBool::new(future.py(), true).as_any().as_borrowed())
}

/// The same with another result.
pub fn tell_with<'py>(future: &Bound<'py, PyAny>, result: Borrowed<'_, 'py, PyAny>) -> PyResult<()> {
    if future_state::is_done(future)? {
        return Ok(());
    }
    SET_RESULT.call(future, Some(result)).map(drop)
}
