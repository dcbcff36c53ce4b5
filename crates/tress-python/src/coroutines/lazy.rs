//! Coroutines of tress's own.
//!
//! `await lock.acquire()` of a free lock is over at once, and `await sleep(0)` after a turn. A coroutine in Python costs a frame for
//! that; this is an object with a coroutine's methods, so that it can be awaited, and a task can be made of it. Like a coroutine it
//! does nothing before it is first resumed. It has no frame: `cr_frame` and `cr_await` are missing, and who looks at a stack of
//! coroutines finds the line that awaits it at the end.

use std::ffi::CString;
use std::ptr;
use std::sync::atomic::{AtomicU16, Ordering};

use pyo3::exceptions::{
    PyGeneratorExit, PyRuntimeError, PyRuntimeWarning, PyStopIteration, PyTypeError, PyValueError,
};
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyTuple};
use pyo3::{PyTraverseError, PyVisit, intern};

use crate::base::attached::Attached;
use crate::base::calls::{self, Sent};
use crate::base::freelist::{self, FreeList, Recycled};
use crate::base::raw::attached;
use crate::threads::awaiting::{self, Operation};

use super::future_state::{IS_BLOCKING, RESULT};
use super::queue::LoopQueue;
use super::sleeping;
use super::sockets::{self, SocketCall};
use super::streams;
use super::synchronization::{LoopEvent, LoopLock, LoopSemaphore};
use super::timeouts::Timeout;

/// What it does.
#[derive(Clone, Copy)]
pub enum Attempt {
    AcquireLock,
    /// As the former, for `async with`, which returns None.
    EnterLock,
    AcquireSemaphore,
    EnterSemaphore,
    WaitForEvent,
    Get,
    Put,
    Sleep,
    Socket(sockets::Operation),
    Stream(streams::Operation),
    EnterTimeout,
    /// Of what threads share.
    Shared(Operation),
}

