//! Coroutines that mostly have nothing to wait for.
//!
//! `await lock.acquire()` of a free lock is over at once. A coroutine in Python costs a frame for that; what is returned here instead
//! tries when it is first resumed, and becomes the standard library's coroutine only if it has to wait. It has a coroutine's
//! methods, so that a task can be made of it, and tries no sooner than a coroutine would begin.

use std::ffi::CString;

use pyo3::exceptions::{PyRuntimeError, PyRuntimeWarning, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyTuple};
use pyo3::{PyTraverseError, PyVisit, ffi, intern};

use crate::base::attached::Attached;
use crate::base::calls;

use super::queue::LoopQueue;
use super::synchronization::{LoopEvent, LoopLock, LoopSemaphore};

/// What is tried.
#[derive(Clone, Copy)]
pub enum Attempt {
    AcquireLock,
    AcquireSemaphore,
    WaitForEvent,
    Get,
    Put,
}

impl Attempt {
    /// The method of the standard library's that waits, and its name in messages.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::AcquireLock => ("_wait_and_acquire", "Lock.acquire"),
            Self::AcquireSemaphore => ("_wait_and_acquire", "Semaphore.acquire"),
            Self::WaitForEvent => ("_wait_until_set", "Event.wait"),
            Self::Get => ("_wait_and_get", "Queue.get"),
            Self::Put => ("_wait_and_put", "Queue.put"),
        }
    }

    /// The result, if there is no need to wait.
    fn result<'py>(
        self,
        of: &Bound<'py, PyAny>,
        argument: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = of.py();
        let succeeded = match self {
            Self::AcquireLock => LoopLock::take(of.cast()?)?,
            Self::AcquireSemaphore => LoopSemaphore::take(of.cast()?)?,
            Self::WaitForEvent => LoopEvent::is_set_now(of.cast()?),
            Self::Get => return LoopQueue::try_get(of.cast()?),
            Self::Put => {
                let none = py.None().into_bound(py);
                let is_put = LoopQueue::try_put(of.cast()?, argument.unwrap_or(&none))?;
                return Ok(is_put.then_some(none));
            }
        };
        Ok(succeeded.then(|| PyBool::new(py, true).to_owned().into_any()))
    }
}

enum Stage {
    /// Of whom, and with which argument.
    New(Py<PyAny>, Option<Py<PyAny>>),
    /// The standard library's coroutine has taken over.
    Waiting(Py<PyAny>),
    Over,
}

/// See the module's documentation.
#[pyclass(module = "tress._native", frozen, freelist = 64)]
pub struct LazyCoroutine {
    attempt: Attempt,
    stage: Attached<Stage>,
}

/// What a coroutine does when it is resumed: it yields, or returns.
enum Resumed<'py> {
    Yielded(Bound<'py, PyAny>),
    Returned(Bound<'py, PyAny>),
}

impl LazyCoroutine {
    pub fn object<'py>(
        attempt: Attempt,
        of: &Bound<'py, PyAny>,
        argument: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, Self>> {
        let py = of.py();
        let argument = argument.map(|argument| argument.clone().unbind());
        let stage = Attached::new(Stage::New(of.clone().unbind(), argument));
        let object = Bound::new(py, Self { attempt, stage })?;
        // One that comes from the list of free ones is not yet known to the garbage collector.
        // SAFETY: a live object of a class that the collector knows, all of whose fields are there.
        unsafe {
            if ffi::PyObject_GC_IsTracked(object.as_ptr()) == 0 {
                ffi::PyObject_GC_Track(object.as_ptr().cast());
            }
        }
        Ok(object)
    }

    fn end(&self, py: Python<'_>) {
        let before = self.stage.with(py, |stage| std::mem::replace(stage, Stage::Over));
        drop(before);
    }

    /// The coroutine that waits, where there is one.
    fn waiting<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.stage.with(py, |stage| match stage {
            Stage::Waiting(inner) => Some(inner.bind(py).clone()),
            Stage::New(..) | Stage::Over => None,
        })
    }

    fn resume<'py>(&self, py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Resumed<'py>> {
        let new = self.stage.with(py, |stage| match stage {
            Stage::New(of, argument) => {
                Some((of.bind(py).clone(), argument.as_ref().map(|argument| argument.bind(py).clone())))
            }
            Stage::Waiting(_) | Stage::Over => None,
        });
        if let Some((of, argument)) = new {
            if !value.is_none() {
                return Err(pyo3::exceptions::PyTypeError::new_err(
                    "can't send non-None value to a just-started coroutine",
                ));
            }
            match self.attempt.result(&of, argument.as_ref()) {
                Ok(None) => {}
                tried => {
                    self.end(py);
                    return tried
                        .map(|result| Resumed::Returned(result.unwrap_or_else(|| py.None().into_bound(py))));
                }
            }
            let name = self.attempt.names().0;
            let inner = match argument {
                None => of.call_method0(name)?,
                Some(argument) => of.call_method1(name, (argument,))?,
            };
            let before =
                self.stage.with(py, |stage| std::mem::replace(stage, Stage::Waiting(inner.unbind())));
            drop(before);
        }
        let Some(inner) = self.waiting(py) else {
            return Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine"));
        };
        let mut made = std::ptr::null_mut();
        // SAFETY: live objects; `made` receives a new reference, but for an error.
        let status = unsafe { ffi::PyIter_Send(inner.as_ptr(), value.as_ptr(), &raw mut made) };
        match status {
            ffi::PySendResult::PYGEN_NEXT => {
                // SAFETY: a new reference.
                Ok(Resumed::Yielded(unsafe { Bound::from_owned_ptr(py, made) }))
            }
            ffi::PySendResult::PYGEN_RETURN => {
                self.end(py);
                // SAFETY: a new reference.
                Ok(Resumed::Returned(unsafe { Bound::from_owned_ptr(py, made) }))
            }
            ffi::PySendResult::PYGEN_ERROR => {
                self.end(py);
                Err(PyErr::fetch(py))
            }
        }
    }
}

