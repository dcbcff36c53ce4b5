//! `Future`.

use pyo3::exceptions::{PyBaseException, PyTimeoutError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyString, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit, ffi, intern};
use tress_core::base::completion::{Completion, State};
use tress_core::base::deadline::Deadline;
use tress_core::base::waiter::Outcome as Waited;

use crate::attach;
use crate::base::argument::Timeout;
use crate::base::calls;
use crate::base::waits::what;

/// What a future ends with.
pub enum Outcome {
    Result(Py<PyAny>),
    Exception(Py<PyAny>),
}

/// What only some futures need: the attributes of the standard class that others may ask for.
#[derive(Default)]
pub struct Extras {
    pub(super) condition: Option<Py<PyAny>>,
    pub(super) waiters: Option<Py<PyList>>,
    pub(super) callbacks: Option<Py<PyList>>,
}

/// The outcome of a call that is made elsewhere, as `concurrent.futures.Future`.
#[pyclass(module = "tress._native", frozen, subclass)]
pub struct Future {
    pub(super) completion: Completion<Outcome, Extras>,
}

/// `Future.result` of a finished future, as its caller is to see it.
enum Fetched {
    Result(Py<PyAny>),
    Exception(Py<PyAny>),
    Nothing,
}

/// An attribute of the standard module.
pub fn base<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import(intern!(py, "concurrent.futures._base"))?.getattr(name)
}

/// The error of a class of the standard module.
pub fn standard_error(py: Python<'_>, name: &str, message: Option<String>) -> PyErr {
    let made = base(py, name).and_then(|class| match message {
        Some(message) => class.call1((message,)),
        None => class.call0(),
    });
    match made {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}

/// The state as the standard module spells it.
pub fn state_name(state: State) -> &'static str {
    match state {
        State::Pending => "PENDING",
        State::Running => "RUNNING",
        State::Cancelled => "CANCELLED",
        State::Notified => "CANCELLED_AND_NOTIFIED",
        State::Finished => "FINISHED",
    }
}

impl Future {
    pub fn pending() -> Self {
        Self { completion: Completion::new() }
    }

    pub fn completion(&self) -> &Completion<Outcome, Extras> {
        &self.completion
    }

    /// Whether it finished with an exception.
    pub fn has_failed(&self) -> bool {
        self.completion.outcome(|outcome| matches!(outcome, Some(Outcome::Exception(_))))
    }

    /// The result, if it finished with one.
    pub fn success(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        match self.fetch(py) {
            Fetched::Result(result) => Some(result),
            Fetched::Exception(_) | Fetched::Nothing => None,
        }
    }

    fn fetch(&self, py: Python<'_>) -> Fetched {
        self.completion.outcome(|outcome| match outcome {
            Some(Outcome::Result(result)) => Fetched::Result(result.clone_ref(py)),
            Some(Outcome::Exception(exception)) => Fetched::Exception(exception.clone_ref(py)),
            None => Fetched::Nothing,
        })
    }

    /// Waits for the end; where it stands afterwards.
    fn wait(
        slf: &Bound<'_, Self>,
        timeout: Option<&Bound<'_, PyAny>>,
        operation: &'static str,
    ) -> PyResult<State> {
        let completion = &slf.get().completion;
        let state = completion.state();
        if state.is_done() {
            return Ok(state);
        }
        let timeout = Timeout::optional(timeout)?;
        if timeout == Timeout::Now {
            return Ok(completion.state());
        }
        Self::wait_until(slf, timeout.deadline(), operation)
    }

    /// As [`Future::wait`], to a deadline.
    pub fn wait_until(
        slf: &Bound<'_, Self>,
        deadline: Option<Deadline>,
        operation: &'static str,
    ) -> PyResult<State> {
        let completion = &slf.get().completion;
        if let Some(node) = completion.enrol() {
            match attach::wait(slf.py(), &node, deadline, what(operation, slf)) {
                Ok(Waited::Granted(_)) => {}
                // Whether it was granted in the last moment is in the state.
                Ok(_) => drop(completion.cancel_wait(&node)),
                Err(error) => {
                    let _ = completion.cancel_wait(&node);
                    return Err(error);
                }
            }
        }
        Ok(completion.state())
    }

