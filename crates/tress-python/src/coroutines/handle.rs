//! What `call_soon` and its kin return: a call that can be cancelled until it is made.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use pyo3::basic::CompareOp;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{IntoPyObjectExt, PyTraverseError, PyVisit, ffi, intern};

use tress_core::base::thread_id;

use crate::base::attached::Attached;
use crate::base::{calls, freelist};

use super::event_loop::EventLoop;

/// The positional arguments of a call.
pub enum Arguments {
    None,
    One(Py<PyAny>),
    Many(Py<PyTuple>),
}

impl Arguments {
    pub fn of(arguments: &Bound<'_, PyTuple>) -> Self {
        match arguments.len() {
            0 => Self::None,
            1 => match arguments.get_item(0) {
                Ok(only) => Self::One(only.unbind()),
                Err(_) => Self::Many(arguments.clone().unbind()),
            },
            _ => Self::Many(arguments.clone().unbind()),
        }
    }

    fn clone_ref(&self, py: Python<'_>) -> Self {
        match self {
            Self::None => Self::None,
            Self::One(only) => Self::One(only.clone_ref(py)),
            Self::Many(all) => Self::Many(all.clone_ref(py)),
        }
    }

    /// Without a look whether this thread is attached.
    #[inline]
    pub fn drop_attached(self, py: Python<'_>) {
        match self {
            Self::None => {}
            Self::One(only) => drop(only.into_bound(py)),
            Self::Many(all) => drop(all.into_bound(py)),
        }
    }

    pub fn tuple<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        match self {
            Self::None => Ok(PyTuple::empty(py)),
            Self::One(only) => PyTuple::new(py, [only]),
            Self::Many(all) => Ok(all.bind(py).clone()),
        }
    }
}

/// `callback(*arguments)` in `context`, which is left before this returns.
///
/// # Errors
/// What the call raises; RuntimeError if the context has been entered already.
#[inline]
pub fn call_in(
    context: Borrowed<'_, '_, PyAny>,
    callback: Borrowed<'_, '_, PyAny>,
    arguments: &Arguments,
) -> PyResult<()> {
    let py = context.py();
    // SAFETY: the handles' contexts are `contextvars.Context` objects, which the loop has seen to.
    if unsafe { ffi::PyContext_Enter(context.as_ptr()) } != 0 {
        return Err(PyErr::fetch(py));
    }
    let callable = callback.as_ptr();
    // SAFETY: all are owned by the caller until this returns.
    let called = unsafe {
        match arguments {
            Arguments::None => calls::vectorcall(py, callable, &[]),
            Arguments::One(only) => calls::vectorcall(py, callable, &[only.as_ptr()]),
            Arguments::Many(all) => calls::call(&callback, all.bind(py)),
        }
    };
    // SAFETY: it was entered above, and whatever the call has entered it has left.
    if unsafe { ffi::PyContext_Exit(context.as_ptr()) } != 0 {
        return Err(PyErr::fetch(py));
    }
    called.map(drop)
}

/// Whether an error ends the loop rather than go to its exception handler.
pub fn ends_loop(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<pyo3::exceptions::PySystemExit>(py)
        || error.is_instance_of::<pyo3::exceptions::PyKeyboardInterrupt>(py)
}

struct Call {
    callback: Option<Py<PyAny>>,
    arguments: Arguments,
    is_cancelled: bool,
}

/// A call that the loop is to make, as `asyncio.Handle`.
#[pyclass(module = "asyncio.events", frozen, subclass, weakref, freelist = 1024)]
pub struct Handle {
    call: Attached<Call>,
    context: Py<PyAny>,
    owner: Py<EventLoop>,
    /// Of one that `call_soon_threadsafe` has made.
    sharing: Option<Sharing>,
}

/// Who makes a call that other threads may cancel: they wait until it has been made.
#[derive(Default)]
struct Sharing {
    runner: AtomicU64,
}

/// Threads that wait for a call to end, of any handle: hardly ever one.
static ENDED: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());

/// How many those are.
static WAITING: AtomicUsize = AtomicUsize::new(0);

impl Sharing {
    /// Waits while another thread makes the call.
    #[cold]
    fn wait(&self, py: Python<'_>) {
        let runner = self.runner.load(Ordering::Relaxed);
        if runner == thread_id::NOBODY || runner == thread_id::current() {
            return;
        }
        py.detach(|| {
            let mut held = ENDED.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Counted before it looks: whoever has ended the call looks at the count afterwards, so one of the two sees the other.
            WAITING.fetch_add(1, Ordering::SeqCst);
            while self.runner.load(Ordering::SeqCst) == runner {
                held = ENDED.1.wait(held).unwrap_or_else(PoisonError::into_inner);
            }
            WAITING.fetch_sub(1, Ordering::SeqCst);
        });
    }

