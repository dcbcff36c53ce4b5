//! The event loop: what is ready, what is due later, which descriptors are watched, and the turns.
//!
//! The public class is a Python class on top of this one and of the standard library's loop, which has everything that is not hot.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::time::Duration;

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit, ffi, intern};
use tress_core::base::deadline::now_ns;
use tress_core::coroutines::poller::{Events, Poller};
use tress_core::coroutines::timers::Timers;

use crate::error::OrRaise;

use super::arguments::Arguments;
use super::creating;
use super::descriptors::{Descriptors, Direction, Watcher};
use super::following;
use super::future_state;
use super::handle::{CallContext, Handle, TimerHandle};
use super::lazy::LazyCoroutine;
use super::pending::PendingTasks;
use super::ready::{self, Entry, Pending};
use super::snapshot::Snapshots;
use super::sockets;
use super::steps;
use super::timer::{Kind, Timer};
use super::transport::SocketTransport;
use crate::base::attached::Attached;
use crate::base::calls;

/// While there is always something to call, descriptors are looked at this often.
const LOOK_AGAIN_NS: u64 = 50_000;

/// The loop sleeps no longer at a time, in seconds: as the standard library's.
const LONGEST_SLEEP_S: f64 = 24.0 * 3600.0;

/// What the clock can tell apart, in seconds.
const CLOCK_RESOLUTION_S: f64 = 1e-9;

/// As many bytes are read at a time: as in the standard library.
const LONGEST_READ: usize = 256 * 1024;

/// A callback, its arguments, and the context to call it in.
type Call<'a, 'py> = (&'a Bound<'py, PyAny>, &'a Bound<'py, PyTuple>, Option<&'a Bound<'py, PyAny>>);

#[pyclass(module = "tress._native", name = "EventLoop", frozen, subclass, weakref)]
pub struct EventLoop {
    ready: Attached<VecDeque<Entry>>,
    timers: Attached<Timers<Timer>>,
    /// What timers' contexts are copied from.
    pub snapshots: Snapshots,
    descriptors: Attached<Descriptors>,
    events: Attached<Events>,
    /// What connections read into first; made when it is needed.
    scratch: Attached<Vec<u8>>,
    /// Connections that write when the present call has ended; the flag says whether there are any.
    gathering: Attached<Vec<Py<SocketTransport>>>,
    is_gathering: AtomicBool,
    /// None once it is closed.
    poller: Attached<Option<Arc<Poller>>>,
    task_factory: Attached<Option<Py<PyAny>>>,
    /// See `as_named_argument`; made when it is needed.
    named: Attached<Option<Py<PyDict>>>,
    pub pending_tasks: PendingTasks,
    is_stopping: AtomicBool,
    is_debugging: AtomicBool,
    is_closed: AtomicBool,
    /// Whether the program has put another clock in place.
    has_own_clock: AtomicBool,
    looked_at_ns: AtomicU64,
    /// The handle that was made last, if it is still among what is ready.
    last_made: AtomicPtr<ffi::PyObject>,
    /// Whether it calls what is ready, and how many calls it has begun: for whoever watches it.
    is_calling: AtomicBool,
    calls: AtomicU64,
}

impl EventLoop {
    #[inline]
    pub fn check_open(&self) -> PyResult<()> {
        if self.is_closed.load(Ordering::Relaxed) {
            return Err(PyRuntimeError::new_err("Event loop is closed"));
        }
        Ok(())
    }

    #[inline]
    pub fn is_debugging(&self) -> bool {
        self.is_debugging.load(Ordering::Relaxed)
    }

    pub fn has_task_factory(&self, py: Python<'_>) -> bool {
        self.task_factory.with(py, |factory| factory.is_some())
    }

    /// The loop as the argument `loop`, for what is made of the interpreter's classes: nobody changes it.
    ///
    /// # Errors
    /// MemoryError.
    pub fn as_named_argument<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDict>> {
        let (py, this) = (slf.py(), slf.get());
        if let Some(named) = this.named.with(py, |named| named.as_ref().map(|named| named.clone_ref(py))) {
            return Ok(named.into_bound(py));
        }
        let named = PyDict::new(py);
        named.set_item(intern!(py, "loop"), slf)?;
        let replaced = this.named.with(py, |place| place.replace(named.clone().unbind()));
        drop(replaced);
        Ok(named)
    }

    fn poller(&self, py: Python<'_>) -> PyResult<Arc<Poller>> {
        let poller = self.poller.with(py, |poller| poller.clone());
        poller.ok_or_else(|| PyRuntimeError::new_err("Event loop is closed"))
    }

