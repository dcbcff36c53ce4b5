//! Which task runs, and what a task waits for: looked up when it is asked for, nothing is noted beforehand.

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
#[cfg(not(Py_3_12))]
use pyo3::types::PyDict;
use pyo3::types::{PyList, PyString};
use tress_core::base::thread_id::{self, ThreadId};

#[cfg(Py_3_12)]
use crate::base::calls;

use super::creating::{self, Found};

#[cfg(Py_3_12)]
static CURRENT_TASK: Found = Found::new("_asyncio", "current_task");
#[cfg(not(Py_3_12))]
static CURRENT_TASKS: Found = Found::new("_asyncio", "_current_tasks");

/// The task that this thread is in the middle of; None outside of one.
///
/// # Errors
/// What the look-up raises.
#[inline]
pub fn current(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    #[cfg(Py_3_12)]
    // By a vector without arguments, which spares the function a look whether there are some by name.
    // SAFETY: a live object.
    let task = match unsafe { calls::vectorcall(py, CURRENT_TASK.get(py)?.as_ptr(), &[]) } {
        Ok(task) => task,
        // It raises where no loop runs.
        Err(_) if creating::running_or_none(py)?.is_none() => return Ok(None),
        Err(error) => return Err(error),
    };
    #[cfg(not(Py_3_12))]
    let task = {
        let Some(running) = creating::running_or_none(py)? else { return Ok(None) };
        match CURRENT_TASKS.get(py)?.cast::<PyDict>()?.get_item(running)? {
            Some(task) => task,
            None => return Ok(None),
        }
    };
    Ok((!task.is_none()).then_some(task))
}

/// The number under which the task that runs in this thread holds a lock: that of nobody in particular where none does.
///
/// # Errors
/// What the look-up raises.
pub fn running_task(py: Python<'_>) -> PyResult<ThreadId> {
    // The address is good for as long as the task is there, as a thread's number is for as long as the thread.
    Ok(thread_id::of_task(current(py)?.map_or(0, |task| task.as_ptr() as usize)))
}

/// What stands between who awaits and what is awaited: the steps of an asynchronous generator, and `__await__` of a coroutine.
const WRAPPERS: [&str; 4] =
    ["async_generator_asend", "async_generator_athrow", "anext_awaitable", "coroutine_wrapper"];

/// What `coroutine` is suspended at; None where that cannot be told.
fn next_of<'py>(coroutine: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = coroutine.py();
    let names: &[&Bound<'py, PyString>] =
        &[intern!(py, "cr_await"), intern!(py, "gi_yieldfrom"), intern!(py, "ag_await")];
    // SAFETY: a comparison of types.
    let is_usual = unsafe { ffi::PyCoro_CheckExact(coroutine.as_ptr()) } != 0;
    for name in if is_usual { &names[..1] } else { names } {
        if let Some(next) = coroutine.getattr_opt(*name)? {
            return Ok((!next.is_none()).then_some(next));
        }
    }
    if !WRAPPERS.contains(&coroutine.get_type().name()?.to_str()?) {
        return Ok(None);
    }
    // They tell nobody but the garbage collector.
    let inside = py.import(intern!(py, "gc"))?.call_method1(intern!(py, "get_referents"), (coroutine,))?;
    inside.try_iter()?.next().transpose()
}

/// A coroutine, what it awaits, what that awaits, and so on: the last is no coroutine, or runs, or does not tell.
///
/// # Errors
/// What the look-ups raise.
#[pyfunction]
pub fn awaited_by<'py>(coroutine: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
    let chain = PyList::empty(coroutine.py());
    let mut last = coroutine.clone();
    loop {
        chain.append(&last)?;
        match next_of(&last)? {
            Some(next) => last = next,
            None => return Ok(chain),
        }
    }
}

/// The last two of `awaited_by`; the former is None where there is but one.
///
/// # Errors
/// What the look-ups raise.
pub fn end_of_chain<'py>(
    coroutine: Bound<'py, PyAny>,
) -> PyResult<(Option<Bound<'py, PyAny>>, Bound<'py, PyAny>)> {
    let (mut before, mut last) = (None, coroutine);
    while let Some(next) = next_of(&last)? {
        before = Some(std::mem::replace(&mut last, next));
    }
    Ok((before, last))
}
