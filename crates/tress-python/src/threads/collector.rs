//! `wait` and `as_completed`: one wait for many futures, ours and others.

use pyo3::exceptions::{PyTimeoutError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PySet, PyString};
use pyo3::{PyTraverseError, PyVisit, intern};
use tress_core::base::collector::Collector;
use tress_core::base::deadline::Deadline;
use tress_core::base::sync::{Arc, Mutex};
use tress_core::base::waiter::Outcome;
use tress_core::base::waitlist::Wakes;
use tress_core::base::waits::What;

use crate::attach;
use crate::base::argument::Timeout;
use crate::base::calls;

use super::future::Future;

/// What stands in the `_waiters` of a future that is not ours: it has the methods that such a future calls.
#[pyclass(module = "tress._native", frozen)]
pub struct FutureObserver {
    collector: Arc<Collector>,
    token: usize,
}

impl FutureObserver {
    fn tell(&self, failed: bool) {
        let mut wakes = Wakes::none();
        self.collector.arrived(self.token, failed, &mut wakes);
        wakes.wake();
    }
}

#[pymethods]
impl FutureObserver {
    fn add_result(&self, _future: &Bound<'_, PyAny>) {
        self.tell(false);
    }

    fn add_exception(&self, _future: &Bound<'_, PyAny>) {
        self.tell(true);
    }

    fn add_cancelled(&self, _future: &Bound<'_, PyAny>) {
        self.tell(false);
    }
}

/// Where a future of any kind stands, for one that waits for several.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Open,
    Ended,
    Failed,
}

fn standing_of_other(future: &Bound<'_, PyAny>) -> PyResult<Standing> {
    let py = future.py();
    let state = future.getattr(intern!(py, "_state"))?;
    let state = state.cast::<PyString>()?.to_str()?;
    Ok(match state {
        "FINISHED" if future.getattr(intern!(py, "_exception"))?.is_none() => Standing::Ended,
        "FINISHED" => Standing::Failed,
        "CANCELLED_AND_NOTIFIED" => Standing::Ended,
        _ => Standing::Open,
    })
}

fn standing(future: &Bound<'_, PyAny>) -> PyResult<Standing> {
    match future.cast::<Future>() {
        Ok(ours) if !ours.get().completion().state().is_settled() => Ok(Standing::Open),
        Ok(ours) if ours.get().has_failed() => Ok(Standing::Failed),
        Ok(_) => Ok(Standing::Ended),
        Err(_) => standing_of_other(future),
    }
}

/// Runs `work` with the condition of a future that is not ours.
fn with_condition<R>(future: &Bound<'_, PyAny>, work: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
    let py = future.py();
    let condition = future.getattr(intern!(py, "_condition"))?;
    calls::method(&condition, intern!(py, "acquire"), None)?;
    let made = work();
    calls::method(&condition, intern!(py, "release"), None)?;
    made
}

/// Has `collector` told when `future` ends, or at once if it has. Returns what was left in a future that is not ours, for
/// [`unobserve`] to take out again.
fn observe(
    future: &Bound<'_, PyAny>,
    collector: &Arc<Collector>,
    token: usize,
) -> PyResult<Option<Py<FutureObserver>>> {
    let py = future.py();
    let mut left = None;
    let standing = match future.cast::<Future>() {
        Ok(ours) if ours.get().completion().observe(collector, token) => return Ok(None),
        Ok(_) => standing(future)?,
        Err(_) => with_condition(future, || {
            let standing = standing_of_other(future)?;
            if standing == Standing::Open {
                let observer = Py::new(py, FutureObserver { collector: collector.clone(), token })?;
                left = Some(observer.clone_ref(py));
                future.getattr(intern!(py, "_waiters"))?.call_method1(intern!(py, "append"), (observer,))?;
            }
            Ok(standing)
        })?,
    };
    if standing != Standing::Open {
        let mut wakes = Wakes::none();
        collector.arrived(token, standing == Standing::Failed, &mut wakes);
        wakes.wake();
    }
    Ok(left)
}

/// Undoes [`observe`], whether or not the future has ended since.
fn unobserve(
    future: &Bound<'_, PyAny>,
    collector: &Arc<Collector>,
    left: Option<&Py<FutureObserver>>,
) -> PyResult<()> {
    let py = future.py();
    if let Ok(ours) = future.cast::<Future>() {
        ours.get().completion().unobserve(collector);
    }
    let Some(left) = left else { return Ok(()) };
    with_condition(future, || {
        let waiters = future.getattr(intern!(py, "_waiters"))?;
        if waiters.contains(left)? {
            waiters.call_method1(intern!(py, "remove"), (left,))?;
        }
        Ok(())
    })
}

/// Waits until `collector` has what it wants, or the deadline passes.
fn collect(
    py: Python<'_>,
    collector: &Collector,
    deadline: Option<Deadline>,
    operation: &'static str,
    object: usize,
) -> PyResult<bool> {
    let Some(node) = collector.enrol() else { return Ok(true) };
    match attach::wait(py, &node, deadline, What { operation, object }) {
        Ok(Outcome::Granted(_)) => Ok(true),
        Ok(_) => Ok(collector.cancel(&node)),
        Err(error) => {
            // What has arrived stays with the collector.
            let _ = collector.cancel(&node);
            Err(error)
        }
    }
}