    #[inline]
    pub fn push(&self, py: Python<'_>, entry: Entry) {
        self.ready.with(py, |ready| ready.push_back(entry));
    }

    /// A callback has been called, which may be a step of a task.
    #[inline]
    pub fn note_called(&self, callback: Borrowed<'_, '_, PyAny>) {
        // SAFETY: a live object, and a task of it, which it refers to; attached.
        let task = unsafe {
            let task = steps::task_of(callback.as_ptr());
            Bound::from_borrowed_ptr_or_opt(callback.py(), task)
        };
        if let Some(task) = task {
            // SAFETY: only the interpreter's own tasks have these steps.
            unsafe { self.pending_tasks.note_step(&task) };
        }
    }

    /// A handle has been made, which whoever called has, for a moment or for long. When the next one is made it shows whether he keeps it;
    /// if not, it is hidden from the collector.
    #[inline]
    fn note_made(&self, py: Python<'_>, handle: &Bound<'_, Handle>) {
        let last = self.last_made.load(Ordering::Relaxed);
        self.last_made.store(handle.as_ptr(), Ordering::Relaxed);
        // SAFETY: null, or a handle that is among what is ready, as it is forgotten when it leaves there: it is alive.
        unsafe {
            if !last.is_null() && ffi::Py_REFCNT(last) == 1 {
                Handle::hide(&Borrowed::from_ptr(py, last).cast_unchecked());
            }
        }
    }

    /// The next call. Nobody else takes one out of what is ready.
    #[inline]
    fn pop(&self, py: Python<'_>) -> Option<Entry> {
        let entry = self.ready.with(py, VecDeque::pop_front)?;
        if entry.is_of(self.last_made.load(Ordering::Relaxed)) {
            self.last_made.store(ptr::null_mut(), Ordering::Relaxed);
        }
        Some(entry)
    }

    /// Wakes the loop, if it sleeps.
    #[inline]
    pub fn ring(&self, py: Python<'_>) {
        self.poller.with(py, |poller| {
            if let Some(poller) = poller {
                poller.ring();
            }
        });
    }

