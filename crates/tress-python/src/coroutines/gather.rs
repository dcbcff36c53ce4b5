//! `gather`: one future for the results of many.

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use crate::base::attached::Attached;
use crate::base::calls;

use super::context;
#[cfg(Py_3_14)]
use super::creating::Chosen;
use super::creating::{self, Found};
use super::event_loop::EventLoop;
use super::future_state::{self, ADD_DONE_CALLBACK, LOGS_DESTROY_PENDING};

static STANDARD: Found = Found::new("tress.asyncio._standard", "gather");
static ENSURE_FUTURE: Found = Found::new("asyncio.tasks", "ensure_future");
static GET_LOOP: Found = Found::new("asyncio.futures", "_get_loop");
pub static OUTER: Found = Found::new("asyncio.tasks", "_GatheringFuture");
static CANCELLED_ERROR: Found = Found::new("asyncio.exceptions", "CancelledError");
#[cfg(Py_3_14)]
pub static AWAITED_BY: CallGraph = CallGraph::new("future_add_to_awaited_by");
#[cfg(Py_3_14)]
pub static NO_LONGER_AWAITED_BY: CallGraph = CallGraph::new("future_discard_from_awaited_by");

/// A function of the call graph.
#[cfg(Py_3_14)]
pub struct CallGraph(Chosen);

#[cfg(Py_3_14)]
impl CallGraph {
    const fn new(name: &'static str) -> Self {
        Self(Chosen::new("asyncio.futures", name))
    }

    /// Says it of `future` and `waiter`.
    ///
    /// # Errors
    /// What the call raises.
    pub fn call(&self, future: &Bound<'_, PyAny>, waiter: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = future.py();
        let function = self.0.get(py)?;
        // SAFETY: live objects, borrowed for as long as the call lasts.
        unsafe { calls::vectorcall(py, function.as_ptr(), &[future.as_ptr(), waiter.as_ptr()]) }.map(drop)
    }
}

#[derive(Default)]
struct State {
    /// None until all children have been begun.
    outer: Option<Py<PyAny>>,
    children: Option<Py<PyList>>,
    /// The task that gathers, for the call graph.
    task: Option<Py<PyAny>>,
    /// How many different children there are, and how many of them have ended, and without a result.
    count: usize,
    ended: usize,
    failed: usize,
    returns_exceptions: bool,
}

/// What every child calls when it has ended.
#[pyclass(module = "tress._native", frozen)]
pub struct Gathering {
    state: Attached<State>,
}

fn ask<'py>(future: &Bound<'py, PyAny>, method: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
    calls::method(future, method, None)
}

/// In place of the result of a child that was cancelled.
fn cancelled<'py>(child: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = child.py();
    let message = child.getattr(intern!(py, "_cancel_message"))?;
    let message = if message.is_none() { PyString::new(py, "").into_any() } else { message };
    CANCELLED_ERROR.get(py)?.call1((message,))
}

impl Gathering {
    #[cfg(Py_3_14)]
    fn forget_waiter(&self, child: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = child.py();
        let task = self.state.with(py, |state| state.task.as_ref().map(|task| task.clone_ref(py)));
        if let Some(task) = task {
            NO_LONGER_AWAITED_BY.call(child, task.bind(py))?;
        }
        Ok(())
    }

    /// The first failure goes to whoever waits for all.
    fn fail(&self, py: Python<'_>, outer: &Bound<'_, PyAny>, error: Bound<'_, PyAny>) -> PyResult<()> {
        #[cfg(Py_3_14)]
        for child in self.children(py).iter().flatten() {
            self.forget_waiter(&child)?;
        }
        outer.call_method1(intern!(py, "set_exception"), (error,)).map(drop)
    }