    /// The result of a future that is where `state` says.
    pub fn result_in(&self, py: Python<'_>, state: State) -> PyResult<Py<PyAny>> {
        match state {
            State::Finished => match self.fetch(py) {
                Fetched::Result(result) => Ok(result),
                Fetched::Exception(exception) => Err(raise(exception.into_bound(py))),
                Fetched::Nothing => Ok(py.None()),
            },
            State::Cancelled | State::Notified => Err(standard_error(py, "CancelledError", None)),
            State::Pending | State::Running => Err(PyTimeoutError::new_err(())),
        }
    }

    /// One of the lists that others may see, made when it is first asked for.
    fn list<'py>(
        slf: &Bound<'py, Self>,
        which: impl Fn(&mut Extras) -> &mut Option<Py<PyList>>,
    ) -> Bound<'py, PyList> {
        let py = slf.py();
        let made = PyList::empty(py).unbind();
        let completion = &slf.get().completion;
        completion
            .extend(|extras| which(extras).get_or_insert_with(|| made.clone_ref(py)).clone_ref(py))
            .into_bound(py)
    }
}

/// Raises `exception` as a `raise` statement does: its context is the exception being handled, its traceback is kept.
fn raise(exception: Bound<'_, PyAny>) -> PyErr {
    let py = exception.py();
    if !exception.is_instance_of::<PyBaseException>() {
        // A class is instantiated, anything else is a TypeError.
        return PyErr::from_value(exception);
    }
    // SAFETY: both pointers are to live objects, and the value is an instance of the type.
    unsafe { ffi::PyErr_SetObject(ffi::Py_TYPE(exception.as_ptr()).cast(), exception.as_ptr()) };
    PyErr::fetch(py)
}

fn interned<'py>(py: Python<'py>, state: State) -> &'py Bound<'py, PyString> {
    match state {
        State::Pending => intern!(py, "PENDING"),
        State::Running => intern!(py, "RUNNING"),
        State::Cancelled => intern!(py, "CANCELLED"),
        State::Notified => intern!(py, "CANCELLED_AND_NOTIFIED"),
        State::Finished => intern!(py, "FINISHED"),
    }
}

