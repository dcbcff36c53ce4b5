//! `TaskGroup`: a block that ends when the tasks begun in it have.
//!
//! A task that is begun, and its end with a result, are native. What is left, entering and leaving the block, refusals, and what comes of
//! a task that fails, is the standard library's code, which differs between versions and finds its attributes here: the tasks are in the
//! set that it has made.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PySet, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use crate::base::attached::Attached;
use crate::base::calls;

use super::context;
use super::creating::{self, Found};
use super::future_state::{self, ADD_DONE_CALLBACK};
#[cfg(Py_3_14)]
use super::gather::{AWAITED_BY, NO_LONGER_AWAITED_BY};

static STANDARD: Found = Found::new("tress.asyncio._standard", "TaskGroup");
static OWN: Found = Found::new("tress.asyncio._task_group", "TaskGroup");

#[derive(Default)]
struct State {
    is_entered: bool,
    is_exiting: bool,
    is_aborting: bool,
    owner: Option<Py<PyAny>>,
    parent: Option<Py<PyAny>>,
    tasks: Option<Py<PyAny>>,
    /// Of who waits in the end of the block.
    completed: Option<Py<PyAny>>,
    /// What the tasks call when they end, and the context for it. While there are any: it refers to the group.
    ended: Option<(Py<MemberEnded>, Py<PyAny>)>,
}

#[pyclass(module = "tress._native", frozen, subclass, weakref)]
pub struct TaskGroup {
    state: Attached<State>,
}

/// What the tasks of a group call when they end: its method `_on_task_done`.
#[pyclass(module = "tress._native", frozen)]
pub struct MemberEnded {
    group: Py<TaskGroup>,
}

impl TaskGroup {
    /// The tasks that have not ended, while there is nothing about the group that would have another one refused.
    fn open<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PySet>> {
        let (is_open, is_exiting) =
            self.state.with(py, |state| (state.is_entered && !state.is_aborting, state.is_exiting));
        if !is_open {
            return None;
        }
        let tasks = self.state.object(py, |state| &state.tasks)?.cast_into_exact::<PySet>().ok()?;
        let is_over = is_exiting && tasks.is_empty();
        (!is_over).then_some(tasks)
    }

    /// Begins a task and has it among the group's; None where that is for the standard library.
    fn begin<'py>(
        slf: &Bound<'py, Self>,
        coro: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (py, this) = (slf.py(), slf.get());
        // A class of the program's may have methods of its own.
        if !slf.get_type().is(OWN.get(py)?) {
            return Ok(None);
        }
        let Some(tasks) = this.open(py) else { return Ok(None) };
        let Some(owner) = this.state.object(py, |state| &state.owner) else {
            return Ok(None);
        };
        let Some(own) = creating::own(&owner)? else { return Ok(None) };
        let Some(task) = creating::task(own, coro, options)? else { return Ok(None) };
        #[cfg(Py_3_14)]
        if let Some(parent) = this.state.object(py, |state| &state.parent) {
            AWAITED_BY.call(&task, &parent)?;
        }
        tasks.add(&task)?;
        let (ended, context) = Self::ended(slf)?;
        ADD_DONE_CALLBACK.call_in_context(&task, ended.as_any(), &context)?;
        Ok(Some(task))
    }

    /// What the tasks call when they end, and in which context: nothing of the program's runs in it but an exception handler.
    fn ended<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, MemberEnded>, Bound<'py, PyAny>)> {
        let (py, this) = (slf.py(), slf.get());
        let known = this.state.with(py, |state| {
            state.ended.as_ref().map(|(ended, context)| (ended.clone_ref(py), context.clone_ref(py)))
        });
        if let Some((ended, context)) = known {
            return Ok((ended.into_bound(py), context.into_bound(py)));
        }
        let ended = Bound::new(py, MemberEnded { group: slf.clone().unbind() })?;
        let context = context::copy_present(py)?;
        let made = (ended.clone().unbind(), context.clone().unbind());
        let replaced = this.state.with(py, |state| state.ended.replace(made));
        drop(replaced);
        Ok((ended, context))
    }

    /// A task has ended: false, and nothing is done, unless it has a result, and is not the last one.
    fn note_end(slf: &Bound<'_, Self>, task: &Bound<'_, PyAny>) -> PyResult<bool> {
        let (py, this) = (slf.py(), slf.get());
        let Some(tasks) = this.state.object(py, |state| &state.tasks) else { return Ok(false) };
        let Ok(tasks) = tasks.cast_into_exact::<PySet>() else { return Ok(false) };
        if tasks.len() < 2 || !future_state::has_result(task)? {
            return Ok(false);
        }
        tasks.discard(task)?;
        #[cfg(Py_3_14)]
        if let Some(parent) = this.state.object(py, |state| &state.parent) {
            NO_LONGER_AWAITED_BY.call(task, &parent)?;
        }
        Ok(true)
    }
}