/// What comes of resuming it.
pub enum Step<'py> {
    /// It returns this.
    Over(Bound<'py, PyAny>),
    /// It returns what it always does.
    Done,
    /// The others have a turn; then it returns its argument.
    Pause,
    /// It waits for a future.
    Wait(Bound<'py, PyAny>),
    /// It waits, and deals with another object from now on.
    WaitWith { future: Bound<'py, PyAny>, instead: Bound<'py, PyAny> },
    /// It does what this coroutine does, from now on.
    Delegate(Bound<'py, PyAny>),
}

type Argument<'a, 'py> = Option<&'a Bound<'py, PyAny>>;

impl Attempt {
    /// In messages.
    const fn name(self) -> &'static str {
        match self {
            Self::AcquireLock => "Lock.acquire",
            Self::EnterLock => "Lock.__aenter__",
            Self::AcquireSemaphore => "Semaphore.acquire",
            Self::EnterSemaphore => "Semaphore.__aenter__",
            Self::WaitForEvent => "Event.wait",
            Self::Get => "Queue.get",
            Self::Put => "Queue.put",
            Self::Sleep => "sleep",
            Self::Socket(operation) => operation.name(),
            Self::Stream(operation) => operation.name(),
            Self::EnterTimeout => "Timeout.__aenter__",
            Self::Shared(operation) => operation.name(),
        }
    }

    /// What it returns when it is done.
    fn usual_result(self, py: Python<'_>) -> Bound<'_, PyAny> {
        match self {
            Self::AcquireLock | Self::AcquireSemaphore | Self::WaitForEvent => {
                PyBool::new(py, true).to_owned().into_any()
            }
            Self::EnterLock
            | Self::EnterSemaphore
            | Self::Get
            | Self::Put
            | Self::Sleep
            | Self::Socket(_)
            | Self::Stream(_)
            | Self::EnterTimeout => py.None().into_bound(py),
            Self::Shared(operation) => operation.usual_result(py),
        }
    }

    /// Resumes it for the first time.
    fn begin<'py>(
        self,
        slf: &Bound<'py, LazyCoroutine>,
        of: &Bound<'py, PyAny>,
        argument: Argument<'_, 'py>,
    ) -> PyResult<Step<'py>> {
        match self {
            Self::AcquireLock | Self::EnterLock => LoopLock::begin(of.cast()?),
            Self::AcquireSemaphore | Self::EnterSemaphore => LoopSemaphore::begin(of.cast()?),
            Self::WaitForEvent => LoopEvent::begin(of.cast()?),
            Self::Get => LoopQueue::begin_to_get(of.cast()?),
            Self::Put => LoopQueue::begin_to_put(of.cast()?, argument.unwrap_or(of)),
            Self::Sleep => sleeping::begin(slf, of),
            Self::Socket(operation) => SocketCall::begin(of.cast()?, operation),
            Self::Stream(operation) => operation.begin(of, argument, &slf.get().progress),
            Self::EnterTimeout => Timeout::enter(of.cast()?).map(|()| Step::Over(of.clone())),
            Self::Shared(operation) => operation.begin(of, argument),
        }
    }

    /// Resumes it when what it waits for has come.
    fn go_on<'py>(
        self,
        slf: &Bound<'py, LazyCoroutine>,
        of: &Bound<'py, PyAny>,
        argument: Argument<'_, 'py>,
        future: &Bound<'py, PyAny>,
    ) -> PyResult<Step<'py>> {
        match self {
            Self::AcquireLock | Self::EnterLock => LoopLock::go_on(of.cast()?, future),
            Self::AcquireSemaphore | Self::EnterSemaphore => LoopSemaphore::go_on(of.cast()?, future),
            Self::WaitForEvent => LoopEvent::go_on(of.cast()?, future),
            // Another may have been faster.
            Self::Get | Self::Put | Self::Socket(_) | Self::EnterTimeout => self.begin(slf, of, argument),
            Self::Stream(operation) => operation.go_on(of, argument, future, &slf.get().progress),
            Self::Sleep => Ok(argument.map_or(Step::Done, |result| Step::Over(result.clone()))),
            Self::Shared(_) => awaiting::go_on(of),
        }
    }

    /// It is closed while it waits: what is around it is about to end.
    fn close(self, of: &Bound<'_, PyAny>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        match self {
            Self::Shared(_) => awaiting::close(of),
            _ => self.give_up(of, future),
        }
    }

    /// An exception is thrown into its wait.
    fn interrupt<'py>(
        self,
        of: &Bound<'py, PyAny>,
        future: &Bound<'py, PyAny>,
        error: PyErr,
    ) -> PyResult<Step<'py>> {
        match self {
            Self::Shared(_) => awaiting::interrupt(of, error),
            _ => {
                self.give_up(of, future)?;
                Err(error)
            }
        }
    }

    /// It has been cancelled, or is thrown away, while it waits.
    fn give_up(self, of: &Bound<'_, PyAny>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        match self {
            Self::AcquireLock | Self::EnterLock => LoopLock::give_up(of.cast()?, future),
            Self::AcquireSemaphore | Self::EnterSemaphore => LoopSemaphore::give_up(of.cast()?, future),
            Self::WaitForEvent => LoopEvent::give_up(of.cast()?, future),
            Self::Get => LoopQueue::give_up_getting(of.cast()?, future),
            Self::Put => LoopQueue::give_up_putting(of.cast()?, future),
            Self::Sleep => sleeping::give_up(of),
            Self::Socket(operation) => {
                SocketCall::give_up(of.cast()?, operation, future);
                Ok(())
            }
            Self::Stream(operation) => operation.give_up(of, future),
            // It never waits.
            Self::EnterTimeout => Ok(()),
            Self::Shared(_) => awaiting::give_up(of),
        }
    }
}

enum Stage {
    /// Of whom, and with which argument.
    New(Py<PyAny>, Option<Py<PyAny>>),
    /// It is being resumed.
    Running,
    Paused(Option<Py<PyAny>>),
    Waiting {
        of: Py<PyAny>,
        argument: Option<Py<PyAny>>,
        future: Py<PyAny>,
    },
    /// Another coroutine does the rest.
    Delegating(Py<PyAny>),
    Over,
}

/// How far a search has come; or a sleeper's number among the loop's timers. Below 2**48: beside what is attempted there are six bytes.
#[derive(Default)]
pub struct Progress([AtomicU16; 3]);

