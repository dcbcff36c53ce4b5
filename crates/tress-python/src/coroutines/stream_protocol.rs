//! `StreamReaderProtocol`: what the transport of a stream tells.
//!
//! What comes goes to the reader, and whether there is room to write is known here. Connecting, and what happens at the end, is the
//! standard library's code, which differs between versions and finds its attributes here.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::{PyAttributeError, PyConnectionResetError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple, PyWeakrefMethods, PyWeakrefReference};
use pyo3::{PyTraverseError, PyVisit, intern};

use crate::base::attached::Attached;
use crate::base::calls;

use super::creating::Found;
use super::deque;
use super::stream_reader::StreamReader;
use super::streams::Changeable;
use super::waiting;

static OWN: Found = Found::new("tress.asyncio._streams", "StreamReaderProtocol");
static STANDARD: Found = Found::new("tress.asyncio._standard", "StreamReaderProtocol");

#[derive(Default)]
struct State {
    /// A weak reference; nothing after the end of the connection.
    reader: Option<Py<PyAny>>,
    /// Whether the transport wants no more to write.
    is_paused: bool,
    is_lost: bool,
    /// A deque of futures of those who wait for that to end.
    drain_waiters: Option<Py<PyAny>>,
}

#[pyclass(module = "tress._native", frozen, subclass, weakref)]
pub struct StreamReaderProtocol {
    state: Attached<State>,
    is_changed: AtomicBool,
}

impl Changeable for StreamReaderProtocol {
    const CLASSES: (&'static Found, &'static Found) = (&OWN, &STANDARD);

    fn is_changed(&self) -> &AtomicBool {
        &self.is_changed
    }
}

impl StreamReaderProtocol {
    fn reader<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.state.object(py, |state| &state.reader) {
            Some(reference) => Ok(reference.cast::<PyWeakrefReference>()?.upgrade()),
            None => Ok(None),
        }
    }

    /// Something has come, for a protocol of the public class itself.
    ///
    /// # Errors
    /// What the reader raises.
    pub fn receive(slf: &Bound<'_, Self>, data: Bound<'_, PyBytes>) -> PyResult<()> {
        let py = slf.py();
        if slf.get().is_changed.load(Ordering::Relaxed) {
            let name = intern!(py, "data_received");
            return calls::method(slf, name, Some(data.as_any().as_borrowed())).map(drop);
        }
        let Some(reader) = slf.get().reader(py)? else { return Ok(()) };
        if StreamReader::is_own(&reader)? {
            return StreamReader::receive(reader.cast()?, data);
        }
        calls::method(&reader, intern!(py, "feed_data"), Some(data.as_any().as_borrowed())).map(drop)
    }

    /// A future for the moment when there is room to write; None if there is.
    ///
    /// # Errors
    /// ConnectionResetError after the end of the connection.
    pub fn begin_to_drain<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        let (is_lost, is_paused) = slf.get().state.with(py, |state| (state.is_lost, state.is_paused));
        if is_lost {
            return Err(PyConnectionResetError::new_err("Connection lost"));
        }
        if !is_paused {
            return Ok(None);
        }
        let future = waiting::new_future(&slf.getattr(intern!(py, "_loop"))?)?;
        deque::append(&slf.getattr(intern!(py, "_drain_waiters"))?, &future)?;
        Ok(Some(future))
    }

    /// Nobody waits for this future any more.
    ///
    /// # Errors
    /// ValueError if nobody did.
    pub fn end_drain(slf: &Bound<'_, Self>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        deque::remove(&slf.getattr(intern!(py, "_drain_waiters"))?, future)
    }
}

#[pymethods]
impl StreamReaderProtocol {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { state: Attached::new(State::default()), is_changed: AtomicBool::new(false) }
    }

    /// Something has come.
    fn data_received(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        match data.cast_exact::<PyBytes>() {
            Ok(bytes) if Self::is_own(slf)? => Self::receive(slf, bytes.clone()),
            _ => STANDARD.get(slf.py())?.getattr("data_received")?.call1((slf, data)).map(drop),
        }
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

    #[getter(_stream_reader_wr)]
    fn get_reader<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.object(py, |state| &state.reader)
    }

    #[setter(_stream_reader_wr)]
    fn set_reader(&self, py: Python<'_>, reader: Option<Py<PyAny>>) {
        self.state.put(py, |state| &mut state.reader, reader);
    }

    #[getter(_paused)]
    fn get_paused(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.is_paused)
    }

    #[setter(_paused)]
    fn set_paused(&self, py: Python<'_>, is_so: bool) {
        self.state.with(py, |state| state.is_paused = is_so);
    }

    #[getter(_connection_lost)]
    fn get_lost(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.is_lost)
    }

    #[setter(_connection_lost)]
    fn set_lost(&self, py: Python<'_>, is_so: bool) {
        self.state.with(py, |state| state.is_lost = is_so);
    }

    #[getter(_drain_waiters)]
    fn get_drain_waiters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let waiters = self.state.object(py, |state| &state.drain_waiters);
        waiters.ok_or_else(|| PyAttributeError::new_err("the protocol has not been initialised"))
    }

    #[setter(_drain_waiters)]
    fn set_drain_waiters(&self, py: Python<'_>, waiters: Py<PyAny>) {
        self.state.put(py, |state| &mut state.drain_waiters, Some(waiters));
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.state.collected(|state| {
            visit.call(&state.reader)?;
            visit.call(&state.drain_waiters)
        });
        visited.unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        let out = self.state.collected(|state| (state.reader.take(), state.drain_waiters.take()));
        drop(out);
    }
}
