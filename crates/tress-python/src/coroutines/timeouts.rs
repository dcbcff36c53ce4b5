//! `Timeout`: the cancellation of a task at a time, while it is in a block.
//!
//! A block that ends in time is all native: a timer when it is entered, and its cancellation. What comes of one that is late is the
//! standard library's code, which differs between versions and finds its attributes here.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{PyTraverseError, PyVisit, intern};

use crate::base::attached::Attached;
use crate::base::calls;

use super::arguments::Arguments;
use super::creating::{self, Found};
use super::event_loop::EventLoop;
use super::lazy::{Attempt, LazyCoroutine, done};

static STANDARD: Found = Found::new("tress.asyncio._standard", "Timeout");
static STATES: Found = Found::new("asyncio.timeouts", "_State");

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Created,
    Entered,
    Expiring,
    Expired,
    Exited,
}

impl Stage {
    const ALL: [(Self, &str); 5] = [
        (Self::Created, "CREATED"),
        (Self::Entered, "ENTERED"),
        (Self::Expiring, "EXPIRING"),
        (Self::Expired, "EXPIRED"),
        (Self::Exited, "EXITED"),
    ];

    /// The standard library's.
    fn object(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        let name = Self::ALL.iter().find(|(stage, _)| *stage == self).map_or("CREATED", |(_, name)| name);
        STATES.get(py)?.getattr(name)
    }

    fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let name: String = object.getattr(intern!(object.py(), "name"))?.extract()?;
        Ok(Self::ALL.iter().find(|(_, known)| *known == name).map_or(Self::Created, |(stage, _)| *stage))
    }
}

#[derive(Default)]
struct State {
    stage: Stage,
    /// None, or a time of the loop's clock.
    when: Option<Py<PyAny>>,
    timer: Option<Py<PyAny>>,
    task: Option<Py<PyAny>>,
    /// How many times the cancellation of the task had been asked for when the block was entered.
    cancelling: Option<Py<PyAny>>,
}

#[pyclass(module = "tress._native", frozen, subclass, weakref)]
pub struct Timeout {
    state: Attached<State>,
}

impl Timeout {
    fn stage(&self, py: Python<'_>) -> Stage {
        self.state.with(py, |state| state.stage)
    }

    fn cancel_timer(&self, py: Python<'_>) -> PyResult<()> {
        match self.state.with(py, |state| state.timer.take()) {
            Some(timer) => calls::method(timer.bind(py), intern!(py, "cancel"), None).map(drop),
            None => Ok(()),
        }
    }

    /// Has the task cancelled at that time, or never.
    fn schedule(slf: &Bound<'_, Self>, when: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let Some(when) = when else { return Ok(()) };
        let running = creating::running(py)?;
        let on_timeout = slf.getattr(intern!(py, "_on_timeout"))?;
        let timer = if let Some(own) = creating::own(&running)? {
            let due = EventLoop::when(when)?;
            if due <= EventLoop::now(own)? {
                own.call_method1(intern!(py, "call_soon"), (on_timeout,))?
            } else {
                EventLoop::call_at_with(own, "call_at", due, &on_timeout, Arguments::NONE, None)?
            }
        } else {
            let now = running.call_method0(intern!(py, "time"))?;
            if when.le(now)? {
                running.call_method1(intern!(py, "call_soon"), (on_timeout,))?
            } else {
                running.call_method1(intern!(py, "call_at"), (when, on_timeout))?
            }
        };
        this.set_timer(py, Some(timer.unbind()));
        Ok(())
    }

    /// Begins the block.
    pub fn enter(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        if this.stage(py) != Stage::Created {
            return Err(PyRuntimeError::new_err("Timeout has already been entered"));
        }
        // Looked up each time, as in the standard library: there is one for the tasks in C and one for those in Python.
        let task = creating::TASKS.get(py)?.call_method0(intern!(py, "current_task"))?;
        if task.is_none() {
            return Err(PyRuntimeError::new_err("Timeout should be used inside a task"));
        }
        let cancelling = calls::method(&task, intern!(py, "cancelling"), None)?;
        let when = this.when(py);
        this.state.with(py, |state| {
            state.stage = Stage::Entered;
            state.task = Some(task.unbind());
            state.cancelling = Some(cancelling.unbind());
        });
        Self::schedule(slf, when.as_ref())
    }