impl Progress {
    #[inline]
    pub fn get(&self) -> usize {
        self.0.iter().rev().fold(0, |all, part| all << 16 | usize::from(part.load(Ordering::Relaxed)))
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a part of it at a time")]
    pub fn set(&self, mut progress: usize) {
        for part in &self.0 {
            part.store(progress as u16, Ordering::Relaxed);
            progress >>= 16;
        }
    }
}

/// See the module's documentation.
#[pyclass(module = "tress._native", frozen)]
pub struct LazyCoroutine {
    attempt: Attempt,
    stage: Attached<Stage>,
    pub progress: Progress,
}

static FREE: FreeList = FreeList::new(64);

// SAFETY: it has a `__traverse__` and no dictionary.
unsafe impl Recycled for LazyCoroutine {
    fn list() -> &'static FreeList {
        &FREE
    }
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
        freelist::object(py, Self { attempt, stage, progress: Progress::default() })
    }

    /// The lock that it waits for, if that is what it does.
    pub fn lock<'py>(&self, py: Python<'py>) -> Option<Bound<'py, LoopLock>> {
        if !matches!(self.attempt, Attempt::AcquireLock | Attempt::EnterLock) {
            return None;
        }
        self.waits_for(py).and_then(|lock| lock.cast_into().ok())
    }

    /// What it waits for: a lock, queue, event, or the loop of a sleeper, or its timer. None if it does not wait.
    fn waits_for<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.stage.with(py, |stage| match stage {
            Stage::Waiting { of, .. } => Some(of.bind(py).clone()),
            _ => None,
        })
    }

    fn become_stage(&self, py: Python<'_>, stage: Stage) -> Stage {
        self.stage.with(py, |place| std::mem::replace(place, stage))
    }

    fn resume<'py>(slf: &Bound<'py, Self>, value: Borrowed<'_, 'py, PyAny>) -> PyResult<Sent<'py>> {
        let (py, this) = (slf.py(), slf.get());
        if !value.is_none() && this.stage.with(py, |stage| matches!(stage, Stage::New(..))) {
            return Err(PyTypeError::new_err("can't send non-None value to a just-started coroutine"));
        }
        let (step, of, argument) = match this.become_stage(py, Stage::Running) {
            Stage::New(of, argument) => {
                let (of, argument) = (of.into_bound(py), argument.map(|argument| argument.into_bound(py)));
                (this.attempt.begin(slf, &of, argument.as_ref()), of, argument)
            }
            Stage::Paused(result) => {
                this.become_stage(py, Stage::Over);
                return Ok(Sent::Returned(result.unwrap_or_else(|| py.None()).into_bound(py)));
            }
            Stage::Waiting { of, argument, future } => {
                let (of, argument) = (of.into_bound(py), argument.map(|argument| argument.into_bound(py)));
                let future = future.into_bound(py);
                let step = match RESULT.call(&future, None) {
                    Ok(_) => this.attempt.go_on(slf, &of, argument.as_ref(), &future),
                    Err(error) => this.attempt.interrupt(&of, &future, error),
                };
                (step, of, argument)
            }
            Stage::Delegating(to) => return this.forward(to.into_bound(py), value),
            Stage::Running => return Err(PyValueError::new_err("coroutine already executing")),
            Stage::Over => {
                this.become_stage(py, Stage::Over);
                return Err(cannot_reuse());
            }
        };
        match step {
            Ok(Step::Delegate(to)) => this.forward(to, py.None().bind_borrowed(py)),
            step => this.conclude(step, of, argument),
        }
    }

    /// Goes on as a step says.
    fn conclude<'py>(
        &self,
        step: PyResult<Step<'py>>,
        of: Bound<'py, PyAny>,
        argument: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Sent<'py>> {
        let py = of.py();
        let outcome = step.and_then(|step| match step {
            Step::Over(result) => Ok((Stage::Over, Sent::Returned(result))),
            Step::Done => Ok((Stage::Over, Sent::Returned(self.attempt.usual_result(py)))),
            Step::Pause => {
                let paused = Stage::Paused(argument.map(Bound::unbind));
                Ok((paused, Sent::Yielded(py.None().into_bound(py))))
            }
            Step::Wait(future) => Self::waiting(of, argument, future),
            Step::WaitWith { future, instead } => Self::waiting(instead, argument, future),
            Step::Delegate(_) => unreachable!("it has been forwarded"),
        });
        let (next, resumed) = match outcome {
            Ok((next, resumed)) => (next, Ok(resumed)),
            Err(error) => (Stage::Over, Err(error)),
        };
        self.become_stage(py, next);
        resumed
    }

    /// What it waits for, if it waits.
    pub fn awaited<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.stage.with(py, |stage| match stage {
            Stage::Waiting { future, .. } => Some(future.bind(py).clone()),
            _ => None,
        })
    }

    pub fn is_waiting(&self, py: Python<'_>) -> bool {
        self.stage.with(py, |stage| matches!(stage, Stage::Waiting { .. }))
    }

    /// Resumes the coroutine that does the rest.
    fn forward<'py>(&self, to: Bound<'py, PyAny>, value: Borrowed<'_, 'py, PyAny>) -> PyResult<Sent<'py>> {
        let py = to.py();
        let outcome = calls::send(&to, value);
        let goes_on = matches!(outcome, Ok(Sent::Yielded(_)));
        self.become_stage(py, if goes_on { Stage::Delegating(to.unbind()) } else { Stage::Over });
        outcome
    }

    fn waiting<'py>(
        of: Bound<'py, PyAny>,
        argument: Option<Bound<'py, PyAny>>,
        future: Bound<'py, PyAny>,
    ) -> PyResult<(Stage, Sent<'py>)> {
        // A task wants to see that it is awaited, and not just yielded.
        IS_BLOCKING.set(&future, true)?;
        let stage = Stage::Waiting {
            of: of.unbind(),
            argument: argument.map(Bound::unbind),
            future: future.clone().unbind(),
        };
        Ok((stage, Sent::Yielded(future)))
    }

    /// Ends it where it is: closes it, or gives it up where nobody awaits it any more. False if it is over already.
    fn end(&self, py: Python<'_>, closes: bool) -> PyResult<bool> {
        match self.become_stage(py, Stage::Over) {
            Stage::Waiting { of, future, argument } => {
                let (of, future) = (of.into_bound(py), future.into_bound(py));
                drop(argument.map(|argument| argument.into_bound(py)));
                let end = if closes { Attempt::close } else { Attempt::give_up };
                end(self.attempt, &of, &future).map(|()| true)
            }
            Stage::Delegating(to) => {
                calls::method(to.bind(py), intern!(py, "close"), None)?;
                Ok(true)
            }
            Stage::Running => {
                self.become_stage(py, Stage::Running);
                Err(PyValueError::new_err("coroutine already executing"))
            }
            Stage::Over => Ok(false),
            Stage::New(..) | Stage::Paused(_) => Ok(true),
        }
    }
}

