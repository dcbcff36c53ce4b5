//! How a future begins and ends, and who is told.
//!
//! Ordinarily a transition is core's own, and nothing but a wake-up follows. Two things can make it longer: callbacks, which
//! are called after it; and code of the standard library's kind that was given `_condition` or `_waiters`. Such code holds
//! the condition and relies on nothing changing meanwhile, so that from then on every transition takes the condition, tells
//! the waiters in the list while it holds it, and notifies it.

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyTuple};
use tress_core::base::completion::{Access, Begin, Cancel, Ended, Refused, State};

use crate::base::calls;

use super::future::{Future, Outcome, base, standard_error, state_name};

/// A method that a waiter of the standard library's kind is told the end by.
#[derive(Clone, Copy)]
enum Tell {
    Result,
    Exception,
    Cancelled,
}

impl Tell {
    fn name(self, py: Python<'_>) -> &Bound<'_, PyString> {
        match self {
            Self::Result => intern!(py, "add_result"),
            Self::Exception => intern!(py, "add_exception"),
            Self::Cancelled => intern!(py, "add_cancelled"),
        }
    }
}

impl Future {
    /// Wakes who waits, then calls what was to be called at the end.
    fn conclude(slf: &Bound<'_, Self>, ended: Ended) -> PyResult<()> {
        ended.wakes.wake();
        if ended.extended && slf.get().has_callbacks(slf.py()) {
            return Self::call_back(slf);
        }
        Ok(())
    }

    /// Calls what was to be called at the end.
    pub fn call_back(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        calls::call(invoke_callbacks(py)?, &PyTuple::new(py, [slf])?).map(drop)
    }

    pub fn has_callbacks(&self, py: Python<'_>) -> bool {
        self.completion
            .extension(|extras| Some(extras?.callbacks.as_ref()?.bind(py).len() > 0))
            .unwrap_or(false)
    }

    /// Runs a transition with the condition held that others may have been given; tells waiters of the standard kind.
    fn guarded<R>(
        slf: &Bound<'_, Self>,
        tell: Tell,
        transition: impl FnOnce() -> PyResult<(R, bool)>,
    ) -> PyResult<R> {
        let py = slf.py();
        let condition = Self::condition(slf)?;
        calls::method(&condition, intern!(py, "acquire"), None)?;
        let told = transition().and_then(|(made, ended)| {
            if ended {
                let waiters = slf.get().completion.extension(|extras| {
                    extras.and_then(|extras| extras.waiters.as_ref()).map(|waiters| waiters.clone_ref(py))
                });
                if let (Some(waiters), true) = (waiters, slf.get().completion.state().is_settled()) {
                    for waiter in waiters.bind(py) {
                        calls::method(&waiter, tell.name(py), Some(slf.as_any().as_borrowed()))?;
                    }
                }
                calls::method(&condition, intern!(py, "notify_all"), None)?;
            }
            Ok(made)
        });
        let released = calls::method(&condition, intern!(py, "release"), None);
        let made = told?;
        released?;
        Ok(made)
    }

    /// The condition that others may take; from the first call on transitions take it, too.
    pub fn condition<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let completion = &slf.get().completion;
        let known = completion.extension(|extras| Some(extras?.condition.as_ref()?.clone_ref(py)));
        if let Some(condition) = known {
            completion.guard();
            return Ok(condition.into_bound(py));
        }
        let made =
            py.import(intern!(py, "tress.threading"))?.getattr(intern!(py, "Condition"))?.call0()?.unbind();
        let condition =
            completion.extend(|extras| extras.condition.get_or_insert(made.clone_ref(py)).clone_ref(py));
        completion.guard();
        Ok(condition.into_bound(py))
    }