    fn begin(&self) {
        self.runner.store(thread_id::current(), Ordering::Relaxed);
    }

    fn end(&self) {
        self.runner.store(thread_id::NOBODY, Ordering::SeqCst);
        if WAITING.load(Ordering::SeqCst) > 0 {
            // It holds this from its look until it sleeps.
            let _held = ENDED.0.lock().unwrap_or_else(PoisonError::into_inner);
            ENDED.1.notify_all();
        }
    }
}

impl Handle {
    pub fn new(owner: Py<EventLoop>, callback: Py<PyAny>, arguments: Arguments, context: Py<PyAny>) -> Self {
        let call = Attached::new(Call { callback: Some(callback), arguments, is_cancelled: false });
        Self { call, context, owner, sharing: None }
    }

    /// As an object.
    ///
    /// # Errors
    /// MemoryError.
    #[inline]
    pub fn object(self, py: Python<'_>) -> PyResult<Bound<'_, Self>> {
        // SAFETY: the class has a `__traverse__`.
        unsafe { freelist::object(py, self) }
    }

    /// As the standard library has it from 3.14 on, whoever cancels it, or asks whether it is cancelled, in another thread waits
    /// for a call that is being made.
    pub fn shared(mut self) -> Self {
        self.sharing = cfg!(Py_3_14).then(Sharing::default);
        self
    }

    #[inline]
    pub fn is_cancelled(&self, py: Python<'_>) -> bool {
        self.call.with(py, |call| call.is_cancelled)
    }

    /// Makes the call.
    ///
    /// # Errors
    /// What ends the loop; all else goes to its exception handler.
    #[inline]
    pub fn run(slf: &Bound<'_, Self>) -> PyResult<()> {
        match &slf.get().sharing {
            None => Self::run_alone(slf),
            Some(sharing) => {
                sharing.begin();
                let done = Self::run_alone(slf);
                sharing.end();
                done
            }
        }
    }

    #[inline]
    fn run_alone(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let call = this.call.with(py, |call| {
            // It may be cancelled in the middle of its own call.
            call.callback.as_ref().map(|callback| (callback.clone_ref(py), call.arguments.clone_ref(py)))
        });
        let Some((callback, arguments)) = call else { return Ok(()) };
        let callback = callback.into_bound(py);
        let called = call_in(this.context.bind_borrowed(py), callback.as_borrowed(), &arguments);
        arguments.drop_attached(py);
        match called {
            Ok(()) => Ok(()),
            Err(error) => Self::failed(slf, error),
        }
    }

    #[cold]
    fn failed(slf: &Bound<'_, Self>, error: PyErr) -> PyResult<()> {
        let py = slf.py();
        if ends_loop(py, &error) {
            return Err(error);
        }
        EventLoop::report(slf.get().owner.bind(py), slf.as_any(), error)
    }

    /// Cancels it; whether it was not yet.
    fn take_back(&self, py: Python<'_>) -> bool {
        let out = self.call.with(py, |call| {
            let was_cancelled = std::mem::replace(&mut call.is_cancelled, true);
            (was_cancelled, call.callback.take(), std::mem::replace(&mut call.arguments, Arguments::None))
        });
        !out.0
    }
}

/// The class of the standard library's in whose place `name` stands.
fn standard<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import(intern!(py, "asyncio.events"))?.getattr(name)
}

fn repr<'py>(slf: &Bound<'py, PyAny>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    let py = slf.py();
    let words = standard(py, name)?.call_method1(intern!(py, "_repr_info"), (slf,))?;
    let words = intern!(py, " ").call_method1(intern!(py, "join"), (words,))?;
    intern!(py, "<{}>").call_method1(intern!(py, "format"), (words,))
}

#[pymethods]
impl Handle {
    /// Cancels the call, unless it has been made; to cancel it again does nothing.
    pub fn cancel(&self, py: Python<'_>) {
        if let Some(sharing) = &self.sharing {
            sharing.wait(py);
        }
        self.take_back(py);
    }

    /// Whether it was cancelled.
    fn cancelled(&self, py: Python<'_>) -> bool {
        if let Some(sharing) = &self.sharing {
            sharing.wait(py);
        }
        self.is_cancelled(py)
    }

