//! `StreamReader`: what a connection has received, and the one coroutine that waits for more.
//!
//! As in `queue`: the public class is on top of this one and of the standard library's, whose attributes these are. A subclass of the
//! program's may have overridden anything, and is left to the standard library, as are arguments of unusual kinds.

use std::sync::atomic::AtomicBool;

use pyo3::exceptions::{PyAssertionError, PyAttributeError, PyNotImplementedError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyInt, PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit, ffi, intern};

use crate::base::attached::Attached;
use crate::base::calls;

use super::creating::Found;
use super::future_state;
use super::lazy::{Attempt, LazyCoroutine};
use super::limit::Limit;
use super::stream_buffer::StreamBuffer;
use super::streams::{Changeable, Operation};
use super::waiting;

static OWN: Found = Found::new("tress.asyncio._streams", "StreamReader");
static STANDARD: Found = Found::new("tress.asyncio._standard", "StreamReader");
const DEFAULT_LIMIT: u32 = 65536;

#[derive(Default)]
struct State {
    limit: Limit,
    owner: Option<Py<PyAny>>,
    /// A future of the coroutine that waits.
    waiter: Option<Py<PyAny>>,
    exception: Option<Py<PyAny>>,
    transport: Option<Py<PyAny>>,
    is_eof: bool,
    /// Whether the transport has been told to read no more.
    is_paused: bool,
}

#[pyclass(module = "tress._native", frozen, subclass, weakref)]
pub struct StreamReader {
    state: Attached<State>,
    is_changed: AtomicBool,
    pub(super) buffer: StreamBuffer,
}

// No buffer of this machine's is so long that its length would be rounded.
#[expect(clippy::cast_precision_loss)]
pub(super) const fn number(count: usize) -> f64 {
    count as f64
}

impl Changeable for StreamReader {
    const CLASSES: (&'static Found, &'static Found) = (&OWN, &STANDARD);

    fn is_changed(&self) -> &AtomicBool {
        &self.is_changed
    }
}