#[pymethods]
impl Future {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "()")]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self::pending()
    }

    fn __init__(&self) {}

    /// Cancels the call, if it has not begun: True then, or if it was cancelled before. False when it is running or
    /// finished.
    fn cancel(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Self::give_up(slf)
    }

    /// Whether the call was cancelled.
    fn cancelled(&self) -> bool {
        self.completion.state().is_cancelled()
    }

    /// Whether the call is being made now.
    fn running(&self) -> bool {
        self.completion.state() == State::Running
    }

    /// Whether the call was cancelled or has finished.
    fn done(&self) -> bool {
        self.completion.state().is_done()
    }

    /// Returns what the call returned, or raises what it raised, once it has finished.
    ///
    /// `timeout` is in seconds, None waits for ever. Raises TimeoutError when it passes first, and CancelledError when the
    /// call was cancelled. A timeout or a signal takes nothing: the outcome can be asked for again.
    #[pyo3(signature = (timeout=None))]
    fn result(slf: &Bound<'_, Self>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        let state = Self::wait(slf, timeout, "Future.result")?;
        slf.get().result_in(slf.py(), state)
    }

    /// Returns the exception that the call raised, or None, once it has finished.
    ///
    /// `timeout` and what is raised are as for `result`.
    #[pyo3(signature = (timeout=None))]
    fn exception(slf: &Bound<'_, Self>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Py<PyAny>>> {
        let py = slf.py();
        match Self::wait(slf, timeout, "Future.exception")? {
            State::Finished => match slf.get().fetch(py) {
                Fetched::Exception(exception) => Ok(Some(exception)),
                _ => Ok(None),
            },
            State::Cancelled | State::Notified => Err(standard_error(py, "CancelledError", None)),
            State::Pending | State::Running => Err(PyTimeoutError::new_err(())),
        }
    }

    /// Has `fn` called with this future when it ends: by the thread that ends it, in the order of their adding, or at once
    /// if it has ended. An Exception that it raises is logged.
    fn add_done_callback(slf: &Bound<'_, Self>, r#fn: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let completion = &slf.get().completion;
        if !completion.state().is_done() {
            let made = PyList::empty(py);
            let added = completion.extend_open(|extras| {
                let callbacks = extras.callbacks.get_or_insert_with(|| made.unbind());
                // Takes memory, and runs no Python code.
                callbacks.bind(py).append(r#fn)
            });
            if let Some(added) = added {
                return added;
            }
        }
        static CALL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let call_back = CALL.import(py, "tress.concurrent.futures._base", "_call_back")?;
        calls::call(call_back, &PyTuple::new(py, [slf.as_any(), r#fn])?).map(drop)
    }

    /// Marks the future as running and returns True; returns False when it was cancelled, and tells those who wait in
    /// `wait` or `as_completed`. For executors and tests. RuntimeError when it was called before or the future has finished.
    fn set_running_or_notify_cancel(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Self::begin(slf)
    }

    /// Ends the future with a result. For executors and tests. InvalidStateError when it has ended before.
    fn set_result(slf: &Bound<'_, Self>, result: Py<PyAny>) -> PyResult<()> {
        Self::finish(slf, Outcome::Result(result))
    }

    /// Ends the future with an exception. For executors and tests. InvalidStateError when it has ended before.
    fn set_exception(slf: &Bound<'_, Self>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
        let outcome = if exception.is_none() {
            Outcome::Result(slf.py().None())
        } else {
            Outcome::Exception(exception.clone().unbind())
        };
        Self::finish(slf, outcome)
    }

    /// Where it stands, at one moment: done, cancelled, result, exception.
    fn _get_snapshot(&self, py: Python<'_>) -> (bool, bool, Option<Py<PyAny>>, Option<Py<PyAny>>) {
        match self.completion.state() {
            State::Finished => match self.fetch(py) {
                Fetched::Result(result) => (true, false, Some(result), None),
                Fetched::Exception(exception) => (true, false, None, Some(exception)),
                Fetched::Nothing => (true, false, None, None),
            },
            State::Cancelled | State::Notified => (true, true, None, None),
            State::Pending | State::Running => (false, false, None, None),
        }
    }

    fn _invoke_callbacks(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::call_back(slf)
    }

    #[getter(_state)]
    fn state<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        interned(py, self.completion.state()).clone()
    }

    #[setter(_state)]
    fn set_state(&self, state: &Bound<'_, PyAny>) -> PyResult<()> {
        let all = [State::Pending, State::Running, State::Cancelled, State::Notified, State::Finished];
        for candidate in all {
            if state.eq(interned(state.py(), candidate))? {
                self.completion.assign_state(candidate).wakes.wake();
                return Ok(());
            }
        }
        Err(PyValueError::new_err(format!(
            "_state must be one of the state names of concurrent.futures._base, not {}",
            state.repr()?
        )))
    }

    #[getter(_result)]
    fn get_result(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        match self.fetch(py) {
            Fetched::Result(result) => Some(result),
            _ => None,
        }
    }

    #[setter(_result)]
    fn assign_result(&self, result: Option<Py<PyAny>>) {
        let old = self.completion.assign_outcome(|outcome| match (result, outcome) {
            // An exception outweighs a result that is put beside it.
            (_, Some(Outcome::Exception(_))) => None,
            (Some(result), outcome) => outcome.replace(Outcome::Result(result)),
            (None, outcome) => outcome.take(),
        });
        drop(old);
    }

    #[getter(_exception)]
    fn get_exception(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        match self.fetch(py) {
            Fetched::Exception(exception) => Some(exception),
            _ => None,
        }
    }

    #[setter(_exception)]
    fn assign_exception(&self, exception: Option<Py<PyAny>>) {
        let old = self.completion.assign_outcome(|outcome| match (exception, outcome) {
            (Some(exception), outcome) => outcome.replace(Outcome::Exception(exception)),
            (None, outcome @ Some(Outcome::Exception(_))) => outcome.take(),
            (None, _) => None,
        });
        drop(old);
    }

    #[getter(_condition)]
    fn get_condition<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::condition(slf)
    }

    #[setter(_condition)]
    fn set_condition(slf: &Bound<'_, Self>, condition: Py<PyAny>) {
        let completion = &slf.get().completion;
        let old = completion.extend(|extras| extras.condition.replace(condition));
        completion.guard();
        drop(old);
    }

    #[getter(_waiters)]
    fn get_waiters<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyList>> {
        Self::condition(slf)?;
        Ok(Self::list(slf, |extras| &mut extras.waiters))
    }

    #[setter(_waiters)]
    fn set_waiters(slf: &Bound<'_, Self>, waiters: Py<PyList>) -> PyResult<()> {
        Self::condition(slf)?;
        let old = slf.get().completion.extend(|extras| extras.waiters.replace(waiters));
        drop(old);
        Ok(())
    }

    #[getter(_done_callbacks)]
    fn get_done_callbacks<'py>(slf: &Bound<'py, Self>) -> Bound<'py, PyList> {
        Self::list(slf, |extras| &mut extras.callbacks)
    }

    #[setter(_done_callbacks)]
    fn set_done_callbacks(slf: &Bound<'_, Self>, callbacks: Py<PyList>) {
        let old = slf.get().completion.extend(|extras| extras.callbacks.replace(callbacks));
        drop(old);
    }

    #[classmethod]
    fn __class_getitem__<'py>(
        class: &Bound<'py, PyType>,
        item: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = class.py();
        py.import(intern!(py, "types"))?.getattr(intern!(py, "GenericAlias"))?.call1((class, item))
    }

    /// Numbers: `state`, `waiters` (threads that wait for the end), `observers` (calls of `wait` and `as_completed`) and
    /// `callbacks`.
    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (waiters, observers) = self.completion.waiting();
        let foreign = |extras: Option<&Extras>| Some(extras?.waiters.as_ref()?.bind(py).len());
        let callbacks = |extras: Option<&Extras>| Some(extras?.callbacks.as_ref()?.bind(py).len());
        let numbers = PyDict::new(py);
        numbers.set_item("state", state_name(self.completion.state()))?;
        numbers.set_item("waiters", waiters)?;
        numbers.set_item("observers", observers + self.completion.extension(foreign).unwrap_or(0))?;
        numbers.set_item("callbacks", self.completion.extension(callbacks).unwrap_or(0))?;
        Ok(numbers)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let py = slf.py();
        let class = slf.get_type();
        let class = class.name()?;
        let at = format!("<{class} at {:#x} state=", slf.as_ptr() as usize);
        let future = slf.get();
        Ok(match future.completion.state() {
            State::Pending => at + "pending>",
            State::Running => at + "running>",
            State::Cancelled | State::Notified => at + "cancelled>",
            State::Finished => {
                let (verb, value) = match future.fetch(py) {
                    Fetched::Exception(exception) => ("raised", exception),
                    Fetched::Result(result) => ("returned", result),
                    Fetched::Nothing => ("returned", py.None()),
                };
                format!("{at}finished {verb} {}>", value.bind(py).get_type().name()?)
            }
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.completion
            .try_read(|outcome, extras| {
                match outcome {
                    Some(Outcome::Result(value) | Outcome::Exception(value)) => visit.call(value)?,
                    None => {}
                }
                if let Some(extras) = extras {
                    visit.call(&extras.condition)?;
                    visit.call(&extras.waiters)?;
                    visit.call(&extras.callbacks)?;
                }
                Ok(())
            })
            .unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        drop(self.completion.clear());
    }
}

/// The result of `future`, waiting until `end`, a time of `time.monotonic()`; if there is none, the future is cancelled.
#[pyfunction]
#[pyo3(signature = (future, end=None))]
pub fn result_or_cancel(future: &Bound<'_, Future>, end: Option<f64>) -> PyResult<Py<PyAny>> {
    let mut state = future.get().completion.state();
    if !state.is_done() {
        let deadline = end.map(|end| Deadline::at_ns((end * 1e9) as u64));
        state = if deadline.is_some_and(Deadline::has_passed) {
            state
        } else {
            match Future::wait_until(future, deadline, "Future.result") {
                Ok(state) => state,
                Err(error) => {
                    Future::give_up(future)?;
                    return Err(error);
                }
            }
        };
    }
    if !state.is_done() {
        Future::give_up(future)?;
    }
    future.get().result_in(future.py(), state)
}
