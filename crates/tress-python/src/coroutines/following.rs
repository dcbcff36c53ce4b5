//! A future of a loop that follows one of an executor: what `run_in_executor` returns.
//!
//! As `asyncio.wrap_future`, for a future of tress's own: the same calls in the same threads and turns, without a closure, a handle or a
//! frame of Python for each.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use crate::base::attached::Attached;
use crate::base::calls;
use crate::threads::future::Future;
use crate::threads::future_class;

use super::arguments::Arguments;
use super::creating::{self, Found};
use super::event_loop::EventLoop;
use super::future_state::{self, ADD_DONE_CALLBACK, SET_RESULT};

static COPY: Found = Found::new("asyncio.futures", "_copy_future_state");

struct Pair {
    source: Py<Future>,
    destination: Py<PyAny>,
}

/// Called by each of the two when it ends, with itself; and by the loop, with nothing, when it is to copy the outcome.
#[pyclass(module = "tress._native", frozen)]
pub struct Following {
    owner: Py<EventLoop>,
    /// None once the outcome has been copied.
    pair: Attached<Option<Pair>>,
}

/// A future of the loop that ends as `source` does, and cancels it when it is cancelled itself. None if that is no future of tress's own.
///
/// # Errors
/// MemoryError.
pub fn follow<'py>(
    owner: &Bound<'py, EventLoop>,
    source: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = owner.py();
    if !future_class::is_own(source) {
        return Ok(None);
    }
    let destination = creating::future(owner)?;
    let pair =
        Pair { source: source.cast::<Future>()?.clone().unbind(), destination: destination.clone().unbind() };
    let following = Following { owner: owner.clone().unbind(), pair: Attached::new(Some(pair)) };
    let following = Bound::new(py, following)?;
    let callback = Some(following.as_any().as_borrowed());
    ADD_DONE_CALLBACK.call(&destination, callback)?;
    calls::method(source, intern!(py, "add_done_callback"), callback)?;
    Ok(Some(destination))
}

impl Following {
    fn pair<'py>(&self, py: Python<'py>) -> Option<(Bound<'py, Future>, Bound<'py, PyAny>)> {
        self.pair.with(py, |pair| {
            pair.as_ref().map(|pair| (pair.source.bind(py).clone(), pair.destination.bind(py).clone()))
        })
    }

    fn copy(&self, py: Python<'_>) -> PyResult<()> {
        // Taken: the source goes on holding this, and would be held by it.
        let Some(Pair { source, destination }) = self.pair.with(py, Option::take) else { return Ok(()) };
        let (source, destination) = (source.into_bound(py), destination.into_bound(py));
        match source.get().success(py) {
            Some(result) if !future_state::is_done(&destination)? => {
                SET_RESULT.call(&destination, Some(result.bind_borrowed(py))).map(drop)
            }
            _ => COPY.get(py)?.call1((source, destination)).map(drop),
        }
    }
}

#[pymethods]
impl Following {
    #[pyo3(signature = (ended = None))]
    fn __call__(slf: &Bound<'_, Self>, ended: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let Some(ended) = ended else { return this.copy(py) };
        let Some((source, destination)) = this.pair(py) else { return Ok(()) };
        if ended.is(&destination) {
            if future_state::is_cancelled(&destination)? {
                calls::method(&source, intern!(py, "cancel"), None)?;
            }
            return Ok(());
        }
        let owner = this.owner.bind(py);
        if cfg!(Py_3_14) && creating::running_own(py)?.is_some_and(|running| running.is(owner)) {
            return this.copy(py);
        }
        if owner.get().check_open().is_err() {
            return Ok(());
        }
        EventLoop::call_soon_with(owner, slf.as_any(), Arguments::NONE, None, true).map(drop)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.owner)?;
        let visited = self.pair.collected(|pair| match pair {
            Some(pair) => {
                visit.call(&pair.source)?;
                visit.call(&pair.destination)
            }
            None => Ok(()),
        });
        visited.unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        let out = self.pair.collected(Option::take);
        drop(out);
    }
}