    /// A child has ended: false, and nothing is done, unless it has a result, and is not the last one.
    ///
    /// # Errors
    /// What the look-ups raise.
    pub fn note_end(&self, child: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = child.py();
        let is_one_of_many =
            self.state.with(py, |state| state.outer.is_some() && state.ended + 1 < state.count);
        if !is_one_of_many || !future_state::has_result(child)? {
            return Ok(false);
        }
        #[cfg(Py_3_14)]
        self.forget_waiter(child)?;
        self.state.with(py, |state| state.ended += 1);
        Ok(true)
    }

    fn children<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyList>> {
        let children = self.state.with(py, |state| state.children.as_ref().map(|list| list.clone_ref(py)));
        children.map(|list| list.into_bound(py))
    }

    /// The last child has ended, or one without a result.
    #[cold]
    fn child_ended(&self, child: &Bound<'_, PyAny>, has_result: bool, is_last: bool) -> PyResult<()> {
        let py = child.py();
        let (outer, returns_exceptions, all_succeeded) = self.state.with(py, |state| {
            state.failed += usize::from(!has_result);
            let outer = state.outer.as_ref().map(|outer| outer.clone_ref(py));
            (outer, state.returns_exceptions, state.failed == 0)
        });
        let outer = outer.map(|outer| outer.into_bound(py));
        let is_over = match &outer {
            None => true,
            Some(outer) => future_state::is_done(outer)?,
        };
        let (Some(outer), false) = (outer, is_over) else {
            if !future_state::is_cancelled(child)? {
                // So that nobody complains that it was not asked for.
                ask(child, intern!(py, "exception"))?;
            }
            return Ok(());
        };
        if !has_result && !returns_exceptions {
            if future_state::is_cancelled(child)? {
                let error = ask(child, intern!(py, "_make_cancelled_error"))?;
                return self.fail(py, &outer, error);
            }
            let error = ask(child, intern!(py, "exception"))?;
            return self.fail(py, &outer, error);
        }
        if is_last { self.finish(&outer, child, all_succeeded) } else { Ok(()) }
    }

    fn finish(&self, outer: &Bound<'_, PyAny>, last: &Bound<'_, PyAny>, all_succeeded: bool) -> PyResult<()> {
        let py = outer.py();
        let results = PyList::empty(py);
        for child in self.children(py).iter().flatten() {
            let result = if all_succeeded {
                ask(&child, intern!(py, "result"))?
            } else if future_state::is_cancelled(&child)? {
                cancelled(&child)?
            } else {
                let error = ask(&child, intern!(py, "exception"))?;
                if error.is_none() { ask(&child, intern!(py, "result"))? } else { error }
            };
            results.append(result)?;
        }
        if outer.getattr(intern!(py, "_cancel_requested"))?.is_truthy()? {
            let error = ask(last, intern!(py, "_make_cancelled_error"))?;
            outer.call_method1(intern!(py, "set_exception"), (error,)).map(drop)
        } else {
            outer.call_method1(intern!(py, "set_result"), (results,)).map(drop)
        }
    }
}

#[pymethods]
impl Gathering {
    fn __call__(&self, child: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = child.py();
        #[cfg(Py_3_14)]
        self.forget_waiter(child)?;
        let (is_begun, is_last) = self.state.with(py, |state| {
            state.ended += 1;
            (state.outer.is_some(), state.ended == state.count)
        });
        let has_result = future_state::has_result(child)?;
        if has_result && !(is_begun && is_last) {
            return Ok(());
        }
        self.child_ended(child, has_result, is_last)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.state.collected(|state| {
            visit.call(&state.outer)?;
            visit.call(&state.children)?;
            visit.call(&state.task)
        });
        visited.unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        let out =
            self.state.collected(|state| (state.outer.take(), state.children.take(), state.task.take()));
        drop(out);
    }
}

/// The task that calls, on the versions that show who awaits whom.
fn waiting_task<'py>(owner: Option<&Bound<'py, EventLoop>>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(owner) = owner.filter(|_| cfg!(Py_3_14)) else { return Ok(None) };
    let tasks = owner.py().import(intern!(owner.py(), "asyncio.tasks"))?;
    let task = tasks.call_method1(intern!(owner.py(), "current_task"), (owner,))?;
    Ok((!task.is_none()).then_some(task))
}

