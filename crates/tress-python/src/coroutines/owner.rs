//! Whose a lock is, as far as that tells who will release it.

use std::ptr;

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};

use crate::base::attached::Attached;

use super::{future_state, tasks};

struct State {
    /// Where the task is, or was, that took it last, whether or not it has given it back.
    at: *mut PyObject,
    /// That task. Weak: one that ends with a lock in its hands is released like any other, and its exception is reported. It is made
    /// anew only when another task takes the lock.
    task: Option<Py<PyWeakrefReference>>,
    is_signal: bool,
}

// SAFETY: the address is compared, and never followed.
unsafe impl Send for State {}

/// Whether there still is what a weak reference is to, of which somebody else has a strong one.
fn is_alive(_: Python<'_>, weak: &Py<PyWeakrefReference>) -> bool {
    // SAFETY: a live weak reference; attached. The reference that is given back is not the last one, or there is none.
    unsafe {
        #[cfg(Py_3_13)]
        {
            let mut object = ptr::null_mut();
            if ffi::PyWeakref_GetRef(weak.as_ptr(), &raw mut object) != 1 {
                return false;
            }
            ffi::Py_DECREF(object);
            true
        }
        #[cfg(not(Py_3_13))]
        {
            !ptr::eq(ffi::PyWeakref_GetObject(weak.as_ptr()), ffi::Py_None())
        }
    }
}

/// The task that took a lock, and whether such a task also releases it.
pub struct Owner(Attached<State>);

impl Owner {
    pub const fn new() -> Self {
        Self(Attached::new(State { at: ptr::null_mut(), task: None, is_signal: false }))
    }

    fn task<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let task = self.0.with(py, |state| state.task.as_ref().map(|task| task.clone_ref(py)));
        task.and_then(|task| task.into_bound(py).upgrade())
    }

    fn is(&self, task: &Bound<'_, PyAny>) -> bool {
        self.0.with(task.py(), |state| {
            // Another one may have been in the same place before.
            ptr::eq(state.at, task.as_ptr())
                && state.task.as_ref().is_some_and(|weak| is_alive(task.py(), weak))
        })
    }

    fn replace(&self, py: Python<'_>, at: *mut PyObject, task: Option<Py<PyWeakrefReference>>) {
        let before = self.0.with(py, |state| {
            state.at = at;
            std::mem::replace(&mut state.task, task)
        });
        drop(before.map(|before| before.into_bound(py)));
    }

    /// The running task has taken the lock.
    ///
    /// # Errors
    /// What the look-up of the task raises.
    #[inline]
    pub fn note_taken(&self, py: Python<'_>) -> PyResult<()> {
        let Some(task) = tasks::current(py)? else {
            self.forget(py);
            return Ok(());
        };
        if self.is(&task) {
            return Ok(());
        }
        // Another library's task may be such that there are no weak references to it.
        let weak = PyWeakrefReference::new(&task).ok().map(Bound::unbind);
        self.replace(py, task.as_ptr(), weak);
        Ok(())
    }

    /// The lock is taken by nobody in particular.
    pub fn forget(&self, py: Python<'_>) {
        self.replace(py, ptr::null_mut(), None);
    }

    /// The running task, or what is no task, has released the lock. If the one that took it still runs, the lock is a signal
    /// from now on.
    ///
    /// # Errors
    /// What the look-up of the tasks raises.
    #[inline]
    pub fn note_released(&self, py: Python<'_>) -> PyResult<()> {
        if tasks::current(py)?.is_some_and(|task| self.is(&task)) {
            return Ok(());
        }
        if let Some(owner) = self.task(py)
            && !future_state::is_done(&owner)?
        {
            self.0.with(py, |state| state.is_signal = true);
        }
        Ok(())
    }

    /// The task without which the lock, which is taken, does not become free; None where that cannot be told.
    pub fn who<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        if self.0.with(py, |state| state.is_signal) { None } else { self.task(py) }
    }
}