fn returned(value: Bound<'_, PyAny>) -> PyErr {
    PyStopIteration::new_err((value.unbind(),))
}

#[pymethods]
impl LazyCoroutine {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.resume(py, &py.None().into_bound(py))? {
            Resumed::Yielded(yielded) => Ok(Some(yielded)),
            // The end without an exception means None.
            Resumed::Returned(result) if result.is_none() => Ok(None),
            Resumed::Returned(result) => Err(returned(result)),
        }
    }

    /// Resumes it, as a coroutine's `send`.
    fn send<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        match self.resume(value.py(), value)? {
            Resumed::Yielded(yielded) => Ok(yielded),
            Resumed::Returned(result) => Err(returned(result)),
        }
    }

    /// Raises an exception where it waits, as a coroutine's `throw`.
    #[pyo3(signature = (*args))]
    fn throw<'py>(&self, args: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let py = args.py();
        let thrown = match self.waiting(py) {
            Some(inner) => calls::call(&inner.getattr(intern!(py, "throw"))?, args),
            None => {
                // It has not begun, or is over: what is thrown is raised here.
                let raise = py
                    .import(intern!(py, "tress.asyncio._standard"))?
                    .getattr(intern!(py, "raise_thrown"))?;
                calls::call(&raise, args)
            }
        };
        if thrown.is_err() {
            self.end(py);
        }
        thrown
    }

    /// Ends it, as a coroutine's `close`.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let inner = self.waiting(py);
        if let Some(inner) = inner {
            calls::method(&inner, intern!(py, "close"), None)?;
        }
        self.end(py);
        Ok(())
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        format!("<coroutine object {} at {:p}>", slf.get().attempt.names().1, slf.as_ptr())
    }

    #[getter]
    fn __name__(&self) -> &'static str {
        self.__qualname__().rsplit('.').next().unwrap_or_default()
    }

    #[getter]
    fn __qualname__(&self) -> &'static str {
        self.attempt.names().1
    }

    #[getter]
    fn cr_await<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.waiting(py)
    }

    #[getter]
    fn cr_frame<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.waiting(py).map(|inner| inner.getattr(intern!(py, "cr_frame"))).transpose()
    }

    #[getter]
    fn cr_running(&self) -> bool {
        false
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.stage.collected(|stage| match stage {
            Stage::New(of, argument) => {
                visit.call(&*of)?;
                visit.call(&*argument)
            }
            Stage::Waiting(inner) => visit.call(&*inner),
            Stage::Over => Ok(()),
        });
        visited.unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        let before = self.stage.collected(|stage| std::mem::replace(stage, Stage::Over));
        drop(before);
    }
}

impl Drop for LazyCoroutine {
    fn drop(&mut self) {
        // Of one that nobody has awaited, as the interpreter warns of a coroutine.
        Python::try_attach(|py| {
            let is_new = self.stage.with(py, |stage| matches!(stage, Stage::New(..)));
            if is_new
                && let Ok(text) =
                    CString::new(format!("coroutine '{}' was never awaited", self.attempt.names().1))
                && let Err(error) = PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), &text, 1)
            {
                error.write_unraisable(py, None);
            }
        });
    }
}

/// What is over as soon as it is awaited, with None as its result.
#[pyclass(module = "tress._native", frozen)]
pub struct Done;

#[pymethods]
impl Done {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self) -> Option<Py<PyAny>> {
        None
    }
}

/// The one that there is.
pub fn done(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static DONE: pyo3::sync::PyOnceLock<Py<Done>> = pyo3::sync::PyOnceLock::new();
    let done = DONE.get_or_try_init(py, || Py::new(py, Done))?;
    Ok(done.bind(py).clone().into_any())
}