    /// The standard library's way, of a loop in debug mode.
    #[cold]
    fn in_debug_mode<'py>(
        slf: &Bound<'py, Self>,
        method: &str,
        when: Option<f64>,
        callback: &Bound<'py, PyAny>,
        arguments: &Arguments,
        context: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let arguments = arguments.tuple(slf.py())?;
        slf.call_method1(
            intern!(slf.py(), "_handle_in_debug_mode"),
            (method, when, callback, arguments, context),
        )
    }

    /// What all forms of `call_soon` do. None stands for a handle that nobody wants.
    ///
    /// # Errors
    /// RuntimeError when the loop is closed; in debug mode, what the checks raise.
    #[inline]
    pub fn call_soon_with<'py>(
        slf: &Bound<'py, Self>,
        callback: &Bound<'py, PyAny>,
        arguments: Arguments,
        context: Option<&Bound<'py, PyAny>>,
        from_any_thread: bool,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (py, this) = (slf.py(), slf.get());
        this.check_open()?;
        if this.is_debugging() {
            let method = if from_any_thread { "call_soon_threadsafe" } else { "call_soon" };
            let made = Self::in_debug_mode(slf, method, None, callback, &arguments, context)?;
            if from_any_thread {
                this.ring(py);
            }
            return Ok(Some(made));
        }
        let context = CallContext::of(py, context)?;
        // SAFETY: a live object; attached.
        if unsafe { steps::needs_no_handle(callback.as_ptr()) } {
            this.push(py, Entry::Bare { callback: callback.clone().unbind(), arguments, context });
            if from_any_thread {
                this.ring(py);
            }
            return Ok(None);
        }
        let handle = Handle::new(slf.clone().unbind(), callback.clone().unbind(), arguments, context);
        let handle = if from_any_thread { handle.shared() } else { handle }.object(py)?;
        this.push(py, Entry::Handle(Pending::new(handle.clone().unbind())));
        this.note_made(py, &handle);
        if from_any_thread {
            this.ring(py);
        }
        Ok(Some(handle.into_any()))
    }

    /// As `call_at`.
    #[inline]
    pub fn call_at_with<'py>(
        slf: &Bound<'py, Self>,
        method: &str,
        when: f64,
        callback: &Bound<'py, PyAny>,
        arguments: Arguments,
        context: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        this.check_open()?;
        if this.is_debugging() {
            let made = Self::in_debug_mode(slf, method, Some(when), callback, &arguments, context)?;
            let timer = Timer::foreign(py, made.clone().unbind())?;
            this.timers.with(py, |timers| timers.add(when, timer));
            return Ok(made);
        }
        let handle = Handle::later(slf, callback.clone().unbind(), arguments, context)?;
        let timer = TimerHandle::new(py, when, handle)?;
        this.timers.with(py, |timers| timers.add(when, Timer::own(timer.clone_ref(py))));
        Ok(timer.into_bound(py).into_any())
    }

    /// Has the future that `sleeper` waits for told at that time.
    ///
    /// # Errors
    /// RuntimeError when the loop is closed.
    pub fn wake_at(slf: &Bound<'_, Self>, when: f64, sleeper: &Bound<'_, LazyCoroutine>) -> PyResult<()> {
        let this = slf.get();
        this.check_open()?;
        this.timers.with(slf.py(), |timers| timers.add(when, Timer::sleeper(sleeper.clone().unbind())));
        Ok(())
    }

    /// The loop's clock now, in seconds.
    #[inline]
    pub fn now(slf: &Bound<'_, Self>) -> PyResult<f64> {
        if slf.get().has_own_clock.load(Ordering::Relaxed) {
            return slf.call_method0(intern!(slf.py(), "time"))?.extract();
        }
        Ok(monotonic())
    }

    /// When something is due that is to be called after `delay`.
    pub fn due(slf: &Bound<'_, Self>, delay: &Bound<'_, PyAny>) -> PyResult<f64> {
        let py = slf.py();
        if delay.is_none() {
            return Err(PyTypeError::new_err("delay must not be None"));
        }
        let now = Self::now(slf)?;
        if let Ok(delay) = delay.cast_exact::<PyFloat>() {
            return Ok(now + delay.value());
        }
        PyFloat::new(py, now).add(delay)?.extract()
    }

    /// The time that an argument gives.
    pub fn when(when: &Bound<'_, PyAny>) -> PyResult<f64> {
        if when.is_none() {
            return Err(PyTypeError::new_err("when cannot be None"));
        }
        when.extract()
    }

    /// One of the timers has been cancelled. When most are, they are taken out.
    pub fn note_cancelled_timer(&self, py: Python<'_>) {
        let out = self
            .timers
            .with(py, |timers| timers.note_cancelled().then(|| timers.sweep(|timer| timer.is_cancelled(py))));
        for timer in out.into_iter().flatten() {
            if let Kind::Own(handle) = timer.kind(py) {
                handle.as_super().get().note_taken();
            }
        }
    }

    /// What a call has raised goes to the exception handler.
    pub fn report(slf: &Bound<'_, Self>, handle: &Bound<'_, PyAny>, error: PyErr) -> PyResult<()> {
        let py = slf.py();
        let error = error.into_value(py).into_bound(py).into_any();
        calls::method_with_two(slf, intern!(py, "_report_failed_call"), handle, &error).map(drop)
    }

    /// One turn: looks at the descriptors, or sleeps if there is nothing to call, and then makes the calls that are ready.
    fn turn(slf: &Bound<'_, Self>, poller: &Poller, is_first: bool) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        if this.is_gathering.load(Ordering::Relaxed) {
            Self::write_gathered(slf)?; // in a turn within a call
        }
        let has_timers = this.drop_cancelled(py)?;
        let has_ready = !this.ready.with(py, |ready| ready.is_empty());
        if has_ready || this.is_stopping.load(Ordering::Relaxed) {
            if is_first || now_ns().wrapping_sub(this.looked_at_ns.load(Ordering::Relaxed)) > LOOK_AGAIN_NS {
                this.look(py, poller)?;
            }
        } else {
            let timeout = if has_timers { Some(Self::until_first(slf)?) } else { None };
            this.sleep(py, poller, timeout)?;
        }
        if has_timers {
            Self::take_due(slf)?;
        }
        this.is_calling.store(true, Ordering::Relaxed);
        let called = Self::call_ready(slf);
        this.is_calling.store(false, Ordering::Relaxed);
        called
    }

    fn call_ready(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        // What is called now may add more, which is for the next turn.
        let count = this.ready.with(py, |ready| ready.len());
        for _ in 0..count {
            let Some(entry) = this.pop(py) else { break };
            this.calls.store(this.calls.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
            let ran = entry.run(slf);
            if this.is_gathering.load(Ordering::Relaxed) {
                Self::write_gathered(slf)?;
            }
            ran?;
        }
        Ok(())
    }

    /// The number of the call that it is in the middle of; None while it looks for what to call, or sleeps.
    #[inline]
    pub fn call_in_progress(&self) -> Option<u64> {
        self.is_calling.load(Ordering::Relaxed).then(|| self.calls.load(Ordering::Relaxed))
    }

    /// When it last looked at the descriptors.
    pub fn looked_at_ns(&self) -> u64 {
        self.looked_at_ns.load(Ordering::Relaxed)
    }

    /// The connection has something to write when the present call has ended.
    pub fn note_gathering(&self, py: Python<'_>, transport: &Bound<'_, SocketTransport>) {
        self.gathering.with(py, |gathering| gathering.push(transport.clone().unbind()));
        self.is_gathering.store(true, Ordering::Relaxed);
    }

    /// Has the connections write what they have gathered.
    #[cold]
    fn write_gathered(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let mut written = Ok(());
        // What they call when it fails may have others gather.
        while this.is_gathering.swap(false, Ordering::Relaxed) {
            let mut gathering = this.gathering.with(py, std::mem::take);
            for transport in gathering.drain(..) {
                written = written.and(SocketTransport::write_gathered(&transport.into_bound(py)));
            }
            this.gathering.with(py, |place| {
                if place.is_empty() {
                    std::mem::swap(place, &mut gathering);
                }
            });
        }
        written
    }

    /// Drops the cancelled timers that come first; whether there are others.
    fn drop_cancelled(&self, py: Python<'_>) -> PyResult<bool> {
        enum First {
            Cancelled(Option<Timer>),
            /// To be asked whether it is.
            Foreign(Py<PyAny>),
        }
        loop {
            let first = self.timers.with(py, |timers| {
                let Some((_, timer)) = timers.first() else { return Err(false) };
                if timer.is_cancelled(py) {
                    timers.note_taken();
                    return Ok(First::Cancelled(timers.pop()));
                }
                match timer.kind(py) {
                    Kind::Foreign(foreign) => Ok(First::Foreign(foreign.get().handle(py).unbind())),
                    _ => Err(true),
                }
            });
            match first {
                Err(has_others) => return Ok(has_others),
                Ok(First::Cancelled(timer)) => {
                    if let Some(timer) = timer {
                        timer.note_taken(py)?;
                    }
                }
                Ok(First::Foreign(handle)) => {
                    if !handle.bind(py).getattr(intern!(py, "_cancelled"))?.is_truthy()? {
                        return Ok(true);
                    }
                    let popped = self.timers.with(py, |timers| timers.pop());
                    if let Some(popped) = popped {
                        popped.note_taken(py)?;
                    }
                }
            }
        }
    }

    fn until_first(slf: &Bound<'_, Self>) -> PyResult<Duration> {
        let py = slf.py();
        let Some(when) = slf.get().timers.with(py, |timers| timers.first().map(|(when, _)| when)) else {
            return Ok(Duration::ZERO);
        };
        let seconds = when - Self::now(slf)?;
        // Before 3.13 it counts as one that is due.
        if cfg!(Py_3_13) && seconds.is_nan() {
            return Err(PyValueError::new_err("cannot convert float NaN to integer"));
        }
        let seconds = seconds.clamp(0.0, LONGEST_SLEEP_S);
        Ok(Duration::try_from_secs_f64(seconds).unwrap_or_default())
    }

    fn take_due(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let end = Self::now(slf)? + CLOCK_RESOLUTION_S;
        while let Some(timer) = this.timers.with(py, |timers| timers.pop_before(end)) {
            timer.note_taken(py)?;
            if timer.is_cancelled(py) {
                this.timers.with(py, |timers| timers.note_taken());
                continue;
            }
            let entry = match timer.kind(py) {
                Kind::Own(handle) => Entry::Handle(Pending::new(handle.as_super().clone().unbind())),
                Kind::Foreign(foreign) => Entry::Foreign(foreign.get().handle(py).unbind()),
                Kind::Sleeper(sleeper) => match sleeper.get().awaited(py) {
                    Some(future) => Entry::Awaited(future.unbind()),
                    None => continue,
                },
            };
            this.push(py, entry);
        }
        Ok(())
    }

    fn look(&self, py: Python<'_>, poller: &Poller) -> PyResult<()> {
        let looked = self.events.with(py, |events| poller.look(events));
        match looked {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            looked => looked.or_raise()?,
        }
        self.note_ready(py, poller);
        // Another thread's turn, and a signal's, come with the Python code that is called.
        py.check_signals()
    }

    fn sleep(&self, py: Python<'_>, poller: &Poller, timeout: Option<Duration>) -> PyResult<()> {
        // Attached until it is said that the loop sleeps: what another thread adds before is seen, and whoever adds after rings.
        poller.begin();
        let mut events = self.events.with(py, std::mem::take);
        let slept = py.detach(|| {
            let slept = poller.sleep(&mut events, timeout);
            poller.end();
            slept
        });
        self.events.with(py, |place| *place = events);
        match slept {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            slept => slept.or_raise()?,
        }
        self.note_ready(py, poller);
        py.check_signals()
    }

    /// Has what is watched for the descriptors that are ready called.
    fn note_ready(&self, py: Python<'_>, poller: &Poller) {
        self.looked_at_ns.store(now_ns(), Ordering::Relaxed);
        self.events.with(py, |events| {
            self.descriptors.with(py, |descriptors| {
                self.ready.with(py, |queue| {
                    for one in events.drain() {
                        let (reader, writer) = descriptors.ready(py, poller, one);
                        queue.extend(reader.map(|watcher| Entry::of(watcher, Direction::Read)));
                        queue.extend(writer.map(|watcher| Entry::of(watcher, Direction::Write)));
                    }
                });
            });
        });
    }

    fn set_watch<'py>(
        slf: &Bound<'py, Self>,
        fd: &Bound<'py, PyAny>,
        direction: Direction,
        call: Option<Call<'_, 'py>>,
    ) -> PyResult<(Option<Bound<'py, Handle>>, bool)> {
        let (py, this) = (slf.py(), slf.get());
        let fd = descriptor(fd)?;
        let handle = match call {
            None => None,
            Some((callback, arguments, context)) => {
                this.check_open()?;
                let context = CallContext::of(py, context)?;
                let arguments = Arguments::of(arguments);
                Some(
                    Handle::new(slf.clone().unbind(), callback.clone().unbind(), arguments, context)
                        .object(py)?,
                )
            }
        };
        let watcher = handle.as_ref().map(|handle| Watcher::Handle(handle.clone().unbind()));
        let was_there = Self::set_watcher(slf, fd, direction, watcher)?;
        Ok((handle, was_there))
    }

    /// Has `watcher` told when `fd` is ready, or nobody; whether somebody was until now. A handle that was is cancelled.
    pub fn set_watcher(
        slf: &Bound<'_, Self>,
        fd: RawFd,
        direction: Direction,
        watcher: Option<Watcher>,
    ) -> PyResult<bool> {
        let (py, this) = (slf.py(), slf.get());
        let poller = this.poller(py)?;
        let set = this.descriptors.with(py, |descriptors| descriptors.set(&poller, fd, direction, watcher));
        let replaced = match set {
            Ok(replaced) => replaced,
            Err((error, _)) => return Err(error).or_raise(),
        };
        if let Some(Watcher::Handle(handle)) = &replaced {
            handle.get().cancel(py);
        }
        Ok(replaced.is_some())
    }

    /// Who waits with this future for a descriptor no longer does.
    pub fn forget_waiting(&self, py: Python<'_>, fd: RawFd, direction: Direction, future: &Bound<'_, PyAny>) {
        let Some(poller) = self.poller.with(py, |poller| poller.clone()) else { return };
        let forgotten =
            self.descriptors.with(py, |descriptors| descriptors.forget(&poller, fd, direction, future));
        drop(forgotten);
    }

    /// Room for what is read, for whoever calls into Python with it: to be given back.
    pub fn take_scratch(&self, py: Python<'_>) -> Vec<u8> {
        let mut scratch = self.scratch.with(py, std::mem::take);
        scratch.resize(LONGEST_READ, 0);
        scratch
    }

    pub fn give_scratch_back(&self, py: Python<'_>, scratch: Vec<u8>) {
        self.scratch.with(py, |place| *place = scratch);
    }

    /// Runs `f` with room for what is read.
    pub fn with_scratch<T>(&self, py: Python<'_>, f: impl FnOnce(&mut [u8]) -> T) -> T {
        self.scratch.with(py, |scratch| {
            if scratch.is_empty() {
                scratch.resize(LONGEST_READ, 0);
            }
            f(scratch)
        })
    }
}

