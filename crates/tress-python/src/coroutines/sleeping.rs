//! `sleep`: a turn for the others, or a future and a timer.

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};

use crate::base::calls;

use super::creating::{self, Found};
use super::event_loop::EventLoop;
use super::handle::Arguments;
use super::lazy::{Attempt, LazyCoroutine, Step};
use super::waiting;

static GET_RUNNING_LOOP: Found = Found::new("asyncio.events", "get_running_loop");
static WAKE: Found = Found::new("tress._native", "wake_sleeper");

/// A coroutine that takes `delay` seconds, and returns `result`.
#[pyfunction]
pub fn sleep<'py>(
    delay: &Bound<'py, PyAny>,
    result: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, LazyCoroutine>> {
    LazyCoroutine::object(Attempt::Sleep, delay, Some(result))
}

/// What a sleeper's timer calls.
#[pyfunction]
pub fn wake_sleeper(future: &Bound<'_, PyAny>) -> PyResult<()> {
    waiting::tell_with(future, future.py().None().bind_borrowed(future.py()))
}

/// Begins to sleep.
///
/// # Errors
/// ValueError for what is no number, from Python 3.13 on; RuntimeError where no loop runs; TypeError for what cannot be compared.
pub fn begin<'py>(delay: &Bound<'py, PyAny>) -> PyResult<Step<'py>> {
    let py = delay.py();
    let exact = delay.cast_exact::<PyFloat>().map(|delay| delay.value()).ok();
    let whole = delay.cast_exact::<PyInt>().ok().and_then(|delay| delay.extract::<i64>().ok());
    let is_over = match (exact, whole) {
        (Some(delay), _) => delay <= 0.0,
        (_, Some(delay)) => delay <= 0,
        _ => delay.le(0)?,
    };
    if is_over {
        return Ok(Step::Pause);
    }
    if cfg!(Py_3_13) && (exact.is_some_and(f64::is_nan) || exact.is_none() && delay.ne(delay)?) {
        return Err(PyValueError::new_err("Invalid delay: NaN (not a number)"));
    }
    let running = GET_RUNNING_LOOP.get(py)?.call0()?;
    let wake = WAKE.get(py)?.to_owned();
    let (future, timer) = match creating::own(&running)? {
        Some(own) => {
            let future = creating::future(own)?;
            let when = EventLoop::due(own, delay)?;
            let arguments = Arguments::One(future.clone().unbind());
            (future, EventLoop::call_at_with(own, "call_later", when, &wake, arguments, None)?)
        }
        None => {
            let future = waiting::new_future(&running)?;
            let timer = running.call_method1(intern!(py, "call_later"), (delay, wake, &future))?;
            (future, timer)
        }
    };
    Ok(Step::WaitWith { future, instead: timer })
}

/// Takes back the timer.
///
/// # Errors
/// What that raises.
pub fn give_up(timer: &Bound<'_, PyAny>) -> PyResult<()> {
    calls::method(timer, intern!(timer.py(), "cancel"), None).map(drop)
}