fn returned(value: Bound<'_, PyAny>) -> PyErr {
    PyStopIteration::new_err((value.unbind(),))
}

/// The outcome of `send` and `throw`: an end is an exception.
fn yielded(outcome: Sent<'_>) -> PyResult<Bound<'_, PyAny>> {
    match outcome {
        Sent::Yielded(yielded) => Ok(yielded),
        Sent::Returned(result) => Err(returned(result)),
    }
}

fn cannot_reuse() -> PyErr {
    PyRuntimeError::new_err("cannot reuse already awaited coroutine")
}

/// What the arguments of `throw` say.
fn thrown(args: &Bound<'_, PyTuple>) -> PyErr {
    let py = args.py();
    if let Ok(error) = args.get_item(0)
        && error.is_instance_of::<pyo3::exceptions::PyBaseException>()
        && args.iter().skip(1).all(|more| more.is_none())
    {
        return PyErr::from_value(error);
    }
    let raise = py
        .import(intern!(py, "tress.asyncio._standard"))
        .and_then(|module| module.getattr(intern!(py, "raise_thrown")));
    match raise.and_then(|raise| calls::call(&raise, args)) {
        Err(error) => error,
        Ok(_) => PyTypeError::new_err("exceptions must be classes or instances deriving from BaseException"),
    }
}

#[pymethods]
impl LazyCoroutine {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        match Self::resume(slf, py.None().bind_borrowed(py))? {
            Sent::Yielded(yielded) => Ok(Some(yielded)),
            // The end without an exception means None.
            Sent::Returned(result) if result.is_none() => Ok(None),
            Sent::Returned(result) => Err(returned(result)),
        }
    }

    /// Resumes it, as a coroutine's `send`.
    fn send<'py>(slf: &Bound<'py, Self>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        Self::resume(slf, value.as_borrowed()).and_then(yielded)
    }

    /// Raises an exception where it waits, as a coroutine's `throw`.
    #[pyo3(signature = (*args))]
    fn throw<'py>(&self, args: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let py = args.py();
        let stage = self.stage.with(py, |stage| {
            if is_suspended(stage) { Some(std::mem::replace(stage, Stage::Running)) } else { None }
        });
        match stage {
            Some(Stage::Delegating(to)) => {
                let outcome =
                    to.bind(py).getattr(intern!(py, "throw")).and_then(|throw| calls::call(&throw, args));
                self.become_stage(py, if outcome.is_ok() { Stage::Delegating(to) } else { Stage::Over });
                outcome
            }
            Some(Stage::Waiting { of, argument, future }) => {
                let (of, argument) = (of.into_bound(py), argument.map(|argument| argument.into_bound(py)));
                let (future, error) = (future.into_bound(py), thrown(args));
                let step = if error.is_instance_of::<PyGeneratorExit>(py) {
                    self.attempt.close(&of, &future).and(Err(error))
                } else {
                    self.attempt.interrupt(&of, &future, error)
                };
                self.conclude(step, of, argument).and_then(yielded)
            }
            _ => Err(if self.end(py, true)? { thrown(args) } else { cannot_reuse() }),
        }
    }

    /// Ends it, as a coroutine's `close`.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.end(py, true).map(drop)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        format!("<coroutine object {} at {:p}>", slf.get().attempt.name(), slf.as_ptr())
    }

    #[getter]
    fn __name__(&self) -> &'static str {
        self.__qualname__().rsplit('.').next().unwrap_or_default()
    }

    #[getter]
    fn __qualname__(&self) -> &'static str {
        self.attempt.name()
    }

    #[getter]
    fn cr_running(&self, py: Python<'_>) -> bool {
        self.stage.with(py, |stage| matches!(stage, Stage::Running))
    }

    #[getter]
    fn _waits_for<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.waits_for(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.stage.collected(|stage| match stage {
            Stage::New(of, argument) => {
                visit.call(&*of)?;
                visit.call(&*argument)
            }
            Stage::Paused(result) => visit.call(&*result),
            Stage::Waiting { of, argument, future } => {
                visit.call(&*of)?;
                visit.call(&*argument)?;
                visit.call(&*future)
            }
            Stage::Delegating(to) => visit.call(&*to),
            Stage::Running | Stage::Over => Ok(()),
        });
        visited.unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        let before = self.stage.collected(|stage| std::mem::replace(stage, Stage::Over));
        drop(before);
    }
}

