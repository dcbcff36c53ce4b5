//! `StreamWriter`: writing, straight to the transport where that is one of tress's own, and waiting until there is room.
//!
//! What is not hot is the standard library's code, which finds its attributes here.

use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{PyTraverseError, PyVisit, intern};

use crate::base::attached::Attached;
use crate::base::calls;

use super::creating::Found;
use super::lazy::{Attempt, LazyCoroutine, Step};
use super::stream_protocol::StreamReaderProtocol;
use super::stream_reader::StreamReader;
use super::streams::{Changeable, Operation};
use super::transport::SocketTransport;

static OWN: Found = Found::new("tress.asyncio._streams", "StreamWriter");
static STANDARD: Found = Found::new("tress.asyncio._standard", "StreamWriter");

#[derive(Default)]
struct State {
    transport: Option<Py<PyAny>>,
    protocol: Option<Py<PyAny>>,
    reader: Option<Py<PyAny>>,
    owner: Option<Py<PyAny>>,
}

#[pyclass(module = "tress._native", frozen, subclass, weakref)]
pub struct StreamWriter {
    state: Attached<State>,
}

impl StreamWriter {
    fn get<'py>(
        &self,
        py: Python<'py>,
        name: &'static str,
        field: fn(&State) -> &Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        // In a constructor that has failed.
        self.state.object(py, field).ok_or_else(|| {
            PyAttributeError::new_err(format!("'StreamWriter' object has no attribute '{name}'"))
        })
    }

    fn standard<'py>(slf: &Bound<'py, Self>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        STANDARD.get(slf.py())?.getattr(name)?.call1((slf,))
    }

    /// Waits until there is room to write, if there is none.
    pub fn begin_to_drain<'py>(slf: &Bound<'py, Self>) -> PyResult<Step<'py>> {
        let (py, this) = (slf.py(), slf.get());
        let (reader, protocol) = (this.get_reader(py)?, this.get_protocol(py)?);
        if (!reader.is_none() && !StreamReader::is_own(&reader)?) || !StreamReaderProtocol::is_own(&protocol)?
        {
            return Self::standard(slf, "drain").map(Step::Delegate);
        }
        if !reader.is_none()
            && let Some(error) = reader.cast::<StreamReader>()?.get().error(py)
        {
            return Err(error);
        }
        let transport = this.get_transport(py)?;
        let is_closing = match SocketTransport::own(&transport)? {
            Some(own) => own.get().is_closing(py),
            None => calls::method(&transport, intern!(py, "is_closing"), None)?.is_truthy()?,
        };
        if is_closing {
            // With a turn for the loop in between.
            return Self::standard(slf, "drain").map(Step::Delegate);
        }
        Ok(StreamReaderProtocol::begin_to_drain(protocol.cast()?)?.map_or(Step::Done, Step::Wait))
    }

    /// Nobody waits for this future any more.
    pub fn end_drain(slf: &Bound<'_, Self>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        StreamReaderProtocol::end_drain(slf.get().get_protocol(slf.py())?.cast()?, future)
    }
}

#[pymethods]
impl StreamWriter {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { state: Attached::new(State::default()) }
    }

    /// Writes bytes: as much as the kernel takes at once, and the rest when there is room.
    fn write(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let transport = self.get_transport(py)?;
        match SocketTransport::own(&transport)? {
            Some(own) => SocketTransport::write(own, data),
            None => calls::method(&transport, intern!(py, "write"), Some(data.as_borrowed())).map(drop),
        }
    }

    fn _begin_to_drain<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        if !slf.get_type().is(OWN.get(slf.py())?) {
            return Self::standard(slf, "drain");
        }
        LazyCoroutine::object(Attempt::Stream(Operation::Drain), slf, None).map(Bound::into_any)
    }

    // The state, by the standard library's names.

    #[getter(_transport)]
    fn get_transport<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.get(py, "_transport", |state| &state.transport)
    }

    #[setter(_transport)]
    fn set_transport(&self, py: Python<'_>, transport: Py<PyAny>) {
        self.state.put(py, |state| &mut state.transport, Some(transport));
    }

    #[getter(_protocol)]
    fn get_protocol<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.get(py, "_protocol", |state| &state.protocol)
    }

    #[setter(_protocol)]
    fn set_protocol(&self, py: Python<'_>, protocol: Py<PyAny>) {
        self.state.put(py, |state| &mut state.protocol, Some(protocol));
    }

    #[getter(_reader)]
    fn get_reader<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.get(py, "_reader", |state| &state.reader)
    }

    #[setter(_reader)]
    fn set_reader(&self, py: Python<'_>, reader: Py<PyAny>) {
        self.state.put(py, |state| &mut state.reader, Some(reader));
    }

    #[getter(_loop)]
    fn get_owner<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.get(py, "_loop", |state| &state.owner)
    }

    #[setter(_loop)]
    fn set_owner(&self, py: Python<'_>, owner: Py<PyAny>) {
        self.state.put(py, |state| &mut state.owner, Some(owner));
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.state.collected(|state| {
            visit.call(&state.transport)?;
            visit.call(&state.protocol)?;
            visit.call(&state.reader)?;
            visit.call(&state.owner)
        });
        visited.unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        let out = self.state.collected(|state| {
            (state.transport.take(), state.protocol.take(), state.reader.take(), state.owner.take())
        });
        drop(out);
    }
}