    /// A method of the standard library's, and what to call it with.
    fn standard<'py>(slf: &Bound<'py, Self>, name: &str) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        Ok((STANDARD.get(slf.py())?.getattr(name)?, slf.clone().into_any()))
    }
}

#[pymethods]
impl Timeout {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { state: Attached::new(State::default()) }
    }

    fn __init__(&self, py: Python<'_>, when: Option<Py<PyAny>>) {
        let replaced =
            self.state.with(py, |state| std::mem::replace(state, State { when, ..State::default() }));
        drop(replaced);
    }

    /// The time of the loop's clock at which the task is cancelled, or None.
    fn when<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.object(py, |state| &state.when)
    }

    /// Cancels at another time, or with None at none. RuntimeError outside of the block.
    fn reschedule(slf: &Bound<'_, Self>, when: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        if this.stage(py) != Stage::Entered {
            let (method, slf) = Self::standard(slf, "reschedule")?;
            return method.call1((slf, when)).map(drop);
        }
        this.set_when(py, when.map(|when| when.clone().unbind()));
        this.cancel_timer(py)?;
        Self::schedule(slf, when)
    }

    /// Whether the time came while the block was running.
    fn expired(&self, py: Python<'_>) -> bool {
        matches!(self.stage(py), Stage::Expiring | Stage::Expired)
    }

    fn __aenter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, LazyCoroutine>> {
        LazyCoroutine::object(Attempt::EnterTimeout, slf.as_any(), None)
    }

    /// The same at once, without a result: for who awaits what this returns.
    fn _enter<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::enter(slf)?;
        done(slf.py())
    }

    fn __aexit__<'py>(
        slf: &Bound<'py, Self>,
        exc_type: &Bound<'py, PyAny>,
        exc_val: &Bound<'py, PyAny>,
        exc_tb: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        if this.stage(py) != Stage::Entered {
            let (method, slf) = Self::standard(slf, "__aexit__")?;
            return method.call1((slf, exc_type, exc_val, exc_tb));
        }
        this.cancel_timer(py)?;
        this.state.with(py, |state| state.stage = Stage::Exited);
        done(py)
    }

    /// The time has come.
    fn _on_timeout(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (method, slf) = Self::standard(slf, "_on_timeout")?;
        method.call1((slf,)).map(drop)
    }

    // The state, by the standard library's names.

    #[getter(_state)]
    fn get_state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.stage(py).object(py)
    }

    #[setter(_state)]
    fn set_state(&self, state: &Bound<'_, PyAny>) -> PyResult<()> {
        let stage = Stage::of(state)?;
        self.state.with(state.py(), |state| state.stage = stage);
        Ok(())
    }

    #[getter(_when)]
    fn get_when<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.when(py)
    }

    #[setter(_when)]
    fn set_when(&self, py: Python<'_>, when: Option<Py<PyAny>>) {
        self.state.put(py, |state| &mut state.when, when);
    }

    #[getter(_timeout_handler)]
    fn get_timer<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.object(py, |state| &state.timer)
    }

    #[setter(_timeout_handler)]
    fn set_timer(&self, py: Python<'_>, timer: Option<Py<PyAny>>) {
        self.state.put(py, |state| &mut state.timer, timer);
    }

    #[getter(_task)]
    fn get_task<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.object(py, |state| &state.task)
    }

    #[setter(_task)]
    fn set_task(&self, py: Python<'_>, task: Option<Py<PyAny>>) {
        self.state.put(py, |state| &mut state.task, task);
    }

    #[getter(_cancelling)]
    fn get_cancelling<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.object(py, |state| &state.cancelling)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.state.collected(|state| {
            [&state.when, &state.timer, &state.task, &state.cancelling]
                .into_iter()
                .try_for_each(|held| visit.call(held))
        });
        visited.unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        let before = self.state.collected(std::mem::take);
        drop(before);
    }
}