fn is_suspended(stage: &Stage) -> bool {
    matches!(stage, Stage::Waiting { .. } | Stage::Delegating(_))
}

impl Drop for LazyCoroutine {
    fn drop(&mut self) {
        Python::try_attach(|py| {
            let (is_new, is_suspended) =
                self.stage.with(py, |stage| (matches!(stage, Stage::New(..)), is_suspended(stage)));
            if !is_new && !is_suspended {
                return;
            }
            // It may be dropped in the middle of an exception.
            let raised = PyErr::take(py);
            let outcome = if is_new {
                // Nobody has awaited it: the interpreter warns of a coroutine like that.
                CString::new(format!("coroutine '{}' was never awaited", self.attempt.name()))
                    .map_err(PyErr::from)
                    .and_then(|text| PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), &text, 1))
            } else {
                // The interpreter closes a coroutine like that; nobody else's turn must be lost with it.
                self.end(py, false).map(drop)
            };
            if let Err(error) = outcome {
                error.write_unraisable(py, None);
            }
            if let Some(raised) = raised {
                raised.restore(py);
            }
        });
    }
}

/// Puts entry points in the place of PyO3's into the slots that each `await` goes through: these parse nothing, and stand ready for
/// no panic.
pub fn install(py: Python<'_>) {
    let lazy = py.get_type::<LazyCoroutine>().as_type_ptr();
    let done = py.get_type::<Done>().as_type_ptr();
    // SAFETY:
    // - a class of PyO3's is a type on the heap, whose slots are ours to set; it is finished, and nobody has subclassed it: it is final;
    // - the functions have the types of the slots, and are called with instances.
    unsafe {
        (*lazy).tp_iternext = Some(next);
        (*done).tp_iternext = Some(end_with_none);
        for class in [lazy, done] {
            if let Some(as_async) = (*class).tp_as_async.as_mut() {
                as_async.am_await = Some(itself);
            }
        }
    }
}