impl MemberEnded {
    /// As a call, where that runs nothing of the program's; otherwise nothing is done.
    ///
    /// # Errors
    /// What the look-ups raise.
    pub fn note_end(&self, task: &Bound<'_, PyAny>) -> PyResult<bool> {
        TaskGroup::note_end(self.group.bind(task.py()), task)
    }
}

#[pymethods]
impl MemberEnded {
    fn __call__(&self, task: &Bound<'_, PyAny>) -> PyResult<()> {
        let group = self.group.bind(task.py());
        TaskGroup::_on_task_done(group, task)
    }

    // As the method that it is.

    #[getter]
    fn __name__(&self) -> &'static str {
        "_on_task_done"
    }

    #[getter]
    fn __qualname__(&self) -> &'static str {
        "TaskGroup._on_task_done"
    }

    #[getter]
    fn __self__(&self, py: Python<'_>) -> Py<TaskGroup> {
        self.group.clone_ref(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.group)
    }
}

#[pymethods]
impl TaskGroup {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { state: Attached::new(State::default()) }
    }

    /// Schedules a coroutine as a task of the group, and returns the task; RuntimeError where the group takes none.
    #[pyo3(signature = (coro, **kwargs))]
    fn create_task<'py>(
        slf: &Bound<'py, Self>,
        coro: &Bound<'py, PyAny>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Some(task) = Self::begin(slf, coro, kwargs)? {
            return Ok(task);
        }
        let method = STANDARD.get(slf.py())?.getattr(intern!(slf.py(), "create_task"))?;
        method.call((slf, coro), kwargs)
    }

    /// A task has ended.
    fn _on_task_done(slf: &Bound<'_, Self>, task: &Bound<'_, PyAny>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        if Self::note_end(slf, task)? {
            return Ok(());
        }
        calls::method_with_two(
            &STANDARD.get(py)?.to_owned(),
            intern!(py, "_on_task_done"),
            slf.as_any(),
            task,
        )?;
        let tasks = this.state.object(py, |state| &state.tasks);
        if tasks.is_none_or(|tasks| tasks.len().unwrap_or(0) == 0) {
            let done = this.state.with(py, |state| state.ended.take());
            drop(done);
        }
        Ok(())
    }

    // The state, by the standard library's names.

    #[getter(_entered)]
    fn get_entered(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.is_entered)
    }

    #[setter(_entered)]
    fn set_entered(&self, py: Python<'_>, is_so: bool) {
        self.state.with(py, |state| state.is_entered = is_so);
    }

    #[getter(_exiting)]
    fn get_exiting(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.is_exiting)
    }

    #[setter(_exiting)]
    fn set_exiting(&self, py: Python<'_>, is_so: bool) {
        self.state.with(py, |state| state.is_exiting = is_so);
    }

    #[getter(_aborting)]
    fn get_aborting(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.is_aborting)
    }

    #[setter(_aborting)]
    fn set_aborting(&self, py: Python<'_>, is_so: bool) {
        self.state.with(py, |state| state.is_aborting = is_so);
    }

    #[getter(_loop)]
    fn get_owner<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.object(py, |state| &state.owner)
    }

    #[setter(_loop)]
    fn set_owner(&self, py: Python<'_>, owner: Option<Py<PyAny>>) {
        self.state.put(py, |state| &mut state.owner, owner);
    }

    #[getter(_parent_task)]
    fn get_parent<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.object(py, |state| &state.parent)
    }

    #[setter(_parent_task)]
    fn set_parent(&self, py: Python<'_>, parent: Option<Py<PyAny>>) {
        self.state.put(py, |state| &mut state.parent, parent);
    }

    #[getter(_tasks)]
    fn get_tasks<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.object(py, |state| &state.tasks)
    }

    #[setter(_tasks)]
    fn set_tasks(&self, py: Python<'_>, tasks: Option<Py<PyAny>>) {
        self.state.put(py, |state| &mut state.tasks, tasks);
    }

    #[getter(_on_completed_fut)]
    fn get_completed<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.object(py, |state| &state.completed)
    }

    #[setter(_on_completed_fut)]
    fn set_completed(&self, py: Python<'_>, completed: Option<Py<PyAny>>) {
        self.state.put(py, |state| &mut state.completed, completed);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.state.collected(|state| {
            [&state.owner, &state.parent, &state.tasks, &state.completed]
                .into_iter()
                .try_for_each(|held| visit.call(held))?;
            match &state.ended {
                Some((ended, context)) => {
                    visit.call(ended)?;
                    visit.call(context)
                }
                None => Ok(()),
            }
        });
        visited.unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        let before = self.state.collected(std::mem::take);
        drop(before);
    }
}