    /// The context in which the call is made.
    fn get_context(&self, py: Python<'_>) -> Py<PyAny> {
        self.context.clone_ref(py)
    }

    fn _run(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::run(slf)
    }

    fn __repr__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        repr(slf.as_any(), "Handle")
    }

    /// The standard library's class, for `isinstance`.
    #[getter]
    fn __class__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        standard(slf.py(), if slf.get().sharing.is_some() { "_ThreadSafeHandle" } else { "Handle" })
    }

    #[getter]
    fn _callback(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.call.with(py, |call| call.callback.as_ref().map(|callback| callback.clone_ref(py)))
    }

    #[getter]
    fn _args<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let arguments = self.call.with(py, |call| {
            let is_there = call.callback.is_some();
            is_there.then(|| call.arguments.clone_ref(py))
        });
        arguments.map(|arguments| arguments.tuple(py)).transpose()
    }

    #[getter]
    fn _cancelled(&self, py: Python<'_>) -> bool {
        self.is_cancelled(py)
    }

    #[getter]
    fn _context(&self, py: Python<'_>) -> Py<PyAny> {
        self.context.clone_ref(py)
    }

    #[getter]
    fn _loop(&self, py: Python<'_>) -> Py<EventLoop> {
        self.owner.clone_ref(py)
    }

    /// None: a loop in debug mode makes the standard library's handles.
    #[getter]
    fn _source_traceback(&self) -> Option<Py<PyAny>> {
        None
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.context)?;
        visit.call(&self.owner)?;
        let visited = self.call.collected(|call| {
            visit.call(&call.callback)?;
            match &call.arguments {
                Arguments::None => Ok(()),
                Arguments::One(only) => visit.call(only),
                Arguments::Many(all) => visit.call(all),
            }
        });
        visited.unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        let out = self.call.collected(|call| {
            (call.callback.take(), std::mem::replace(&mut call.arguments, Arguments::None))
        });
        drop(out);
    }
}

/// A call that the loop is to make at a time, as `asyncio.TimerHandle`.
#[pyclass(module = "asyncio.events", frozen, extends = Handle)]
pub struct TimerHandle {
    when: f64,
    /// Whether it is among the loop's timers.
    is_scheduled: AtomicBool,
}

impl TimerHandle {
    pub fn new(py: Python<'_>, when: f64, handle: Handle) -> PyResult<Py<Self>> {
        Py::new(
            py,
            PyClassInitializer::from(handle).add_subclass(Self { when, is_scheduled: AtomicBool::new(true) }),
        )
    }

    /// It has been taken from the loop's timers.
    pub fn note_taken(&self) {
        self.is_scheduled.store(false, Ordering::Relaxed);
    }
}

#[pymethods]
impl TimerHandle {
    /// When the call is due, in seconds of the loop's clock.
    fn when(&self) -> f64 {
        self.when
    }

    /// Cancels the call, unless it has been made; to cancel it again does nothing.
    fn cancel(slf: &Bound<'_, Self>) {
        let py = slf.py();
        let handle = slf.as_super().get();
        if handle.take_back(py) && slf.get().is_scheduled.load(Ordering::Relaxed) {
            handle.owner.get().note_cancelled_timer(py);
        }
    }

    #[getter]
    fn _when(&self) -> f64 {
        self.when
    }

    #[getter]
    fn _scheduled(&self) -> bool {
        self.is_scheduled.load(Ordering::Relaxed)
    }

    fn __repr__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        repr(slf.as_any(), "TimerHandle")
    }

    #[getter]
    fn __class__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        standard(slf.py(), "TimerHandle")
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        self.when.into_bound_py_any(py)?.hash()
    }

    fn __richcmp__<'py>(
        slf: &Bound<'py, Self>,
        other: &Bound<'py, PyAny>,
        op: CompareOp,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let method = match op {
            CompareOp::Lt => "__lt__",
            CompareOp::Le => "__le__",
            CompareOp::Gt => "__gt__",
            CompareOp::Ge => "__ge__",
            CompareOp::Eq => "__eq__",
            CompareOp::Ne => {
                let equal = standard(py, "TimerHandle")?.call_method1("__eq__", (slf, other))?;
                if equal.is(py.NotImplemented()) {
                    return Ok(equal);
                }
                return (!equal.is_truthy()?).into_bound_py_any(py);
            }
        };
        standard(py, "TimerHandle")?.call_method1(method, (slf, other))
    }
}
