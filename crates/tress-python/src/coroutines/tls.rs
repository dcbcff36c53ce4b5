//! TLS between a connection and its protocol: what happens to each piece of data, once the handshake is over.
//!
//! The public class is a Python class on top of this one and of the standard library's `SSLProtocol`. That one has the handshake, the
//! shutdown and what else is not hot, and works on the state here: the attributes of its own names. OpenSSL is asked through the
//! interpreter's own `ssl`, with the program's context. Where an object of another class stands in a place of those of `ssl`, the
//! standard library's methods do all of it.

use pyo3::exceptions::{PyException, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyMemoryView, PySlice, PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit, intern};

use crate::base::attached::Attached;
use crate::base::calls;

use super::buffer::{Access, Buffer};
use super::deque;
use super::records::{LONGEST_RECORD, Memory, Records, Stopped};

const FAILED: &str = "Fatal error on SSL protocol";

/// What the hot paths tell apart of the states of the standard library's protocol.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Other,
    Handshake,
    Wrapped,
    Flushing,
    Shutdown,
}

impl Phase {
    fn of(state: &Bound<'_, PyAny>) -> PyResult<Self> {
        let name = state.getattr(intern!(state.py(), "name"))?;
        Ok(match name.cast::<PyString>()?.to_str()? {
            "DO_HANDSHAKE" => Self::Handshake,
            "WRAPPED" => Self::Wrapped,
            "FLUSHING" => Self::Flushing,
            "SHUTDOWN" => Self::Shutdown,
            _ => Self::Other,
        })
    }
}

#[derive(Default)]
struct State {
    /// A member of `SSLProtocolState`, and what it says.
    state: Option<Py<PyAny>>,
    phase: Phase,
    /// An `ssl.SSLObject`, and what it passes calls on to.
    ssl_object: Option<Py<PyAny>>,
    records: Option<Records>,
    incoming: Memory,
    /// Whether OpenSSL has taken the first part of a record from there.
    has_part: bool,
    outgoing: Memory,
    /// What carries the encrypted bytes.
    transport: Option<Py<PyAny>>,
    app_protocol: Option<Py<PyAny>>,
    /// Whether that gives the buffer to read into.
    is_app_buffered: bool,
    /// What could not be encrypted yet, a deque, and how many bytes that is.
    backlog: Option<Py<PyAny>>,
    backlog_size: usize,
    is_ssl_writing_paused: bool,
    is_ssl_reading_paused: bool,
    is_app_writing_paused: bool,
    is_app_reading_paused: bool,
    outgoing_high_water: usize,
    outgoing_low_water: usize,
    incoming_high_water: usize,
    incoming_low_water: usize,
}

impl State {
    /// Whether all that the hot paths use is of the classes that they know.
    fn is_known(&self) -> bool {
        self.records.is_some() && self.incoming.is_known() && self.outgoing.is_known()
    }
}

#[pyclass(module = "tress._native", frozen, subclass, weakref)]
pub struct TlsProtocol {
    state: Attached<State>,
}

/// None for one that there is not: what is done with it then raises what it would in the standard library.
fn or_none<'py>(py: Python<'py>, object: Option<Bound<'py, PyAny>>) -> Bound<'py, PyAny> {
    object.unwrap_or_else(|| py.None().into_bound(py))
}

fn is_data(data: &Bound<'_, PyAny>) -> bool {
    data.is_instance_of::<PyBytes>()
        || data.is_instance_of::<PyByteArray>()
        || data.is_instance_of::<PyMemoryView>()
}

/// Whether it has as many bytes as it has items, which is what the standard library counts.
fn is_of_bytes(data: &Bound<'_, PyAny>) -> bool {
    let is_counted = |buffer: Buffer| data.len().is_ok_and(|len| len == buffer.len());
    data.is_instance_of::<PyBytes>()
        || (is_data(data) && Buffer::of(data, Access::Read).is_ok_and(is_counted))
}