/// As ever, but a clock is noted.
fn set_attribute(
    slf: &Bound<'_, EventLoop>,
    name: &Bound<'_, PyString>,
    value: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let py = slf.py();
    if name.as_any().eq(intern!(py, "time"))? {
        slf.get().has_own_clock.store(value.is_some(), Ordering::Relaxed);
    }
    let value = value.map_or(std::ptr::null_mut(), |value| value.as_ptr());
    // SAFETY: live objects, and null for a deletion, as the function wants it.
    match unsafe { ffi::PyObject_GenericSetAttr(slf.as_ptr(), name.as_ptr(), value) } {
        0 => Ok(()),
        _ => Err(PyErr::fetch(py)),
    }
}

/// `time.monotonic()`.
#[expect(clippy::cast_precision_loss, reason = "as the standard library has it: seconds, as a float")]
fn monotonic() -> f64 {
    now_ns() as f64 / 1e9
}

/// The number of a descriptor, or of what has one.
fn descriptor(fd: &Bound<'_, PyAny>) -> PyResult<RawFd> {
    if let Ok(number) = fd.extract::<RawFd>()
        && number >= 0
    {
        return Ok(number);
    }
    // With the standard library's errors.
    let py = fd.py();
    py.import(intern!(py, "selectors"))?.call_method1(intern!(py, "_fileobj_to_fd"), (fd,))?.extract()
}