/// Splits `futures` into those that have ended and the others, after waiting as `return_when` says.
#[pyfunction]
pub fn wait_futures<'py>(
    futures: &Bound<'py, PySet>,
    timeout: Option<&Bound<'py, PyAny>>,
    return_when: &Bound<'py, PyAny>,
) -> PyResult<(Bound<'py, PySet>, Bound<'py, PySet>)> {
    let py = futures.py();
    let mut open = Vec::new();
    let mut failed = false;
    for future in futures {
        match standing(&future)? {
            Standing::Open => open.push(future),
            Standing::Ended => {}
            Standing::Failed => failed = true,
        }
    }
    let first = return_when.eq(intern!(py, "FIRST_COMPLETED"))?;
    let first_exception = return_when.eq(intern!(py, "FIRST_EXCEPTION"))?;
    let enough = open.is_empty() || (first && open.len() < futures.len()) || (first_exception && failed);
    if !enough {
        if !first && !first_exception && !return_when.eq(intern!(py, "ALL_COMPLETED"))? {
            return Err(PyValueError::new_err(format!("Invalid return condition: {}", return_when.repr()?)));
        }
        let timeout = Timeout::optional(timeout)?;
        if timeout != Timeout::Now {
            let wanted = if first { 1 } else { open.len() };
            let collector = Arc::new(Collector::counting(wanted, first_exception));
            wait_open(py, &open, &collector, timeout.deadline(), futures.as_ptr() as usize)?;
        }
        open.retain(|future| !matches!(standing(future), Ok(Standing::Ended | Standing::Failed)));
    }
    if open.is_empty() {
        return Ok((futures.clone(), PySet::empty(py)?));
    }
    let not_done = PySet::new(py, &open)?;
    let done = if open.len() == futures.len() {
        PySet::empty(py)?
    } else {
        futures.as_any().sub(&not_done)?.cast_into::<PySet>()?
    };
    Ok((done, not_done))
}

fn wait_open(
    py: Python<'_>,
    open: &[Bound<'_, PyAny>],
    collector: &Arc<Collector>,
    deadline: Option<Deadline>,
    object: usize,
) -> PyResult<()> {
    let mut left = Vec::new();
    let mut waited = Ok(());
    for (token, future) in open.iter().enumerate() {
        match observe(future, collector, token) {
            Ok(None) => {}
            Ok(Some(observer)) => left.push((token, observer)),
            Err(error) => {
                waited = Err(error);
                break;
            }
        }
    }
    let waited = waited.and_then(|()| collect(py, collector, deadline, "wait", object));
    let mut cleaned = Ok(());
    let mut left = left.iter().peekable();
    for (token, future) in open.iter().enumerate() {
        let observer = left.next_if(|(of, _)| *of == token).map(|(_, observer)| observer);
        cleaned = cleaned.and(unobserve(future, collector, observer));
    }
    waited.and(cleaned)
}

/// A future that has not been given out, and what was left in it.
struct Observed {
    future: Py<PyAny>,
    left: Option<Py<FutureObserver>>,
}

struct Remaining {
    /// By token; None once it was given out.
    futures: Vec<Option<Observed>>,
    count: usize,
}

/// The iterator behind `as_completed`.
#[pyclass(module = "tress._native", frozen)]
pub struct Completed {
    collector: Arc<Collector>,
    deadline: Option<Deadline>,
    total: usize,
    remaining: Mutex<Remaining>,
}

impl Completed {
    /// Takes out the futures that have not been given out.
    fn empty(&self) -> Vec<Option<Observed>> {
        let mut remaining = self.remaining.lock();
        remaining.count = 0;
        std::mem::take(&mut remaining.futures)
    }

    /// The next future that has ended, if any has.
    fn take(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        while let Some(token) = self.collector.take() {
            let taken = {
                let mut remaining = self.remaining.lock();
                let taken = remaining.futures.get_mut(token).and_then(Option::take);
                remaining.count -= usize::from(taken.is_some());
                taken
            };
            if let Some(Observed { future, left }) = taken {
                if left.is_some() {
                    unobserve(future.bind(py), &self.collector, left.as_ref())?;
                }
                return Ok(Some(future));
            }
        }
        Ok(None)
    }
}

#[pymethods]
impl Completed {
    #[new]
    fn new(futures: &Bound<'_, PySet>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let py = futures.py();
        let collector = Arc::new(Collector::streaming());
        let deadline = Timeout::optional(timeout)?.deadline();
        let total = futures.len();
        let mut observed = Vec::with_capacity(total);
        let mut failed = None;
        for (token, future) in futures.iter().enumerate() {
            match observe(&future, &collector, token) {
                Ok(left) => observed.push(Some(Observed { future: future.unbind(), left })),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let remaining = Mutex::new(Remaining { futures: observed, count: total });
        let made = Self { collector, deadline, total, remaining };
        match failed {
            None => Ok(made),
            Some(error) => {
                made.close(py)?;
                Err(error)
            }
        }
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(slf: &Bound<'_, Self>) -> PyResult<Option<Py<PyAny>>> {
        let this = slf.get();
        loop {
            if let Some(future) = this.take(slf.py())? {
                return Ok(Some(future));
            }
            let left = this.remaining.lock().count;
            if left == 0 {
                return Ok(None);
            }
            let in_time = match this.deadline {
                Some(deadline) if deadline.has_passed() => false,
                deadline => {
                    collect(slf.py(), &this.collector, deadline, "as_completed", slf.as_ptr() as usize)?
                }
            };
            if !in_time {
                return Err(PyTimeoutError::new_err(format!(
                    "{left} (of {}) futures unfinished",
                    this.total
                )));
            }
        }
    }

    /// Leaves the futures that have not been given out alone.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let mut cleaned = Ok(());
        for Observed { future, left } in self.empty().into_iter().flatten() {
            cleaned = cleaned.and(unobserve(future.bind(py), &self.collector, left.as_ref()));
        }
        cleaned
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Some(remaining) = self.remaining.try_lock() {
            for Observed { future, left } in remaining.futures.iter().flatten() {
                visit.call(future)?;
                visit.call(left)?;
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        drop(self.empty());
    }
}
