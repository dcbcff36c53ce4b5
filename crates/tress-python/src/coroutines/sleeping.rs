//! `sleep`: a turn for the others, or a future and a timer.

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};

use crate::base::calls;

use super::creating::{self, Found};
use super::event_loop::EventLoop;
use super::lazy::{Attempt, LazyCoroutine, Step};
use super::waiting;

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
pub fn begin<'py>(slf: &Bound<'py, LazyCoroutine>, delay: &Bound<'py, PyAny>) -> PyResult<Step<'py>> {
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
    let running = creating::running(py)?;
    if let Some(own) = creating::own(&running)?
        && !own.get().is_debugging()
    {
        let future = creating::future(own)?;
        EventLoop::wake_at(own, EventLoop::due(own, delay)?, slf)?;
        return Ok(Step::WaitWith { future, instead: running });
    }
    let future = waiting::new_future(&running)?;
    let timer = running.call_method1(intern!(py, "call_later"), (delay, WAKE.get(py)?, &future))?;
    Ok(Step::WaitWith { future, instead: timer })
}

/// Takes back the timer, or tells the loop that it is not wanted.
///
/// # Errors
/// What that raises.
pub fn give_up(of: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = of.py();
    match creating::own(of)? {
        Some(own) => {
            own.get().note_cancelled_timer(py);
            Ok(())
        }
        None => calls::method(of, intern!(py, "cancel"), None).map(drop),
    }
}