/// Returns a future for the list of the results of the given coroutines and futures, in their order.
///
/// Coroutines become tasks. The first exception goes to whoever awaits the future, and the others go on; with `return_exceptions`
/// exceptions are results like others. To cancel the future cancels all that have not ended.
#[pyfunction]
#[pyo3(
    signature = (*coros_or_futures, return_exceptions=None),
    text_signature = "(*coros_or_futures, return_exceptions=False)"
)]
pub fn gather<'py>(
    coros_or_futures: &Bound<'py, PyTuple>,
    return_exceptions: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = coros_or_futures.py();
    let returns_exceptions = return_exceptions.is_some_and(|wish| wish.is_truthy().unwrap_or(true));
    let running = creating::running_own(py)?;
    let Some(running) = running.filter(|_| !coros_or_futures.is_empty()) else {
        let options = PyDict::new(py);
        options.set_item("return_exceptions", returns_exceptions)?;
        return STANDARD.get(py)?.call(coros_or_futures, Some(&options));
    };
    let task = waiting_task(Some(&running))?;
    let gathering = Bound::new(py, Gathering { state: Attached::new(State::default()) })?;
    // One for all: nothing of the program's runs in it, and none of them would change it.
    let context = context::copy_present(py)?;
    let children = PyList::empty(py);
    let known = PyDict::new(py);
    let mut owner: Option<Bound<'py, PyAny>> = None;
    let mut ended = Vec::new();
    let mut count = 0;
    for argument in coros_or_futures.iter_borrowed() {
        if let Some(child) = known.get_item(argument)? {
            children.append(child)?;
            continue;
        }
        let (child, is_new) = begin(&running, &argument, owner.as_ref())?;
        if owner.is_none() {
            owner = Some(GET_LOOP.get(py)?.call1((&child,))?);
        }
        if !child.is(argument) {
            LOGS_DESTROY_PENDING.set(&child, false)?;
        }
        count += 1;
        known.set_item(argument, &child)?;
        // Before 3.12 no child has ended here but one that had before, whose callback comes as ever.
        if cfg!(Py_3_12) && !is_new && future_state::is_done(&child)? {
            ended.push(child.clone());
        } else {
            #[cfg(Py_3_14)]
            if let Some(task) = &task {
                AWAITED_BY.call(&child, task)?;
            }
            ADD_DONE_CALLBACK.call_in_context(&child, gathering.as_any(), &context)?;
        }
        children.append(child)?;
    }
    let options = PyDict::new(py);
    options.set_item(intern!(py, "loop"), owner)?;
    let outer = OUTER.get(py)?.call((&children,), Some(&options))?;
    gathering.get().state.with(py, |state| {
        state.outer = Some(outer.clone().unbind());
        state.children = Some(children.unbind());
        state.task = task.map(Bound::unbind);
        state.count = count;
        state.returns_exceptions = returns_exceptions;
    });
    for child in ended {
        gathering.get().__call__(&child)?;
    }
    Ok(outer)
}

/// The future of an argument, and whether it is a task that was made just now.
fn begin<'py>(
    running: &Bound<'py, EventLoop>,
    argument: &Bound<'py, PyAny>,
    owner: Option<&Bound<'py, PyAny>>,
) -> PyResult<(Bound<'py, PyAny>, bool)> {
    let py = running.py();
    // SAFETY: a comparison of types.
    let is_coroutine = unsafe { ffi::PyCoro_CheckExact(argument.as_ptr()) } != 0;
    if is_coroutine
        && owner.is_none_or(|owner| owner.is(running))
        && let Some(task) = creating::task(running, argument, None)?
    {
        return Ok((task, true));
    }
    let options = PyDict::new(py);
    options.set_item("loop", owner)?;
    ENSURE_FUTURE.get(py)?.call((argument,), Some(&options)).map(|child| (child, false))
}