impl TlsProtocol {
    /// Whether the encrypted bytes that were read can be given to `take`.
    pub fn takes(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.is_known())
    }

    /// Has bytes of the connection wait for `go_on`.
    ///
    /// # Errors
    /// MemoryError.
    pub fn take(&self, py: Python<'_>, encrypted: &[u8]) -> PyResult<()> {
        let incoming = self.state.with(py, |state| state.incoming.clone_ref(py));
        incoming.write(py, encrypted)
    }

    /// There is more to decrypt: so many bytes.
    ///
    /// # Errors
    /// What the protocol raises that is no Exception.
    pub fn go_on(slf: &Bound<'_, Self>, came: usize) -> PyResult<()> {
        let py = slf.py();
        let next = match slf.get().state.with(py, |state| state.phase) {
            Phase::Wrapped => return Self::done(slf, Self::read_now(slf, came)),
            Phase::Handshake => intern!(py, "_do_handshake"),
            Phase::Flushing => intern!(py, "_do_flush"),
            Phase::Shutdown => intern!(py, "_do_shutdown"),
            Phase::Other => return Ok(()),
        };
        calls::method(slf, next, None).map(drop)
    }

    /// What came of a step; an Exception ends the connection.
    fn done(slf: &Bound<'_, Self>, outcome: PyResult<()>) -> PyResult<()> {
        let py = slf.py();
        match outcome {
            Err(error) if error.is_instance_of::<PyException>(py) => {
                let error = error.into_value(py).into_bound(py).into_any();
                let message = intern!(py, FAILED).as_any();
                calls::method_with_two(slf, intern!(py, "_fatal_error"), &error, message).map(drop)
            }
            outcome => outcome,
        }
    }

    fn has_backlog(&self, py: Python<'_>) -> PyResult<bool> {
        match self.state.object(py, |state| &state.backlog) {
            Some(backlog) => Ok(backlog.len()? > 0),
            None => Ok(false),
        }
    }

    fn read_now(slf: &Bound<'_, Self>, came: usize) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let (is_paused, is_buffered) =
            this.state.with(py, |state| (state.is_app_reading_paused, state.is_app_buffered));
        let mut is_empty = false;
        if !is_paused {
            is_empty = if is_buffered { Self::read_into_buffer(slf)? } else { Self::read_bytes(slf, came)? };
            if this.has_backlog(py)? {
                calls::method(slf, intern!(py, "_do_write"), None)?;
            } else {
                let size = this.outgoing(py).pending(py)?;
                Self::pass_outgoing(slf, size)?;
            }
        }
        Self::control_reading(slf, is_empty)
    }

    /// What the records and the bytes for them are read from.
    fn sources(&self, py: Python<'_>) -> Option<(Records, Memory)> {
        self.state
            .with(py, |state| Some((state.records.as_ref()?.clone_ref(py), state.incoming.clone_ref(py))))
    }

    fn app_protocol<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        or_none(py, self.state.object(py, |state| &state.app_protocol))
    }

    fn outgoing(&self, py: Python<'_>) -> Memory {
        self.state.with(py, |state| state.outgoing.clone_ref(py))
    }

    /// Tells whether nothing is left to read.
    fn read_bytes(slf: &Bound<'_, Self>, came: usize) -> PyResult<bool> {
        let (py, this) = (slf.py(), slf.get());
        let Some((records, incoming)) = this.sources(py) else { return Ok(false) };
        let has_part = this.state.with(py, |state| state.has_part);
        let size = if came > 0 && has_part { came + LONGEST_RECORD } else { came };
        let (data, stopped) = records.read(py, &incoming, size)?;
        this.state.with(py, |state| state.has_part = matches!(stopped, Stopped::Again));
        if let Some(data) = data {
            let name = intern!(py, "data_received");
            calls::method(&this.app_protocol(py), name, Some(data.as_any().as_borrowed()))?;
        }
        Self::after_reading(slf, stopped)
    }

    /// Tells whether nothing is left to read.
    fn read_into_buffer(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let (py, this) = (slf.py(), slf.get());
        let Some((records, incoming)) = this.sources(py) else { return Ok(false) };
        let size = incoming.pending(py)?.into_pyobject(py)?.into_any();
        let given = slf.getattr(intern!(py, "_app_protocol_get_buffer"))?;
        // SAFETY: live objects, borrowed for as long as the call lasts.
        let given = unsafe { calls::vectorcall(py, given.as_ptr(), &[size.as_ptr()])? };
        let (count, stopped) = {
            given.len()?; // of what has none, the error says so
            let Ok(mut room) = Buffer::of(&given, Access::Write) else {
                return Err(PyTypeError::new_err(format!(
                    "read() argument 2 must be read-write bytes-like object, not {}",
                    given.get_type().name()?
                )));
            };
            records.read_into(py, &incoming, room.bytes_mut())?
        };
        if matches!(stopped, Stopped::Full) {
            let again = slf.getattr(intern!(py, "_do_read"))?;
            let owner = slf.getattr(intern!(py, "_loop"))?;
            calls::method(&owner, intern!(py, "call_soon"), Some(again.as_borrowed()))?;
        }
        if count > 0 {
            let updated = slf.getattr(intern!(py, "_app_protocol_buffer_updated"))?;
            let count = count.into_pyobject(py)?.into_any();
            // SAFETY: as above.
            unsafe { calls::vectorcall(py, updated.as_ptr(), &[count.as_ptr()])? };
        }
        Self::after_reading(slf, stopped)
    }

    /// The protocol has been given what there was.
    fn after_reading(slf: &Bound<'_, Self>, stopped: Stopped) -> PyResult<bool> {
        let py = slf.py();
        match stopped {
            Stopped::Empty => Ok(true),
            Stopped::Full | Stopped::Again => Ok(false),
            Stopped::End => {
                calls::method(slf, intern!(py, "_call_eof_received"), None)?;
                calls::method(slf, intern!(py, "_start_shutdown"), None)?;
                Ok(false)
            }
            Stopped::Failed(error) => Err(error),
        }
    }

    /// The marks of what was received and not yet read.
    fn control_reading(slf: &Bound<'_, Self>, is_empty: bool) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let size = if is_empty {
            0
        } else {
            let incoming = this.state.with(py, |state| state.incoming.clone_ref(py));
            incoming.pending(py)?
        };
        let is_due = this.state.with(py, |state| {
            if state.is_ssl_reading_paused {
                size <= state.incoming_low_water
            } else {
                size >= state.incoming_high_water
            }
        });
        if is_due {
            calls::method(slf, intern!(py, "_control_ssl_reading"), None)?;
        }
        Ok(())
    }

    /// Gives the connection what has been encrypted, so many bytes, and looks at the marks.
    fn pass_outgoing(slf: &Bound<'_, Self>, mut size: usize) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        if size > 0 && !this.state.with(py, |state| state.is_ssl_writing_paused) {
            let encrypted = this.outgoing(py).read(py)?;
            let transport = or_none(py, this.state.object(py, |state| &state.transport));
            calls::method(&transport, intern!(py, "write"), Some(encrypted.as_borrowed()))?;
            size = 0;
        }
        let is_due = this.state.with(py, |state| {
            let size = size + state.backlog_size;
            if state.is_app_writing_paused {
                size <= state.outgoing_low_water
            } else {
                size >= state.outgoing_high_water
            }
        });
        if is_due {
            calls::method(slf, intern!(py, "_control_app_writing"), None)?;
        }
        Ok(())
    }

    /// Whether data can be encrypted at once, and in the order of the writes.
    fn encrypts(&self, py: Python<'_>) -> PyResult<Option<Records>> {
        let records = self.state.with(py, |state| {
            let encrypts = state.phase == Phase::Wrapped && state.is_known();
            state.records.as_ref().filter(|_| encrypts).map(|records| records.clone_ref(py))
        });
        Ok(if records.is_some() && self.has_backlog(py)? { None } else { records })
    }

    fn write_all(slf: &Bound<'_, Self>, all: &[Bound<'_, PyAny>]) -> PyResult<()> {
        let py = slf.py();
        if let Some(records) = slf.get().encrypts(py)?
            && all.iter().all(is_of_bytes)
        {
            return Self::done(slf, Self::encrypt(slf, &records, all));
        }
        let all = PyTuple::new(py, all)?.into_any();
        calls::method(slf, intern!(py, "_standard_write_appdata"), Some(all.as_borrowed())).map(drop)
    }

    fn encrypt(slf: &Bound<'_, Self>, records: &Records, all: &[Bound<'_, PyAny>]) -> PyResult<()> {
        let py = slf.py();
        for (index, data) in all.iter().enumerate() {
            let (written, outcome) = records.write(data);
            let Err(error) = outcome else { continue };
            Self::keep(slf, data, written, &all[index + 1..])?;
            if !Records::is_again(py, &error)? {
                return Err(error);
            }
            break;
        }
        let size = slf.get().outgoing(py).pending(py)?;
        Self::pass_outgoing(slf, size)
    }

    /// OpenSSL must read before it writes more.
    #[cold]
    fn keep(
        slf: &Bound<'_, Self>,
        data: &Bound<'_, PyAny>,
        written: usize,
        others: &[Bound<'_, PyAny>],
    ) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let len = isize::try_from(data.len()?)?;
        let rest = match isize::try_from(written)? {
            0 => data.clone(),
            written => data.get_item(PySlice::new(py, written, len, 1))?,
        };
        let backlog = or_none(py, this.state.object(py, |state| &state.backlog));
        for data in std::iter::once(&rest).chain(others) {
            deque::append(&backlog, data)?;
            let len = data.len()?;
            this.state.with(py, |state| state.backlog_size += len);
        }
        Ok(())
    }
}