impl StreamReader {
    /// A method of the standard library's, called for this one.
    fn standard<'py>(
        slf: &Bound<'py, Self>,
        name: &str,
        argument: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let method = STANDARD.get(slf.py())?.getattr(name)?;
        match argument {
            Some(argument) => method.call1((slf, argument)),
            None => method.call1((slf,)),
        }
    }

    pub(super) fn limit(&self, py: Python<'_>) -> f64 {
        self.state.with(py, |state| state.limit.number)
    }

    pub(super) fn is_at_end(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.is_eof)
    }

    /// What has been said to be wrong with the stream.
    pub fn error(&self, py: Python<'_>) -> Option<PyErr> {
        self.state.object(py, |state| &state.exception).map(PyErr::from_value)
    }

    /// Takes at most so many bytes out of the buffer.
    pub(super) fn take<'py>(&self, slf: &Bound<'py, Self>, count: usize) -> PyResult<Bound<'py, PyBytes>> {
        let taken = self.buffer.take(slf.py(), count)?;
        Self::resume_if_low(slf)?;
        Ok(taken)
    }

    /// Has the transport read again, where it was stopped and there is room.
    pub(super) fn resume_if_low(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let is_paused = this.state.with(py, |state| state.is_paused);
        if is_paused && number(this.buffer.len(py)) <= this.limit(py) { this.resume(py) } else { Ok(()) }
    }

    fn resume(&self, py: Python<'_>) -> PyResult<()> {
        self.state.with(py, |state| state.is_paused = false);
        match self.state.object(py, |state| &state.transport) {
            Some(transport) => calls::method(&transport, intern!(py, "resume_reading"), None).map(drop),
            None => Err(PyAttributeError::new_err("'NoneType' object has no attribute 'resume_reading'")),
        }
    }

    /// A future for the moment when more comes, or the end.
    pub(super) fn wait<'py>(slf: &Bound<'py, Self>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        let (is_waited_for, is_eof, is_paused, owner) = this.state.with(py, |state| {
            let owner = state.owner.as_ref().map(|owner| owner.bind(py).clone());
            (state.waiter.is_some(), state.is_eof, state.is_paused, owner)
        });
        if is_waited_for {
            return Err(PyRuntimeError::new_err(format!(
                "{name}() called while another coroutine is already waiting for incoming data"
            )));
        }
        if is_eof {
            return Err(PyAssertionError::new_err("_wait_for_data after EOF"));
        }
        if is_paused {
            // Nothing would ever come.
            this.resume(py)?;
        }
        let owner = owner.ok_or_else(|| PyAttributeError::new_err("_loop"))?;
        let future = waiting::new_future(&owner)?;
        this.state.put(py, |state| &mut state.waiter, Some(future.clone().unbind()));
        Ok(future)
    }

    /// Nobody waits for this future any more.
    pub fn end_wait(&self, future: &Bound<'_, PyAny>) {
        let ended = self.state.with(future.py(), |state| {
            let is_it = state.waiter.as_ref().is_some_and(|waiter| waiter.is(future));
            if is_it { state.waiter.take() } else { None }
        });
        drop(ended);
    }

    /// Begins with these arguments, or returns false.
    fn begin_with(&self, kwargs: &Bound<'_, PyDict>) -> PyResult<bool> {
        let py = kwargs.py();
        let Some(owner) = kwargs.get_item(intern!(py, "loop"))? else { return Ok(false) };
        let limit = kwargs.get_item(intern!(py, "limit"))?;
        if kwargs.len() != 1 + usize::from(limit.is_some()) {
            return Ok(false);
        }
        let limit = match limit {
            Some(limit) => limit.cast_into_exact::<PyInt>().ok(),
            None => Some(DEFAULT_LIMIT.into_pyobject(py)?),
        };
        let Some(limit) = limit else { return Ok(false) };
        if owner.is_none()
            || limit.le(0)?
            || calls::method(&owner, intern!(py, "get_debug"), None)?.is_truthy()?
        {
            return Ok(false);
        }
        self.set_limit(&limit)?;
        self.set_owner(py, Some(owner.unbind()));
        Ok(true)
    }

    fn wake(&self, py: Python<'_>) -> PyResult<()> {
        match self.state.with(py, |state| state.waiter.take()) {
            Some(waiter) => waiting::tell_with(waiter.bind(py), py.None().bind_borrowed(py)),
            None => Ok(()),
        }
    }

    /// Puts what has come to the end of the buffer; the reader is of the public class itself.
    ///
    /// # Errors
    /// AssertionError after the end of the stream; what the transport raises.
    pub fn receive(slf: &Bound<'_, Self>, data: Bound<'_, PyBytes>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        if this.is_at_end(py) {
            return Err(PyAssertionError::new_err("feed_data after feed_eof"));
        }
        if data.as_bytes().is_empty() {
            return Ok(());
        }
        this.buffer.push(data)?;
        this.wake(py)?;
        if number(this.buffer.len(py)) > 2.0 * this.limit(py) { this.pause(py) } else { Ok(()) }
    }

    /// There is more than is good: the transport is to wait.
    #[cold]
    fn pause(&self, py: Python<'_>) -> PyResult<()> {
        if self.state.with(py, |state| state.is_paused) {
            return Ok(());
        }
        let Some(transport) = self.state.object(py, |state| &state.transport) else { return Ok(()) };
        match calls::method(&transport, intern!(py, "pause_reading"), None) {
            // It cannot, and is not asked again.
            Err(error) if error.is_instance_of::<PyNotImplementedError>(py) => {
                self.state.put(py, |state| &mut state.transport, None);
            }
            paused => {
                paused?;
                self.state.with(py, |state| state.is_paused = true);
            }
        }
        Ok(())
    }

    /// A coroutine, or the standard library's for what is not served here.
    fn coroutine<'py>(
        slf: &Bound<'py, Self>,
        operation: Operation,
        argument: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let is_served = match (operation, argument) {
            (Operation::Read, Some(argument)) => is_count(argument, true),
            (Operation::ReadExactly, Some(argument)) => is_count(argument, false),
            (Operation::ReadUntil, Some(argument)) => {
                argument.cast_exact::<PyBytes>().is_ok_and(|separator| !separator.as_bytes().is_empty())
            }
            _ => true,
        };
        if is_served && Self::is_own(slf)? {
            return LazyCoroutine::object(Attempt::Stream(operation), slf, argument).map(Bound::into_any);
        }
        let name = operation.name().rsplit('.').next().unwrap_or_default();
        Self::standard(slf, name, argument)
    }
}