#[pymethods]
impl EventLoop {
    #[new]
    #[pyo3(signature = (*args, **_kwargs))]
    fn new(args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        future_state::find(args.py())?;
        Ok(Self {
            ready: Attached::new(VecDeque::new()),
            timers: Attached::new(Timers::new()),
            snapshots: Snapshots::new(),
            descriptors: Attached::new(Descriptors::default()),
            events: Attached::new(Events::new()),
            scratch: Attached::new(Vec::new()),
            gathering: Attached::new(Vec::new()),
            is_gathering: AtomicBool::new(false),
            poller: Attached::new(Some(Arc::new(Poller::new().or_raise()?))),
            task_factory: Attached::new(None),
            named: Attached::new(None),
            pending_tasks: PendingTasks::new(),
            is_stopping: AtomicBool::new(false),
            is_debugging: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            has_own_clock: AtomicBool::new(false),
            looked_at_ns: AtomicU64::new(0),
            last_made: AtomicPtr::new(ptr::null_mut()),
            is_calling: AtomicBool::new(false),
            calls: AtomicU64::new(0),
        })
    }

    /// Has `callback(*args)` called in the loop's next turn; returns a handle that can cancel it.
    ///
    /// The calls are made in the order in which they were asked for, in `context`, by default a copy of the present one.
    /// RuntimeError is raised when the loop is closed.
    #[pyo3(signature = (callback, *args, context=None))]
    fn call_soon<'py>(
        slf: &Bound<'py, Self>,
        callback: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        context: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Self::call_soon_with(slf, callback, Arguments::of(args), context, false)
    }

    /// As `call_soon`, from any thread: wakes the loop if it sleeps.
    #[pyo3(signature = (callback, *args, context=None))]
    fn call_soon_threadsafe<'py>(
        slf: &Bound<'py, Self>,
        callback: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        context: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Self::call_soon_with(slf, callback, Arguments::of(args), context, true)
    }

    /// Has `callback(*args)` called in `delay` seconds; returns a handle that can cancel it.
    #[pyo3(signature = (delay, callback, *args, context=None))]
    fn call_later<'py>(
        slf: &Bound<'py, Self>,
        delay: &Bound<'py, PyAny>,
        callback: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        context: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let when = Self::due(slf, delay)?;
        Self::call_at_with(slf, "call_later", when, callback, Arguments::of(args), context)
    }

    /// Has `callback(*args)` called when the loop's clock, which `time` tells, has come to `when`.
    #[pyo3(signature = (when, callback, *args, context=None))]
    fn call_at<'py>(
        slf: &Bound<'py, Self>,
        when: &Bound<'py, PyAny>,
        callback: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        context: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::call_at_with(slf, "call_at", Self::when(when)?, callback, Arguments::of(args), context)
    }

    /// A future of this loop.
    fn create_future<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        creating::future(slf)
    }

    /// Schedules a coroutine, and returns its task.
    #[pyo3(signature = (coro, **kwargs))]
    fn create_task<'py>(
        slf: &Bound<'py, Self>,
        coro: &Bound<'py, PyAny>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Some(task) = creating::task(slf, coro, kwargs)? {
            return Ok(task);
        }
        let task = creating::standard_task(slf, coro, kwargs)?;
        PendingTasks::note_made(slf, &task)?;
        Ok(task)
    }

    /// Whether the loop is in debug mode.
    fn get_debug(&self) -> bool {
        self.is_debugging()
    }

    /// Whether the loop is closed.
    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    fn _check_closed(&self) -> PyResult<()> {
        self.check_open()
    }

    /// The loop's clock, in seconds: `time.monotonic()`.
    fn time(&self) -> f64 {
        monotonic()
    }

    /// Makes turns until the loop is stopped.
    fn _run_turns(slf: &Bound<'_, Self>) -> PyResult<()> {
        let this = slf.get();
        let poller = this.poller(slf.py())?;
        let mut is_first = true;
        loop {
            Self::turn(slf, &poller, is_first)?;
            if this.is_stopping.load(Ordering::Relaxed) {
                return Ok(());
            }
            is_first = false;
        }
    }

    /// Makes one turn.
    fn _run_once(slf: &Bound<'_, Self>) -> PyResult<()> {
        let poller = slf.get().poller(slf.py())?;
        Self::turn(slf, &poller, true)
    }

    #[pyo3(signature = (fd, callback, *args, context = None))]
    fn _add_reader<'py>(
        slf: &Bound<'py, Self>,
        fd: &Bound<'py, PyAny>,
        callback: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        context: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, Handle>>> {
        Self::set_watch(slf, fd, Direction::Read, Some((callback, args, context))).map(|(handle, _)| handle)
    }

    #[pyo3(signature = (fd, callback, *args, context = None))]
    fn _add_writer<'py>(
        slf: &Bound<'py, Self>,
        fd: &Bound<'py, PyAny>,
        callback: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        context: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, Handle>>> {
        Self::set_watch(slf, fd, Direction::Write, Some((callback, args, context))).map(|(handle, _)| handle)
    }

    fn _remove_reader(slf: &Bound<'_, Self>, fd: &Bound<'_, PyAny>) -> PyResult<bool> {
        if slf.get().is_closed.load(Ordering::Relaxed) {
            return Ok(false);
        }
        Self::set_watch(slf, fd, Direction::Read, None).map(|(_, was_there)| was_there)
    }

    fn _remove_writer(slf: &Bound<'_, Self>, fd: &Bound<'_, PyAny>) -> PyResult<bool> {
        if slf.get().is_closed.load(Ordering::Relaxed) {
            return Ok(false);
        }
        Self::set_watch(slf, fd, Direction::Write, None).map(|(_, was_there)| was_there)
    }

    /// A coroutine for a `sock_` method, by the name of the socket's; None where the standard library's must do.
    #[pyo3(signature = (operation, sock, *args))]
    fn _sock_call<'py>(
        slf: &Bound<'py, Self>,
        operation: &str,
        sock: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
    ) -> PyResult<Option<Bound<'py, LazyCoroutine>>> {
        sockets::coroutine(slf, operation, sock, args)
    }

    /// A future that ends as that of an executor does; None where the standard library's must do.
    fn _follow<'py>(
        slf: &Bound<'py, Self>,
        source: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        following::follow(slf, source)
    }

    /// What is watched: for each descriptor, what is called when it can be read and when it can be written.
    fn _watched<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let all: Vec<_> = self.descriptors.with(py, |descriptors| {
            descriptors
                .all()
                .map(|(fd, reader, writer)| {
                    let [reader, writer] =
                        [reader, writer].map(|watcher| watcher.map(|one| one.clone_ref(py)));
                    (fd, reader.map(Watcher::into_any), writer.map(Watcher::into_any))
                })
                .collect()
        });
        let watched = PyDict::new(py);
        for (fd, reader, writer) in all {
            watched.set_item(fd, (reader, writer))?;
        }
        Ok(watched)
    }

    /// The descriptor that is ready when one of the watched is.
    fn _poller_fileno(&self, py: Python<'_>) -> PyResult<RawFd> {
        Ok(self.poller(py)?.fd().as_raw_fd())
    }

    /// Adds a handle of any kind to those that are called next.
    fn _add_callback(&self, py: Python<'_>, handle: &Bound<'_, PyAny>) {
        let entry = match handle.cast::<Handle>() {
            Ok(own) => Entry::Handle(Pending::new(own.clone().unbind())),
            Err(_) => Entry::Foreign(handle.clone().unbind()),
        };
        self.push(py, entry);
    }

    fn _timer_handle_cancelled(&self, py: Python<'_>, _handle: &Bound<'_, PyAny>) {
        self.note_cancelled_timer(py);
    }

    /// Wakes the loop, from any thread.
    fn _write_to_self(&self, py: Python<'_>) {
        self.ring(py);
    }

    /// The number of the call that it is in the middle of; None while it looks for what to call, or sleeps.
    fn _call_in_progress(&self) -> Option<u64> {
        self.call_in_progress()
    }

    /// A callback has been called in another way than by the loop's own.
    fn _note_called(&self, callback: &Bound<'_, PyAny>) {
        // The steps of tasks may not be known yet.
        // SAFETY: a live object; attached.
        unsafe { steps::needs_no_handle(callback.as_ptr()) };
        self.note_called(callback.as_borrowed());
    }

    /// The tasks that it holds.
    fn _held_tasks<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyAny>> {
        self.pending_tasks.all(py)
    }

    /// A task has ended whose steps the loop does not know.
    fn _release_task(&self, task: &Bound<'_, PyAny>) {
        self.pending_tasks.release(task);
    }

    /// Says whether `time` is the program's own.
    fn _know_clock(&self, is_own: bool) {
        self.has_own_clock.store(is_own, Ordering::Relaxed);
    }

    /// When each coroutine that sleeps is to be woken, by its identity.
    fn _sleepers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let all: Vec<_> = self.timers.with(py, |timers| {
            let sleepers = timers.all().filter_map(|(when, timer)| match timer.kind(py) {
                Kind::Sleeper(sleeper) => Some((sleeper.as_ptr() as usize, when)),
                _ => None,
            });
            sleepers.collect()
        });
        let sleepers = PyDict::new(py);
        for (identity, when) in all {
            sleepers.set_item(identity, when)?;
        }
        Ok(sleepers)
    }

    /// The handles of what is to be called, now or later.
    fn _handles<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyAny>> {
        let mut all: Vec<_> =
            self.ready.with(py, |ready| ready.iter().filter_map(|entry| entry.handle(py)).collect());
        self.timers.with(py, |timers| all.extend(timers.values().filter_map(|timer| timer.handle(py))));
        all
    }

    /// Forgets all calls, and gives back the descriptors: the loop is closed.
    fn _drop_all(&self, py: Python<'_>) {
        self.last_made.store(ptr::null_mut(), Ordering::Relaxed);
        let ready = self.ready.with(py, std::mem::take);
        let timers = self.timers.with(py, |timers| timers.take());
        let descriptors = self.descriptors.with(py, std::mem::take);
        let poller = self.poller.with(py, |poller| poller.take());
        // A loop that is closed goes when the last reference does, without the collector.
        let named = self.named.with(py, |named| named.take());
        drop((ready, timers, descriptors, poller, named));
        self.snapshots.clear();
        self.pending_tasks.drop_all(py);
    }

    fn __setattr__(
        slf: &Bound<'_, Self>,
        name: &Bound<'_, PyString>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        set_attribute(slf, name, Some(value))
    }

    fn __delattr__(slf: &Bound<'_, Self>, name: &Bound<'_, PyString>) -> PyResult<()> {
        set_attribute(slf, name, None)
    }

    #[getter(_stopping)]
    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    #[setter(_stopping)]
    fn set_stopping(&self, is_so: bool) {
        self.is_stopping.store(is_so, Ordering::Relaxed);
    }

    #[getter(_debug)]
    fn get_debugging(&self) -> bool {
        self.is_debugging()
    }

    #[setter(_debug)]
    fn set_debugging(&self, is_so: &Bound<'_, PyAny>) -> PyResult<()> {
        self.is_debugging.store(is_so.is_truthy()?, Ordering::Relaxed);
        Ok(())
    }

    #[getter(_closed)]
    fn get_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    #[setter(_closed)]
    fn set_closed(&self, is_so: bool) {
        self.is_closed.store(is_so, Ordering::Relaxed);
    }

    #[getter(_task_factory)]
    fn get_task_factory(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.task_factory.with(py, |factory| factory.as_ref().map(|factory| factory.clone_ref(py)))
    }

    #[setter(_task_factory)]
    fn set_task_factory(&self, py: Python<'_>, factory: Option<Py<PyAny>>) {
        let replaced = self.task_factory.with(py, |place| std::mem::replace(place, factory));
        drop(replaced);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.ready.collected(|entries| ready::traverse(entries, &visit)).unwrap_or(Ok(()))?;
        self.descriptors.collected(|descriptors| descriptors.traverse(&visit)).unwrap_or(Ok(()))?;
        self.task_factory.collected(|factory| visit.call(&*factory)).unwrap_or(Ok(()))?;
        self.named.collected(|named| visit.call(&*named)).unwrap_or(Ok(()))?;
        let gathering = self.gathering.collected(|all| all.iter().try_for_each(|one| visit.call(one)));
        gathering.unwrap_or(Ok(()))?;
        self.pending_tasks.traverse(&visit)?;
        self.snapshots.traverse(&visit)?;
        let timers = self.timers.collected(|timers| timers.values().try_for_each(|one| one.traverse(&visit)));
        timers.unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        self.last_made.store(ptr::null_mut(), Ordering::Relaxed);
        let out = (
            self.ready.collected(std::mem::take),
            self.timers.collected(|timers| timers.take()),
            self.descriptors.collected(std::mem::take),
            self.task_factory.collected(|factory| factory.take()),
            self.named.collected(|named| named.take()),
        );
        drop(out);
        self.snapshots.clear();
        self.pending_tasks.clear();
    }
}
