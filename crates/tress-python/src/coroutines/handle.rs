//! What `call_soon` and its kin return: a call that can be cancelled until it is made.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use pyo3::basic::CompareOp;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{IntoPyObjectExt, PyTraverseError, PyVisit, ffi, intern};

use tress_core::base::thread_id;

use crate::base::attached::Attached;
use crate::base::freelist::{self, FreeList, Recycled};
use crate::base::hidden;

use super::arguments::Arguments;
use super::context;
use super::event_loop::EventLoop;

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
    context::run(context, || arguments.pass_to(callback))?.map(drop)
}

/// Whether an error ends the loop rather than go to its exception handler.
pub fn ends_loop(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<pyo3::exceptions::PySystemExit>(py)
        || error.is_instance_of::<pyo3::exceptions::PyKeyboardInterrupt>(py)
}

/// The context that a call is made in: one that was copied for it, and then it is hidden from the garbage collector as long as nobody
/// else can have it; or what the program has given.
pub struct CallContext(Py<PyAny>);

impl CallContext {
    /// # Errors
    /// TypeError when it is no context; MemoryError.
    #[inline]
    pub fn of(py: Python<'_>, given: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        match given {
            Some(given) if !given.is_none() => {
                context::check(given)?;
                Ok(Self(given.clone().unbind()))
            }
            _ => context::copy_present(py).map(|copy| Self(copy.unbind())),
        }
    }

    /// # Safety
    /// Its owner is hidden, or else calls `show`.
    #[inline]
    unsafe fn hide(&self) {
        // SAFETY: a live object of a class with garbage collection, which is shown before it is dropped: see `Drop`. One that the program
        // has given has other references.
        unsafe {
            if ffi::Py_REFCNT(self.0.as_ptr()) == 1 {
                hidden::hide(self.0.as_ptr());
            }
        }
    }

    #[inline]
    fn show(&self) {
        // SAFETY: a live object of a class with garbage collection.
        unsafe { hidden::show(self.0.as_ptr()) };
    }

    #[inline]
    pub fn bind_borrowed<'a, 'py>(&'a self, py: Python<'py>) -> Borrowed<'a, 'py, PyAny> {
        self.0.bind_borrowed(py)
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        hidden::traverse(&self.0, visit)
    }
}

impl Drop for CallContext {
    #[inline]
    fn drop(&mut self) {
        self.show();
    }
}

struct Call {
    /// None once it has been cancelled.
    callback: Option<Py<PyAny>>,
    arguments: Arguments,
    /// While the handle `has_snapshot`, the snapshot.
    context: CallContext,
}

/// A call that the loop is to make, as `asyncio.Handle`.
#[pyclass(module = "asyncio.events", frozen, subclass, weakref)]
pub struct Handle {
    call: Attached<Call>,
    owner: Py<EventLoop>,
    sharing: Sharing,
}

static FREE: FreeList = FreeList::new(4096);

// SAFETY: it has a `__traverse__` and no dictionary.
unsafe impl Recycled for Handle {
    fn list() -> &'static FreeList {
        &FREE
    }
}

/// Who makes a call that other threads may cancel: they wait until it has been made.
///
/// All of it happens under the interpreter lock, which orders it, but for the waiting itself.
struct Sharing {
    /// A thread, or `NOBODY`; or `ALONE`, and then what a timer has to note besides, its number in the lowest bits.
    runner: AtomicU64,
}

/// Set where the call is the affair of one thread, unless `call_soon_threadsafe` has made the handle. It is in no thread's number.
const ALONE: u64 = 1 << 63;

/// Set while a timer is among the loop's.
const SCHEDULED: u64 = 1 << 62;

/// Set while a timer's context is a snapshot, which others have too.
const SNAPSHOT: u64 = 1 << 61;

/// Set while the loop counts on a timer for that.
const COUNTED: u64 = 1 << 60;

const NOTES: u64 = ALONE | SCHEDULED | SNAPSHOT | COUNTED;

/// Threads that wait for a call to end, of any handle: hardly ever one.
static ENDED: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());

/// How many those are.
static WAITING: AtomicUsize = AtomicUsize::new(0);

impl Sharing {
    #[inline]
    fn is_shared(&self) -> bool {
        !self.has(ALONE)
    }

    #[inline]
    fn has(&self, note: u64) -> bool {
        self.runner.load(Ordering::Relaxed) & note != 0
    }

    /// Of one that is not shared.
    #[inline]
    fn set(&self, note: u64, is_so: bool) {
        let before = self.runner.load(Ordering::Relaxed);
        self.runner.store(if is_so { before | note } else { before & !note }, Ordering::Relaxed);
    }