#[pymethods]
impl TlsProtocol {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { state: Attached::new(State::default()) }
    }

    /// Decrypts what has come, for the protocol.
    fn _do_read(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (phase, is_known) = slf.get().state.with(py, |state| (state.phase, state.is_known()));
        if !matches!(phase, Phase::Wrapped | Phase::Flushing) {
            return Ok(());
        }
        if !is_known {
            return calls::method(slf, intern!(py, "_standard_do_read"), None).map(drop);
        }
        Self::done(slf, Self::read_now(slf, 0))
    }

    /// Encrypts the items, and gives them to the connection in one piece.
    fn _write_appdata(slf: &Bound<'_, Self>, list_of_data: &Bound<'_, PyAny>) -> PyResult<()> {
        let all = list_of_data.try_iter()?.collect::<PyResult<Vec<_>>>()?;
        Self::write_all(slf, &all)
    }

    /// Writes some data: the `write` of the transport that the protocol has.
    fn _write(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        if !is_data(data) {
            let kind = data.get_type().name()?;
            return Err(PyTypeError::new_err(format!("data: expecting a bytes-like instance, got {kind}")));
        }
        if data.len()? == 0 {
            return Ok(());
        }
        Self::write_all(slf, std::slice::from_ref(data))
    }

    /// Gives the connection what has been encrypted.
    fn _process_outgoing(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        if slf.get().takes(py) {
            let size = slf.get().outgoing(py).pending(py)?;
            return Self::pass_outgoing(slf, size);
        }
        calls::method(slf, intern!(py, "_standard_process_outgoing"), None).map(drop)
    }

    // The state, by the standard library's names.

    #[getter(_state)]
    fn get_state<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.object(py, |state| &state.state)
    }

    #[setter(_state)]
    fn set_state(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let phase = Phase::of(value)?;
        let replaced = self.state.with(value.py(), |state| {
            state.phase = phase;
            state.state.replace(value.clone().unbind())
        });
        drop(replaced);
        Ok(())
    }

    #[getter(_sslobj)]
    fn get_ssl_object<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.object(py, |state| &state.ssl_object)
    }

    #[setter(_sslobj)]
    fn set_ssl_object(&self, py: Python<'_>, value: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        let records = value.as_ref().map(Records::of).transpose()?.flatten();
        let replaced = self.state.with(py, |state| {
            let before = std::mem::replace(&mut state.ssl_object, value.map(Bound::unbind));
            (before, std::mem::replace(&mut state.records, records))
        });
        drop(replaced);
        Ok(())
    }

    #[getter(_incoming)]
    fn get_incoming<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.object(py, |state| state.incoming.object())
    }

    #[setter(_incoming)]
    fn set_incoming(&self, py: Python<'_>, value: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        let incoming = Memory::of(value)?;
        let replaced = self.state.with(py, |state| std::mem::replace(&mut state.incoming, incoming));
        drop(replaced);
        Ok(())
    }

    #[getter(_outgoing)]
    fn get_outgoing<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.object(py, |state| state.outgoing.object())
    }

    #[setter(_outgoing)]
    fn set_outgoing(&self, py: Python<'_>, value: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        let outgoing = Memory::of(value)?;
        let replaced = self.state.with(py, |state| std::mem::replace(&mut state.outgoing, outgoing));
        drop(replaced);
        Ok(())
    }

    #[getter(_transport)]
    fn get_transport<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.object(py, |state| &state.transport)
    }

    #[setter(_transport)]
    fn set_transport(&self, py: Python<'_>, value: Option<Py<PyAny>>) {
        self.state.put(py, |state| &mut state.transport, value);
    }

    #[getter(_app_protocol)]
    fn get_app_protocol<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.object(py, |state| &state.app_protocol)
    }

    #[setter(_app_protocol)]
    fn set_app_protocol(&self, py: Python<'_>, value: Option<Py<PyAny>>) {
        self.state.put(py, |state| &mut state.app_protocol, value);
    }

    #[getter(_write_backlog)]
    fn get_backlog<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.object(py, |state| &state.backlog)
    }

    #[setter(_write_backlog)]
    fn set_backlog(&self, py: Python<'_>, value: Option<Py<PyAny>>) {
        self.state.put(py, |state| &mut state.backlog, value);
    }

    #[getter(_app_protocol_is_buffer)]
    fn get_is_app_buffered(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.is_app_buffered)
    }

    #[setter(_app_protocol_is_buffer)]
    fn set_is_app_buffered(&self, py: Python<'_>, value: bool) {
        self.state.with(py, |state| state.is_app_buffered = value);
    }

    #[getter(_write_buffer_size)]
    fn get_backlog_size(&self, py: Python<'_>) -> usize {
        self.state.with(py, |state| state.backlog_size)
    }

    #[setter(_write_buffer_size)]
    fn set_backlog_size(&self, py: Python<'_>, value: usize) {
        self.state.with(py, |state| state.backlog_size = value);
    }

    #[getter(_ssl_writing_paused)]
    fn get_is_ssl_writing_paused(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.is_ssl_writing_paused)
    }

    #[setter(_ssl_writing_paused)]
    fn set_is_ssl_writing_paused(&self, py: Python<'_>, value: bool) {
        self.state.with(py, |state| state.is_ssl_writing_paused = value);
    }

    #[getter(_ssl_reading_paused)]
    fn get_is_ssl_reading_paused(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.is_ssl_reading_paused)
    }

    #[setter(_ssl_reading_paused)]
    fn set_is_ssl_reading_paused(&self, py: Python<'_>, value: bool) {
        self.state.with(py, |state| state.is_ssl_reading_paused = value);
    }

    #[getter(_app_writing_paused)]
    fn get_is_app_writing_paused(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.is_app_writing_paused)
    }

    #[setter(_app_writing_paused)]
    fn set_is_app_writing_paused(&self, py: Python<'_>, value: bool) {
        self.state.with(py, |state| state.is_app_writing_paused = value);
    }

    #[getter(_app_reading_paused)]
    fn get_is_app_reading_paused(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.is_app_reading_paused)
    }

    #[setter(_app_reading_paused)]
    fn set_is_app_reading_paused(&self, py: Python<'_>, value: bool) {
        self.state.with(py, |state| state.is_app_reading_paused = value);
    }

    #[getter(_outgoing_high_water)]
    fn get_outgoing_high_water(&self, py: Python<'_>) -> usize {
        self.state.with(py, |state| state.outgoing_high_water)
    }

    #[setter(_outgoing_high_water)]
    fn set_outgoing_high_water(&self, py: Python<'_>, value: usize) {
        self.state.with(py, |state| state.outgoing_high_water = value);
    }

    #[getter(_outgoing_low_water)]
    fn get_outgoing_low_water(&self, py: Python<'_>) -> usize {
        self.state.with(py, |state| state.outgoing_low_water)
    }

    #[setter(_outgoing_low_water)]
    fn set_outgoing_low_water(&self, py: Python<'_>, value: usize) {
        self.state.with(py, |state| state.outgoing_low_water = value);
    }

    #[getter(_incoming_high_water)]
    fn get_incoming_high_water(&self, py: Python<'_>) -> usize {
        self.state.with(py, |state| state.incoming_high_water)
    }

    #[setter(_incoming_high_water)]
    fn set_incoming_high_water(&self, py: Python<'_>, value: usize) {
        self.state.with(py, |state| state.incoming_high_water = value);
    }

    #[getter(_incoming_low_water)]
    fn get_incoming_low_water(&self, py: Python<'_>) -> usize {
        self.state.with(py, |state| state.incoming_low_water)
    }

    #[setter(_incoming_low_water)]
    fn set_incoming_low_water(&self, py: Python<'_>, value: usize) {
        self.state.with(py, |state| state.incoming_low_water = value);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.state.collected(|state| {
            visit.call(&state.state)?;
            visit.call(&state.ssl_object)?;
            visit.call(state.records.as_ref().map(Records::object))?;
            visit.call(state.incoming.object())?;
            visit.call(state.outgoing.object())?;
            visit.call(&state.transport)?;
            visit.call(&state.app_protocol)?;
            visit.call(&state.backlog)
        });
        visited.unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        let out = self.state.collected(std::mem::take);
        drop(out);
    }
}