/// Whether it is a plain number of bytes.
fn is_count(argument: &Bound<'_, PyAny>, is_positive: bool) -> bool {
    match argument.cast_exact::<PyInt>() {
        Ok(number) => number.extract::<isize>().is_ok_and(|number| !is_positive || number >= 0),
        Err(_) => false,
    }
}

#[pymethods]
impl StreamReader {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self {
            state: Attached::new(State::default()),
            is_changed: AtomicBool::new(false),
            buffer: StreamBuffer::new(),
        }
    }

    /// With a limit that is a plain number, and a loop; the rest is the standard library's.
    #[pyo3(signature = (*args, **kwargs))]
    fn __init__(
        slf: &Bound<'_, Self>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        if args.is_empty()
            && let Some(kwargs) = kwargs
            && this.begin_with(kwargs)?
        {
            return Ok(());
        }
        let all = [slf.as_any().clone()].into_iter().chain(args.iter()).collect::<Vec<_>>();
        STANDARD.get(py)?.getattr("__init__")?.call(PyTuple::new(py, all)?, kwargs)?;
        // That has made a buffer, which nobody has seen.
        this.buffer.reset(py);
        Ok(())
    }

    fn _begin_to_read<'py>(slf: &Bound<'py, Self>, n: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        Self::coroutine(slf, Operation::Read, Some(n))
    }

    fn _begin_to_read_exactly<'py>(
        slf: &Bound<'py, Self>,
        n: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::coroutine(slf, Operation::ReadExactly, Some(n))
    }

    fn _begin_to_read_until<'py>(
        slf: &Bound<'py, Self>,
        separator: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::coroutine(slf, Operation::ReadUntil, Some(separator))
    }

    fn _begin_to_read_line<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::coroutine(slf, Operation::ReadLine, None)
    }

    fn __anext__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::coroutine(slf, Operation::Next, None)
    }

    /// Puts bytes to the end of what is to be read.
    fn feed_data(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        // SAFETY: a live object.
        let has_memory = unsafe { ffi::PyObject_CheckBuffer(data.as_ptr()) } != 0;
        if !has_memory || !Self::is_own(slf)? {
            return Self::standard(slf, "feed_data", Some(data)).map(drop);
        }
        let bytes = match data.cast_exact::<PyBytes>() {
            Ok(bytes) => bytes.clone(),
            // SAFETY: the result is a new reference to a bytes object, or null with an exception set.
            Err(_) => unsafe {
                Bound::from_owned_ptr_or_err(data.py(), ffi::PyBytes_FromObject(data.as_ptr()))?
                    .cast_into_unchecked()
            },
        };
        Self::receive(slf, bytes)
    }

    /// Nothing more comes.
    fn feed_eof(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        if !Self::is_own(slf)? {
            return Self::standard(slf, "feed_eof", None).map(drop);
        }
        this.state.with(py, |state| state.is_eof = true);
        this.wake(py)
    }

    /// Whether everything has been read, and nothing more comes.
    fn at_eof(&self, py: Python<'_>) -> bool {
        self.is_at_end(py) && self.buffer.len(py) == 0
    }

    /// What `set_exception` was given, or None.
    fn exception<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.object(py, |state| &state.exception)
    }

    /// Has reading raise an exception from now on.
    fn set_exception(&self, exc: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = exc.py();
        self.set_error(py, Some(exc.clone().unbind()));
        match self.state.with(py, |state| state.waiter.take()) {
            Some(waiter) if !future_state::is_cancelled(waiter.bind(py))? => {
                let name = intern!(py, "set_exception");
                calls::method(waiter.bind(py), name, Some(exc.as_borrowed())).map(drop)
            }
            _ => Ok(()),
        }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (limit, is_eof, is_paused) =
            self.state.with(py, |state| (state.limit.number, state.is_eof, state.is_paused));
        let len = self.buffer.len(py);
        let mut parts = vec!["StreamReader".to_owned()];
        if len > 0 {
            parts.push(format!("{len} bytes"));
        }
        if is_eof {
            parts.push("eof".to_owned());
        }
        if limit.to_bits() != f64::from(DEFAULT_LIMIT).to_bits() {
            parts.push(format!("limit={}", self.get_limit(py).into_pyobject(py)?.str()?));
        }
        let named = [
            ("waiter", self.get_waiter(py)),
            ("exception", self.exception(py)),
            ("transport", self.get_transport(py)),
        ];
        for (name, object) in named {
            if let Some(object) = object
                && object.is_truthy()?
            {
                parts.push(format!("{name}={}", object.repr()?));
            }
        }
        if is_paused {
            parts.push("paused".to_owned());
        }
        Ok(format!("<{}>", parts.join(" ")))
    }

    fn __setattr__(
        slf: &Bound<'_, Self>,
        name: &Bound<'_, PyString>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        Self::set_any(slf, name, Some(value))
    }

    fn __delattr__(slf: &Bound<'_, Self>, name: &Bound<'_, PyString>) -> PyResult<()> {
        Self::set_any(slf, name, None)
    }

    // The state, by the standard library's names.

    #[getter(_buffer)]
    fn get_buffer<'py>(&self, py: Python<'py>) -> Bound<'py, PyByteArray> {
        self.buffer.show(py)
    }

    #[setter(_buffer)]
    fn set_buffer(&self, buffer: &Bound<'_, PyByteArray>) {
        self.buffer.set(buffer);
    }

    #[getter(_limit)]
    fn get_limit<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.object(py, |state| state.limit.given())
    }

    #[setter(_limit)]
    fn set_limit(&self, limit: &Bound<'_, PyAny>) -> PyResult<()> {
        let limit_now = Limit::of(limit)?;
        let before = self.state.with(limit.py(), |state| std::mem::replace(&mut state.limit, limit_now));
        drop(before);
        Ok(())
    }

    #[getter(_loop)]
    fn get_owner<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.object(py, |state| &state.owner)
    }

    #[setter(_loop)]
    fn set_owner(&self, py: Python<'_>, owner: Option<Py<PyAny>>) {
        self.state.put(py, |state| &mut state.owner, owner);
    }

    #[getter(_waiter)]
    fn get_waiter<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.object(py, |state| &state.waiter)
    }

    #[setter(_waiter)]
    fn set_waiter(&self, py: Python<'_>, waiter: Option<Py<PyAny>>) {
        self.state.put(py, |state| &mut state.waiter, waiter);
    }

    #[getter(_exception)]
    fn get_error<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.exception(py)
    }

    #[setter(_exception)]
    fn set_error(&self, py: Python<'_>, exception: Option<Py<PyAny>>) {
        self.state.put(py, |state| &mut state.exception, exception);
    }

    #[getter(_transport)]
    fn get_transport<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.object(py, |state| &state.transport)
    }

    #[setter(_transport)]
    fn set_transport_attribute(&self, py: Python<'_>, transport: Option<Py<PyAny>>) {
        self.state.put(py, |state| &mut state.transport, transport);
    }

    #[getter(_eof)]
    fn get_eof(&self, py: Python<'_>) -> bool {
        self.is_at_end(py)
    }

    #[setter(_eof)]
    fn set_eof(&self, py: Python<'_>, is_so: bool) {
        self.state.with(py, |state| state.is_eof = is_so);
    }

    #[getter(_paused)]
    fn get_paused(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.is_paused)
    }

    #[setter(_paused)]
    fn set_paused(&self, py: Python<'_>, is_so: bool) {
        self.state.with(py, |state| state.is_paused = is_so);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.state.collected(|state| {
            visit.call(&state.owner)?;
            visit.call(&state.waiter)?;
            visit.call(&state.exception)?;
            visit.call(&state.transport)
        });
        visited.unwrap_or(Ok(()))?;
        self.buffer.traverse(&visit)
    }

    fn __clear__(&self) {
        let out = self.state.collected(|state| {
            (state.owner.take(), state.waiter.take(), state.exception.take(), state.transport.take())
        });
        drop(out);
    }
}