    /// Waits while another thread makes the call.
    fn wait(&self, py: Python<'_>) {
        let runner = self.runner.load(Ordering::Relaxed);
        if runner & ALONE != 0 || runner == thread_id::NOBODY || runner == thread_id::current() {
            return;
        }
        // Counted before the lock is given away, without which the call cannot end.
        WAITING.fetch_add(1, Ordering::Relaxed);
        py.detach(|| {
            let mut held = ENDED.0.lock().unwrap_or_else(PoisonError::into_inner);
            while self.runner.load(Ordering::Relaxed) == runner {
                held = ENDED.1.wait(held).unwrap_or_else(PoisonError::into_inner);
            }
        });
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }

    #[inline]
    fn begin(&self, _: Python<'_>) {
        self.runner.store(thread_id::current(), Ordering::Relaxed);
    }

    #[inline]
    fn end(&self, _: Python<'_>) {
        self.runner.store(thread_id::NOBODY, Ordering::Relaxed);
        if WAITING.load(Ordering::Relaxed) > 0 {
            // Who waits holds this from its look until it sleeps.
            let _held = ENDED.0.lock().unwrap_or_else(PoisonError::into_inner);
            ENDED.1.notify_all();
        }
    }
}

impl Handle {
    pub fn new(
        owner: Py<EventLoop>,
        callback: Py<PyAny>,
        arguments: Arguments,
        context: CallContext,
    ) -> Self {
        let call = Attached::new(Call { callback: Some(callback), arguments, context });
        Self { call, owner, sharing: Sharing { runner: AtomicU64::new(ALONE) } }
    }

    /// Of a call that is made later; in a context that others have too, until it is wanted.
    ///
    /// # Errors
    /// TypeError when `given` is no context; MemoryError.
    #[inline]
    pub fn later(
        owner: &Bound<'_, EventLoop>,
        callback: Py<PyAny>,
        arguments: Arguments,
        given: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let py = owner.py();
        let (context, is_snapshot) = match given {
            Some(given) if !given.is_none() => (CallContext::of(py, Some(given))?, false),
            _ => {
                let (context, is_snapshot) = owner.get().snapshots.present(py)?;
                (CallContext(context), is_snapshot)
            }
        };
        let handle = Self::new(owner.clone().unbind(), callback, arguments, context);
        handle.sharing.set(SNAPSHOT | COUNTED, is_snapshot);
        Ok(handle)
    }