    /// Ends it with `outcome`.
    ///
    /// # Errors
    /// `InvalidStateError` when it has ended before, and what guards and callbacks raise.
    pub fn finish(slf: &Bound<'_, Self>, outcome: Outcome) -> PyResult<()> {
        let failed = matches!(outcome, Outcome::Exception(_));
        match slf.get().completion.finish(Access::Free, outcome, failed) {
            Ok(ended) => Self::conclude(slf, ended),
            Err((refused, outcome)) => Self::finish_refused(slf, refused, outcome),
        }
    }

    /// What [`Future::finish`] comes to when it was refused at first.
    #[cold]
    pub fn finish_refused(slf: &Bound<'_, Self>, refused: Refused, outcome: Outcome) -> PyResult<()> {
        let py = slf.py();
        let failed = matches!(outcome, Outcome::Exception(_));
        let invalid = |state| {
            let message = slf.repr().map(|repr| format!("{}: {repr}", state_name(state)));
            match message {
                Ok(message) => standard_error(py, "InvalidStateError", Some(message)),
                Err(error) => error,
            }
        };
        if let Refused::State(state) = refused {
            return Err(invalid(state));
        }
        let tell = if failed { Tell::Exception } else { Tell::Result };
        let ended = Self::guarded(slf, tell, || {
            match slf.get().completion.finish(Access::Guarded, outcome, failed) {
                Ok(ended) => Ok((ended, true)),
                Err((Refused::State(state), _)) => Err(invalid(state)),
                Err((Refused::Guarded, _)) => unreachable!("the guard is held"),
            }
        })?;
        Self::conclude(slf, ended)
    }

    /// Begins the work; false when it was cancelled.
    pub fn begin(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let begun = |access| match slf.get().completion.begin(access) {
            Ok(Begin::Begun) => Ok((true, false)),
            Ok(Begin::Cancelled(wakes)) => {
                wakes.wake();
                Ok((false, true))
            }
            Err(refused) => Err(refused),
        };
        match begun(Access::Free) {
            Ok((begun, _)) => Ok(begun),
            Err(Refused::State(state)) => Err(unexpected(slf, state)),
            Err(Refused::Guarded) => {
                let mut state = None;
                let begun = Self::guarded(slf, Tell::Cancelled, || match begun(Access::Guarded) {
                    Ok(made) => Ok(made),
                    Err(Refused::State(seen)) => {
                        state = Some(seen);
                        Ok((false, false))
                    }
                    Err(Refused::Guarded) => unreachable!("the guard is held"),
                })?;
                match state {
                    Some(state) => Err(unexpected(slf, state)),
                    None => Ok(begun),
                }
            }
        }
    }

    /// Gives up, unless it is running or finished.
    pub fn give_up(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let completion = &slf.get().completion;
        let cancelled = match completion.cancel(Access::Free) {
            Ok(cancelled) => cancelled,
            Err(_) => Self::guarded(slf, Tell::Cancelled, || match completion.cancel(Access::Guarded) {
                Ok(cancelled) => {
                    let ended = matches!(cancelled, Cancel::Now(_));
                    Ok((cancelled, ended))
                }
                Err(_) => unreachable!("the guard is held"),
            })?,
        };
        match cancelled {
            Cancel::Now(ended) => Self::conclude(slf, ended).map(|()| true),
            Cancel::Before => Ok(true),
            Cancel::Late => Ok(false),
        }
    }
}

#[cold]
fn unexpected(slf: &Bound<'_, Future>, state: State) -> PyErr {
    let py = slf.py();
    let logged = base(py, "LOGGER").and_then(|logger| {
        logger.call_method1(
            intern!(py, "critical"),
            ("Future %s in unexpected state: %s", slf.as_ptr() as usize, state_name(state)),
        )
    });
    logged.err().unwrap_or_else(|| PyRuntimeError::new_err("Future in unexpected state"))
}

/// The Python function that calls a future's callbacks and logs what they raise.
pub fn invoke_callbacks(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static INVOKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    INVOKE.import(py, "tress.concurrent.futures._base", "_invoke_callbacks")
}