/// The exception of the ends with True, which are most: making one costs more than the rest of an await.
static END_WITH_TRUE: Attached<Option<Py<PyStopIteration>>> = Attached::new(None);

/// Raises StopIteration with this value.
fn end_with(result: Bound<'_, PyAny>) {
    let py = result.py();
    if !result.is(PyBool::new(py, true)) {
        let error = made_by_slots(&result).map_or_else(|error| error, PyErr::from_value);
        return error.restore(py);
    }
    let kept = END_WITH_TRUE.with(py, Option::take);
    let exception = kept.map(|kept| kept.into_bound(py)).filter(|kept| {
        // Where Python code has seen it, it stays what that code has seen.
        // SAFETY: a live exception; the functions return new references or null.
        unsafe {
            ffi::Py_REFCNT(kept.as_ptr()) == 1
                && [ffi::PyException_GetTraceback, ffi::PyException_GetContext, ffi::PyException_GetCause]
                    .into_iter()
                    .all(|get| Bound::from_owned_ptr_or_opt(py, get(kept.as_ptr())).is_none())
        }
    });
    let exception = match exception {
        Some(exception) => exception,
        None => {
            match py.get_type::<PyStopIteration>().call1((result,)).and_then(|made| Ok(made.cast_into()?)) {
                Ok(made) => made,
                Err(error) => return error.restore(py),
            }
        }
    };
    let replaced = END_WITH_TRUE.with(py, |place| place.replace(exception.clone().unbind()));
    drop(replaced);
    PyErr::from_value(exception.into_any()).restore(py);
}

/// `StopIteration(result)`: what a call of it does, without one.
fn made_by_slots<'py>(result: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = result.py();
    let class = py.get_type::<PyStopIteration>();
    let arguments = PyTuple::new(py, [result])?;
    // SAFETY:
    // - the class is a type; the arguments are a tuple; what the former slot makes is initialised before anybody sees it;
    // - the one returns a new reference, or null with an exception set, the other -1 with one set.
    unsafe {
        let slots = &*class.as_type_ptr();
        let (Some(new), Some(init)) = (slots.tp_new, slots.tp_init) else {
            return class.call1(arguments);
        };
        let made = new(class.as_type_ptr(), arguments.as_ptr(), ptr::null_mut());
        let made = Bound::from_owned_ptr_or_err(py, made)?;
        if init(made.as_ptr(), arguments.as_ptr(), ptr::null_mut()) != 0 {
            return Err(PyErr::fetch(py));
        }
        Ok(made)
    }
}

/// The end without an exception means None.
unsafe extern "C" fn end_with_none(_: *mut PyObject) -> *mut PyObject {
    ptr::null_mut()
}

unsafe extern "C" fn itself(slf: *mut PyObject) -> *mut PyObject {
    // SAFETY: a live object, by the protocol.
    unsafe { ffi::Py_NewRef(slf) }
}

unsafe extern "C" fn next(slf: *mut PyObject) -> *mut PyObject {
    // SAFETY: an instance of the class, in a thread that is attached, by the protocol.
    unsafe {
        attached(|py| {
            let slf = Borrowed::from_ptr(py, slf).cast_unchecked::<LazyCoroutine>();
            match LazyCoroutine::resume(&slf, py.None().bind_borrowed(py)) {
                Ok(Sent::Yielded(yielded)) => return yielded.into_ptr(),
                // The end without an exception means None.
                Ok(Sent::Returned(result)) if result.is_none() => {}
                Ok(Sent::Returned(result)) => end_with(result),
                Err(error) => error.restore(py),
            }
            ptr::null_mut()
        })
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