    /// Its context, which is its own from now on.
    ///
    /// # Errors
    /// MemoryError.
    #[inline]
    fn own_context<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let context = self.call.with(py, |call| call.context.0.bind(py).clone());
        if self.sharing.has(SNAPSHOT) { self.copy_snapshot(&context) } else { Ok(context) }
    }

    fn copy_snapshot<'py>(&self, snapshot: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = snapshot.py();
        self.leave_snapshot(py);
        // SAFETY: a live object.
        if unsafe { ffi::Py_REFCNT(snapshot.as_ptr()) } == 2 {
            // This one's reference and the caller's: nobody shares it any more.
            self.sharing.set(SNAPSHOT, false);
            return Ok(snapshot.clone());
        }
        let own = context::copy_of(snapshot)?;
        if !self.sharing.has(SNAPSHOT) {
            // The collector has come, and somebody has asked in the middle of it.
            return self.own_context(py);
        }
        let context = CallContext(own.clone().unbind());
        let replaced = self.call.with(py, |call| std::mem::replace(&mut call.context, context));
        self.sharing.set(SNAPSHOT, false);
        drop(replaced);
        Ok(own)
    }

    /// The loop keeps its snapshot no longer for this one: a value may refer to the handle, and the collector would not find that out.
    #[inline]
    fn leave_snapshot(&self, py: Python<'_>) {
        if self.sharing.has(COUNTED) {
            self.sharing.set(COUNTED, false);
            let context = self.call.with(py, |call| call.context.0.as_ptr());
            self.owner.get().snapshots.give_back(py, context);
        }
    }

    /// Its context, for whoever asks.
    fn shown_context<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let context = self.own_context(py)?;
        self.call.with(py, |call| call.context.show());
        Ok(context)
    }

    /// Its number among the loop's timers.
    #[inline]
    pub fn number(&self) -> u64 {
        self.sharing.runner.load(Ordering::Relaxed) & !NOTES
    }

    /// It is among the loop's timers, under this number.
    #[inline]
    pub fn set_number(&self, number: u64) {
        let notes = self.sharing.runner.load(Ordering::Relaxed) & NOTES;
        self.sharing.runner.store(notes | SCHEDULED | number, Ordering::Relaxed);
    }

    /// It has been taken from the loop's timers.
    #[inline]
    pub fn note_taken(&self) {
        self.sharing.set(SCHEDULED, false);
    }

    /// As an object.
    ///
    /// # Errors
    /// MemoryError.
    #[inline]
    pub fn object(self, py: Python<'_>) -> PyResult<Bound<'_, Self>> {
        freelist::object(py, self)
    }

    /// Hides it from the garbage collector, and its context with it, until [`Self::show`].
    ///
    /// # Safety
    /// Only the loop has it, which looks whether somebody else keeps it, and visits what it refers to.
    #[inline]
    pub unsafe fn hide(slf: &Bound<'_, Self>) {
        // SAFETY: by the caller's promise; its destructor takes it hidden.
        unsafe {
            slf.get().call.with(slf.py(), |call| call.context.hide());
            hidden::hide(slf.as_ptr());
        }
    }

    /// Shows it to the garbage collector, if it is hidden.
    #[inline]
    pub fn show(slf: &Bound<'_, Self>) {
        slf.get().call.with(slf.py(), |call| call.context.show());
        // SAFETY: a whole object, of a class that the collector knows.
        unsafe { hidden::show(slf.as_ptr()) };
    }

    /// As the standard library has it from 3.14 on, whoever cancels it, or asks whether it is cancelled, in another thread waits
    /// for a call that is being made.
    #[inline]
    pub fn shared(mut self) -> Self {
        if cfg!(Py_3_14) {
            *self.sharing.runner.get_mut() = thread_id::NOBODY;
        }
        self
    }

    #[inline]
    pub fn is_cancelled(&self, py: Python<'_>) -> bool {
        self.call.with(py, |call| call.callback.is_none())
    }

    /// Makes the call.
    ///
    /// # Errors
    /// What ends the loop; all else goes to its exception handler.
    #[inline]
    pub fn run(slf: &Bound<'_, Self>) -> PyResult<()> {
        let sharing = &slf.get().sharing;
        if !sharing.is_shared() {
            return Self::run_alone(slf);
        }
        sharing.begin(slf.py());
        let done = Self::run_alone(slf);
        sharing.end(slf.py());
        done
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
        let called = this
            .own_context(py)
            .and_then(|context| call_in(context.as_borrowed(), callback.as_borrowed(), &arguments));
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
        let out = self
            .call
            .with(py, |call| (call.callback.take(), std::mem::replace(&mut call.arguments, Arguments::NONE)));
        self.leave_snapshot(py);
        out.0.is_some()
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
        self.sharing.wait(py);
        self.take_back(py);
    }

    /// Whether it was cancelled.
    fn cancelled(&self, py: Python<'_>) -> bool {
        self.sharing.wait(py);
        self.is_cancelled(py)
    }

    /// The context in which the call is made.
    fn get_context<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.shown_context(py)
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
        standard(slf.py(), if slf.get().sharing.is_shared() { "_ThreadSafeHandle" } else { "Handle" })
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
    fn _context<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.shown_context(py)
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
        visit.call(&self.owner)?;
        let visited = self.call.collected(|call| {
            call.context.traverse(&visit)?;
            visit.call(&call.callback)?;
            call.arguments.traverse(&visit)
        });
        visited.unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        let out = self.call.collected(|call| {
            (call.callback.take(), std::mem::replace(&mut call.arguments, Arguments::NONE))
        });
        drop(out);
    }
}

impl Drop for Handle {
    #[inline]
    fn drop(&mut self) {
        if self.sharing.has(COUNTED) {
            // SAFETY: a handle is dropped by its class, or where it was made: attached.
            self.leave_snapshot(unsafe { Python::assume_attached() });
        }
    }
}

/// A call that the loop is to make at a time, as `asyncio.TimerHandle`.
#[pyclass(module = "asyncio.events", frozen, extends = Handle)]
pub struct TimerHandle {
    when: f64,
}

impl TimerHandle {
    pub fn new(py: Python<'_>, when: f64, handle: Handle) -> PyResult<Py<Self>> {
        Py::new(py, PyClassInitializer::from(handle).add_subclass(Self { when }))
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
        if handle.take_back(py) && handle.sharing.has(SCHEDULED) {
            handle.owner.get().note_cancelled_timer(py);
        }
    }

    #[getter]
    fn _when(&self) -> f64 {
        self.when
    }

    #[getter]
    fn _scheduled(slf: &Bound<'_, Self>) -> bool {
        slf.as_super().get().sharing.has(SCHEDULED)
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
