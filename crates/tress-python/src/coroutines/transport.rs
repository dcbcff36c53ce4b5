//! A connection's transport: reading, writing and what could not be written yet.
//!
//! The public class is a Python class on top of this one and of the standard library's transport. That one has everything that is not
//! hot, and works on the state here: the attributes of its own names.

use std::io;
use std::os::fd::RawFd;

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyMemoryView, PyString, PyTuple};
use pyo3::{IntoPyObjectExt, PyTraverseError, PyVisit, ffi, intern};

use crate::base::attached::Attached;
use crate::base::calls;

use super::address::Address;
use super::buffer::{Access, Buffer};
use super::context;
use super::creating::Found;
use super::descriptors::{Direction, Watcher};
use super::event_loop::EventLoop;
use super::handle::ends_loop;
use super::kernel::{self, is_again, receive, send};
use super::outgoing::{Outgoing, Way, Written};
use super::stream_protocol::StreamReaderProtocol;
use super::streams::Changeable;
use super::tls::TlsProtocol;

/// So many writes to a connection that is lost are passed over in silence: as in the standard library.
const SILENT_WRITES: u32 = 5;

const WRITE_FAILED: &str = "Fatal write error on socket transport";

/// Where a protocol is told to pause, and to go on: as in the standard library.
const HIGH_WATER: usize = 64 * 1024;
const LOW_WATER: usize = HIGH_WATER / 4;

const READ_FAILED: &str = "Fatal read error on socket transport";

#[derive(Default)]
struct State {
    fd: RawFd,
    owner: Option<Py<EventLoop>>,
    protocol: Option<Py<PyAny>>,
    /// Whether the protocol gives the buffer to read into.
    is_buffered: bool,
    /// Whether it is that of a stream of tress's.
    is_stream: bool,
    context: Option<Py<PyAny>>,
    /// Whether that is one that the maker of the connection gave.
    has_given_context: bool,
    outgoing: Outgoing,
    high_water: usize,
    low_water: usize,
    /// Above 0 the connection is lost; it counts the writes since.
    lost: u32,
    is_closing: bool,
    is_paused: bool,
    /// Whether no more will be written.
    is_eof: bool,
    is_protocol_paused: bool,
    /// A future for the moment when all is written.
    empty_waiter: Option<Py<PyAny>>,
    /// The socket, also when it is closed.
    sock: Option<Py<PyAny>>,
    is_sock_closed: bool,
    server: Option<Py<PyAny>>,
    /// Whether the protocol is one to tell of the connection's end.
    has_protocol: bool,
    /// What `get_extra_info` tells, once somebody wants more of it than addresses, and until then what it is made of.
    extra: Option<Py<PyDict>>,
    given_extra: Option<Py<PyDict>>,
    address: Option<Address>,
    peer: Option<Address>,
}

#[pyclass(module = "tress._native", frozen, subclass, weakref)]
pub struct SocketTransport {
    state: Attached<State>,
}

static OWN: Found = Found::new("tress.asyncio._socket_transport", "SocketTransport");

impl SocketTransport {
    /// As one, if it is of the public class itself, and no subclass of it.
    pub fn own<'a, 'py>(any: &'a Bound<'py, PyAny>) -> PyResult<Option<&'a Bound<'py, Self>>> {
        let is_own = any.get_type().is(OWN.get(any.py())?);
        Ok(if is_own { any.cast().ok() } else { None })
    }

    fn owner<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, EventLoop>> {
        let owner = self.state.object(py, |state| &state.owner);
        owner.ok_or_else(|| PyRuntimeError::new_err("the transport has no loop"))
    }

    fn watch(slf: &Bound<'_, Self>, direction: Direction, is_on: bool) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let fd = this.state.with(py, |state| state.fd);
        let watcher = is_on.then(|| Watcher::Transport(slf.clone().unbind()));
        EventLoop::set_watcher(&this.owner(py)?, fd, direction, watcher).map(drop)
    }

    fn fatal(slf: &Bound<'_, Self>, error: Bound<'_, PyAny>, message: &str) -> PyResult<()> {
        let message = PyString::new(slf.py(), message).into_any();
        calls::method_with_two(slf, intern!(slf.py(), "_fatal_error"), &error, &message).map(drop)
    }

    fn os_error<'py>(py: Python<'py>, error: &io::Error) -> PyResult<Bound<'py, PyAny>> {
        let number = error.raw_os_error().unwrap_or(libc::EIO);
        let os = py.import(intern!(py, "os"))?;
        let text = os.call_method1(intern!(py, "strerror"), (number,))?;
        py.get_type::<pyo3::exceptions::PyOSError>().call1((number, text))
    }

    /// The checks before a write; false where it is passed over.
    fn may_write(slf: &Bound<'_, Self>, name: &str) -> PyResult<bool> {
        let (py, this) = (slf.py(), slf.get());
        let (is_eof, is_waited_for, lost) =
            this.state.with(py, |state| (state.is_eof, state.empty_waiter.is_some(), state.lost));
        if is_eof {
            return Err(PyRuntimeError::new_err(format!("Cannot call {name}() after write_eof()")));
        }
        if is_waited_for {
            return Err(PyRuntimeError::new_err(format!("unable to {name}; sendfile is in progress")));
        }
        if lost == 0 {
            return Ok(true);
        }
        if lost >= SILENT_WRITES {
            let logging = py.import(intern!(py, "asyncio.log"))?;
            let logger = logging.getattr(intern!(py, "logger"))?;
            logger.call_method1(intern!(py, "warning"), ("socket.send() raised exception.",))?;
        }
        this.state.with(py, |state| state.lost += 1);
        Ok(false)
    }

    /// There is more to write than is good: tells the protocol.
    fn pause_if_full(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let is_full = slf
            .get()
            .state
            .with(py, |state| state.outgoing.size() > state.high_water && !state.is_protocol_paused);
        if is_full {
            calls::method(slf, intern!(py, "_maybe_pause_protocol"), None)?;
        }
        Ok(())
    }

    /// What is left of a write is kept, and written when there is room.
    #[cold]
    fn keep(slf: &Bound<'_, Self>, bytes: Bound<'_, PyBytes>, written: usize) -> PyResult<()> {
        let py = slf.py();
        slf.get().state.with(py, |state| state.outgoing.push(bytes, written));
        Self::watch(slf, Direction::Write, true)?;
        Self::pause_if_full(slf)
    }

    /// What to do with a write of so many bytes.
    #[inline]
    fn way(&self, py: Python<'_>, len: usize) -> Way {
        self.state.with(py, |state| {
            let owner = state.owner.as_ref().map(Py::get);
            let call = owner.and_then(EventLoop::call_in_progress);
            state.outgoing.way(len, call, || owner.map_or(0, EventLoop::looked_at_ns))
        })
    }

    /// Adds to what is to be written.
    fn add<'py>(
        slf: &Bound<'py, Self>,
        way: Way,
        chunks: impl Iterator<Item = Bound<'py, PyBytes>>,
    ) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        if way == Way::Gather {
            let owner = this.owner(py)?;
            this.state.with(py, |state| state.outgoing.gather());
            owner.get().note_gathering(py, slf);
        }
        let is_enough = this.state.with(py, |state| {
            chunks.for_each(|bytes| state.outgoing.push(bytes, 0));
            state.outgoing.is_gathered().then(|| state.outgoing.is_enough(state.high_water))
        });
        match is_enough {
            Some(false) => Ok(()),
            Some(true) => Self::write_gathered(slf),
            None => Self::pause_if_full(slf),
        }
    }

    /// Writes what was only gathered.
    ///
    /// # Errors
    /// What ends the loop.
    pub fn write_gathered(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let flushed = this
            .state
            .with(py, |state| state.outgoing.end_gathering().then(|| state.outgoing.flush(py, state.fd)));
        let Some((written, done)) = flushed else { return Ok(()) };
        drop(done);
        match written {
            Written::All => Ok(()),
            Written::Part => {
                Self::watch(slf, Direction::Write, true)?;
                Self::pause_if_full(slf)
            }
            Written::Failed(error) => Self::in_context(slf, |slf| {
                this.drop_chunks(py);
                let error = Self::os_error(py, &error)?;
                Self::fatal(slf, error, WRITE_FAILED)
            }),
        }
    }

    /// The descriptor can be written to.
    ///
    /// # Errors
    /// What ends the loop.
    pub fn run_write(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::in_context(slf, Self::write_now)
    }

    fn write_now(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let flushed = this.state.with(py, |state| {
            let writes = state.lost == 0 && !state.outgoing.is_empty();
            writes.then(|| state.outgoing.flush(py, state.fd))
        });
        let Some((written, done)) = flushed else { return Ok(()) };
        drop(done);
        match written {
            Written::Failed(error) => {
                Self::watch(slf, Direction::Write, false)?;
                this.drop_chunks(py);
                let error = Self::os_error(py, &error)?;
                Self::fatal(slf, error.clone(), WRITE_FAILED)?;
                if let Some(waiter) = this.empty_waiter(py) {
                    waiter.call_method1(intern!(py, "set_exception"), (error,))?;
                }
                return Ok(());
            }
            Written::All | Written::Part => {}
        }
        let is_low =
            this.state.with(py, |state| state.is_protocol_paused && state.outgoing.size() <= state.low_water);
        if is_low {
            calls::method(slf, intern!(py, "_maybe_resume_protocol"), None)?; // which may write
        }
        let (is_empty, ends, is_eof) = this.state.with(py, |state| {
            let is_empty = state.outgoing.is_empty();
            let ends = is_empty && state.is_closing && state.lost == 0;
            state.lost += u32::from(ends);
            (is_empty, ends, state.is_eof)
        });
        if is_empty {
            Self::watch(slf, Direction::Write, false)?;
            if let Some(waiter) = this.empty_waiter(py) {
                waiter.call_method1(intern!(py, "set_result"), (py.None(),))?;
            }
            if ends {
                let none = py.None().into_bound(py);
                calls::method(slf, intern!(py, "_call_connection_lost"), Some(none.as_borrowed()))?;
            } else if is_eof {
                slf.getattr(intern!(py, "_sock"))?.call_method1(intern!(py, "shutdown"), (libc::SHUT_WR,))?;
            }
        }
        Ok(())
    }

    /// `sockname` and `peername`, as long as nobody has asked for all.
    fn told_address(&self, py: Python<'_>, name: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
        let is = |wanted: &Bound<'_, PyString>| -> PyResult<bool> { Ok(name.is(wanted) || name.eq(wanted)?) };
        let wants_peer = is(intern!(py, "peername"))?;
        if !wants_peer && !is(intern!(py, "sockname"))? {
            return Ok(None);
        }
        let made = self.state.with(py, |state| {
            if state.extra.is_some() || state.given_extra.is_some() {
                return None;
            }
            let address = if wants_peer { state.peer.as_ref() } else { state.address.as_ref() };
            address.map(|address| address.clone_ref(py))
        });
        made.map(|address| address.into_object(py)).transpose()
    }

    /// All that `get_extra_info` tells.
    fn extra<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (extra, given, sock) = self.state.with(py, |state| {
            (
                state.extra.as_ref().map(|extra| extra.clone_ref(py)),
                state.given_extra.as_ref().map(|given| given.clone_ref(py)),
                state.sock.as_ref().map(|sock| sock.clone_ref(py)),
            )
        });
        if let Some(extra) = extra {
            return Ok(extra.into_bound(py));
        }
        let extra = given.map_or_else(|| PyDict::new(py), |given| given.into_bound(py));
        let (address, peer) = self.state.with(py, |state| {
            let copy = |address: &Option<Address>| address.as_ref().map(|address| address.clone_ref(py));
            (copy(&state.address), copy(&state.peer))
        });
        let (name, peer_name) = (intern!(py, "sockname"), intern!(py, "peername"));
        extra.set_item(name, address.map(|address| address.into_object(py)).transpose()?)?;
        if !extra.contains(peer_name)? {
            extra.set_item(peer_name, peer.map(|peer| peer.into_object(py)).transpose()?)?;
        }
        let class = py.import(intern!(py, "asyncio.trsock"))?.getattr(intern!(py, "TransportSocket"))?;
        extra.set_item(intern!(py, "socket"), class.call1((sock,))?)?;
        self.state.put(py, |state| &mut state.extra, Some(extra.clone().unbind()));
        Ok(extra)
    }

    fn empty_waiter<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.object(py, |state| &state.empty_waiter)
    }

    pub fn drop_chunks(&self, py: Python<'_>) {
        let chunks = self.state.with(py, |state| state.outgoing.take());
        drop(chunks);
    }

    /// The descriptor can be read from.
    ///
    /// # Errors
    /// What ends the loop.
    pub fn run_read(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::in_context(slf, Self::read_now)
    }

    /// Runs `f` in the context in which the transport was made; what is no end of the loop goes to its exception handler.
    #[inline]
    fn in_context(slf: &Bound<'_, Self>, f: impl FnOnce(&Bound<'_, Self>) -> PyResult<()>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let context = this.state.object(py, |state| &state.context);
        let Some(context) = context else { return f(slf) };
        match context::run(context.as_borrowed(), || f(slf))? {
            Err(error) if !ends_loop(py, &error) => {
                let about = PyDict::new(py);
                about.set_item("message", "Exception in a transport")?;
                about.set_item("exception", error.into_value(py))?;
                about.set_item("transport", slf)?;
                let name = intern!(py, "call_exception_handler");
                let owner = this.owner(py)?;
                calls::method(&owner, name, Some(about.as_any().as_borrowed())).map(drop)
            }
            done => done,
        }
    }

    fn read_now(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let reading = this.state.with(py, |state| {
            let reads = state.lost == 0 && !state.is_paused && !state.is_closing;
            let protocol = state.protocol.as_ref().map(|protocol| protocol.clone_ref(py));
            reads.then_some((state.fd, protocol, state.is_buffered, state.is_stream))
        });
        let Some((fd, Some(protocol), is_buffered, is_stream)) = reading else { return Ok(()) };
        let protocol = protocol.into_bound(py);
        if is_buffered {
            return match protocol.cast::<TlsProtocol>() {
                Ok(tls) if tls.get().takes(py) => Self::read_records(slf, fd, tls),
                _ => Self::read_into_buffer(slf, fd, &protocol),
            };
        }
        let received = this.owner(py)?.get().with_scratch(py, |scratch| {
            receive(fd, scratch).map(|count| PyBytes::new(py, &scratch[..count]))
        });
        let data = match received {
            Ok(data) => data,
            Err(error) if is_again(&error) => return Ok(()),
            Err(error) => {
                let error = Self::os_error(py, &error)?;
                return Self::fatal(slf, error, READ_FAILED);
            }
        };
        if data.as_bytes().is_empty() {
            return calls::method(slf, intern!(py, "_read_ready__on_eof"), None).map(drop);
        }
        let told = if is_stream {
            StreamReaderProtocol::receive(protocol.cast()?, data)
        } else {
            let name = intern!(py, "data_received");
            calls::method(&protocol, name, Some(data.as_any().as_borrowed())).map(drop)
        };
        match told {
            Ok(()) => Ok(()),
            Err(error) if ends_loop(py, &error) => Err(error),
            Err(error) => {
                let error = error.into_value(py).into_bound(py).into_any();
                Self::fatal(slf, error, "Fatal error: protocol.data_received() call failed.")
            }
        }
    }

    /// An error that the protocol has raised ends the connection.
    fn protocol_failed(slf: &Bound<'_, Self>, error: PyErr, message: &str) -> PyResult<()> {
        let py = slf.py();
        if ends_loop(py, &error) {
            return Err(error);
        }
        Self::fatal(slf, error.into_value(py).into_bound(py).into_any(), message)
    }

    /// For TLS, by way of the loop's room.
    fn read_records(slf: &Bound<'_, Self>, fd: RawFd, tls: &Bound<'_, TlsProtocol>) -> PyResult<()> {
        let py = slf.py();
        let owner = slf.get().owner(py)?;
        let mut scratch = owner.get().take_scratch(py);
        let received = receive(fd, &mut scratch);
        let taken = match received {
            Ok(count) if count > 0 => tls.get().take(py, &scratch[..count]),
            _ => Ok(()),
        };
        owner.get().give_scratch_back(py, scratch);
        Self::has_received(slf, received, |count| taken.and_then(|()| TlsProtocol::go_on(tls, count)))
    }

    fn read_into_buffer(slf: &Bound<'_, Self>, fd: RawFd, protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let any_size = (-1).into_bound_py_any(py)?;
        let given = calls::method(protocol, intern!(py, "get_buffer"), Some(any_size.as_borrowed()))
            .and_then(|given| {
                if given.len()? == 0 {
                    return Err(PyRuntimeError::new_err("get_buffer() returned an empty buffer"));
                }
                Ok(given)
            });
        let given = match given {
            Ok(given) => given,
            Err(error) => {
                return Self::protocol_failed(slf, error, "Fatal error: protocol.get_buffer() call failed.");
            }
        };
        let Ok(mut room) = Buffer::of(&given, Access::Write) else {
            let error = PyTypeError::new_err(format!(
                "recv_into() argument 1 must be read-write bytes-like object, not {}",
                given.get_type().name()?
            ));
            return Self::protocol_failed(slf, error, READ_FAILED);
        };
        let received = receive(fd, room.bytes_mut());
        drop(room);
        Self::has_received(slf, received, |count| {
            let count = count.into_bound_py_any(py)?;
            calls::method(protocol, intern!(py, "buffer_updated"), Some(count.as_borrowed())).map(drop)
        })
    }

    /// What follows when a buffer has been read into, of which `tell` tells the protocol.
    fn has_received(
        slf: &Bound<'_, Self>,
        received: io::Result<usize>,
        tell: impl FnOnce(usize) -> PyResult<()>,
    ) -> PyResult<()> {
        let py = slf.py();
        match received {
            Ok(0) => calls::method(slf, intern!(py, "_read_ready__on_eof"), None).map(drop),
            Ok(count) => tell(count).or_else(|error| {
                Self::protocol_failed(slf, error, "Fatal error: protocol.buffer_updated() call failed.")
            }),
            Err(error) if is_again(&error) => Ok(()),
            Err(error) => {
                let error = Self::os_error(py, &error)?;
                Self::fatal(slf, error, READ_FAILED)
            }
        }
    }
}

/// Small writes need not wait for the other side: where the connection is of TCP, and whoever made the socket said so or left it open.
fn switch_off_delay(fd: RawFd) {
    let on: libc::c_int = 1;
    let size = libc::socklen_t::try_from(size_of_val(&on)).unwrap_or(0);
    if kernel::option(fd, libc::SO_PROTOCOL).is_ok_and(|protocol| protocol == libc::IPPROTO_TCP) {
        // SAFETY: the kernel reads a number of that size; it refuses a descriptor of something else.
        unsafe { libc::setsockopt(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, (&raw const on).cast(), size) };
    }
}

/// The bytes of an argument: itself, or a snapshot of what can change.
fn bytes_of<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    if let Ok(bytes) = data.cast::<PyBytes>() {
        return Ok(bytes.clone());
    }
    if data.is_instance_of::<PyByteArray>() || data.is_instance_of::<PyMemoryView>() {
        return copy_of(data);
    }
    let wanted = if cfg!(Py_3_12) { "bytes, bytearray, or memoryview" } else { "bytes-like" };
    Err(PyTypeError::new_err(format!(
        "data argument must be a {wanted} object, not '{}'",
        data.get_type().name()?
    )))
}

/// The bytes of one of several, whatever has memory.
fn bytes_of_item<'py>(data: &Bound<'py, PyAny>, index: usize) -> PyResult<Bound<'py, PyBytes>> {
    if let Ok(bytes) = data.cast::<PyBytes>() {
        return Ok(bytes.clone());
    }
    // SAFETY: a live object.
    if unsafe { ffi::PyObject_CheckBuffer(data.as_ptr()) } != 0 {
        return copy_of(data);
    }
    let kind = data.get_type().name()?;
    Err(PyTypeError::new_err(if cfg!(Py_3_12) {
        format!("memoryview: a bytes-like object is required, not '{kind}'")
    } else {
        format!("sequence item {index}: expected a bytes-like object, {kind} found")
    }))
}

/// The bytes of an object with memory, as they are now.
fn copy_of<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    // SAFETY: attached; the result is a new reference to a bytes object, or null with an exception set.
    unsafe {
        Bound::from_owned_ptr_or_err(data.py(), ffi::PyBytes_FromObject(data.as_ptr()))
            .map(|bytes| bytes.cast_into_unchecked())
    }
}

#[pymethods]
impl SocketTransport {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { state: Attached::new(State::default()) }
    }

    /// Writes `data`, as much as the kernel takes at once; the rest follows when there is room.
    pub fn write(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let bytes = bytes_of(data)?;
        if !Self::may_write(slf, "write")? || bytes.as_bytes().is_empty() {
            return Ok(());
        }
        match this.way(py, bytes.as_bytes().len()) {
            Way::Now => {}
            way => return Self::add(slf, way, std::iter::once(bytes)),
        }
        let fd = this.state.with(py, |state| state.fd);
        match send(fd, bytes.as_bytes()) {
            Ok(sent) if sent == bytes.as_bytes().len() => Ok(()),
            Ok(sent) => Self::keep(slf, bytes, sent),
            Err(error) if is_again(&error) => Self::keep(slf, bytes, 0),
            Err(error) => {
                let error = Self::os_error(py, &error)?;
                Self::fatal(slf, error, WRITE_FAILED)
            }
        }
    }

    /// Writes all of the items, in one go as far as the kernel takes it.
    fn writelines(slf: &Bound<'_, Self>, list_of_data: &Bound<'_, PyAny>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let mut chunks = Vec::new();
        for (index, data) in list_of_data.try_iter()?.enumerate() {
            chunks.push(bytes_of_item(&data?, index)?);
        }
        chunks.retain(|bytes| !bytes.as_bytes().is_empty());
        if !Self::may_write(slf, "writelines")? || chunks.is_empty() {
            return Ok(());
        }
        let way = this.way(py, chunks.iter().map(|bytes| bytes.as_bytes().len()).sum());
        if way != Way::Now {
            return Self::add(slf, way, chunks.into_iter());
        }
        this.state.with(py, |state| chunks.into_iter().for_each(|bytes| state.outgoing.push(bytes, 0)));
        Self::write_now(slf)?;
        if this.state.with(py, |state| !state.outgoing.is_empty()) {
            Self::watch(slf, Direction::Write, true)?;
        }
        Self::pause_if_full(slf)
    }

    /// How many bytes are still to be written.
    fn get_write_buffer_size(slf: &Bound<'_, Self>) -> PyResult<usize> {
        Self::write_gathered(slf)?;
        Ok(slf.get().state.with(slf.py(), |state| state.outgoing.size()))
    }

    /// Writes what was only gathered: to be called before whatever depends on what is still to be written.
    fn _write_gathered(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::write_gathered(slf)
    }

    fn _read_ready(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::read_now(slf)
    }

    /// As the standard library's functions call it.
    fn _add_reader(
        slf: &Bound<'_, Self>,
        _fd: &Bound<'_, PyAny>,
        _callback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        Self::_begin_reading(slf)
    }

    /// What a new connection is made of. `extra` is what `get_extra_info` tells besides.
    fn _open<'py>(
        &self,
        sock: &Bound<'py, PyAny>,
        extra: Option<Bound<'py, PyDict>>,
        server: Option<Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        let py = sock.py();
        let fd: RawFd = sock.call_method0(intern!(py, "fileno"))?.extract()?;
        let address = Address::of_socket(sock, fd)?;
        let peer = Address::of_peer(sock, fd)?;
        // Who accepted the connection knows that address, and nothing else: it need not be kept twice.
        let name = intern!(py, "peername");
        let is_told = match &extra {
            Some(extra) if extra.len() == 1 => match extra.get_item(name)? {
                Some(told) => peer.clone_ref(py).into_object(py)?.bind(py).eq(told)?,
                None => false,
            },
            extra => extra.is_none(),
        };
        switch_off_delay(fd);
        let replaced = self.state.with(py, |state| {
            state.fd = fd;
            state.high_water = HIGH_WATER;
            state.low_water = LOW_WATER;
            state.address = Some(address);
            state.peer = Some(peer);
            let given = if is_told { None } else { extra.map(Bound::unbind) };
            (
                state.sock.replace(sock.clone().unbind()),
                std::mem::replace(&mut state.given_extra, given),
                std::mem::replace(&mut state.server, server.map(Bound::unbind)),
            )
        });
        drop(replaced);
        Ok(())
    }

    /// Has the loop read from now on, unless reading is paused.
    fn _begin_reading(slf: &Bound<'_, Self>) -> PyResult<()> {
        let reads = slf.get().state.with(slf.py(), |state| !state.is_closing && !state.is_paused);
        if reads { Self::watch(slf, Direction::Read, true) } else { Ok(()) }
    }

    /// What is known of the connection by that name: `peername`, `sockname`, `socket`, or what was given when it was made.
    #[pyo3(signature = (name, default=None))]
    fn get_extra_info<'py>(
        slf: &Bound<'py, Self>,
        name: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let told = if let Some(address) = slf.get().told_address(py, name)? {
            Some(address.into_bound(py))
        } else {
            Self::write_gathered(slf)?; // the socket may be shut down
            slf.get().extra(py)?.get_item(name)?
        };
        Ok(told.or(default).unwrap_or_else(|| py.None().into_bound(py)))
    }

    #[getter(_extra)]
    fn get_extra<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.extra(py)
    }

    #[setter(_extra)]
    fn set_extra(&self, py: Python<'_>, extra: Bound<'_, PyDict>) {
        self.state.put(py, |state| &mut state.extra, Some(extra.unbind()));
    }

    /// Whether the connection is closed or about to be.
    pub fn is_closing(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.is_closing)
    }

    /// The protocol.
    fn get_protocol<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.get_protocol_attribute(py)
    }

    /// Has another protocol told from now on.
    fn set_protocol(&self, py: Python<'_>, protocol: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        self.set_protocol_attribute(py, protocol)?;
        self.state.with(py, |state| state.has_protocol = true);
        Ok(())
    }

    /// None once it is closed.
    #[getter(_sock)]
    fn get_sock(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| {
            let open = state.sock.as_ref().filter(|_| !state.is_sock_closed);
            open.map(|sock| sock.clone_ref(py))
        })
    }

    #[setter(_sock)]
    fn set_sock(&self, py: Python<'_>, sock: Option<Py<PyAny>>) {
        let replaced = self.state.with(py, |state| {
            state.is_sock_closed = sock.is_none();
            sock.and_then(|sock| state.sock.replace(sock))
        });
        drop(replaced);
    }

    #[getter(_server)]
    fn get_server<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.object(py, |state| &state.server)
    }

    #[setter(_server)]
    fn set_server(&self, py: Python<'_>, server: Option<Py<PyAny>>) {
        self.state.put(py, |state| &mut state.server, server);
    }

    #[getter(_protocol_connected)]
    fn get_protocol_connected(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.has_protocol)
    }

    #[setter(_protocol_connected)]
    fn set_protocol_connected(&self, py: Python<'_>, value: bool) {
        self.state.with(py, |state| state.has_protocol = value);
    }

    fn _clear_buffer(&self, py: Python<'_>) {
        self.drop_chunks(py);
    }

    fn _buffer_len(&self, py: Python<'_>) -> usize {
        self.state.with(py, |state| state.outgoing.len())
    }

    // The state, by the standard library's names.

    #[getter(_closing)]
    fn get_closing(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.is_closing)
    }

    #[setter(_closing)]
    fn set_closing(&self, py: Python<'_>, value: bool) {
        self.state.with(py, |state| state.is_closing = value);
    }

    #[getter(_paused)]
    fn get_paused(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.is_paused)
    }

    #[setter(_paused)]
    fn set_paused(&self, py: Python<'_>, value: bool) {
        self.state.with(py, |state| state.is_paused = value);
    }

    #[getter(_eof)]
    fn get_eof(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.is_eof)
    }

    #[setter(_eof)]
    fn set_eof(&self, py: Python<'_>, value: bool) {
        self.state.with(py, |state| state.is_eof = value);
    }

    #[getter(_protocol_paused)]
    fn get_protocol_paused(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.is_protocol_paused)
    }

    #[setter(_protocol_paused)]
    fn set_protocol_paused(&self, py: Python<'_>, value: bool) {
        self.state.with(py, |state| state.is_protocol_paused = value);
    }

    #[getter(_conn_lost)]
    fn get_lost(&self, py: Python<'_>) -> u32 {
        self.state.with(py, |state| state.lost)
    }

    #[setter(_conn_lost)]
    fn set_lost(&self, py: Python<'_>, value: u32) {
        self.state.with(py, |state| state.lost = value);
    }

    #[getter(_high_water)]
    fn get_high_water(&self, py: Python<'_>) -> usize {
        self.state.with(py, |state| state.high_water)
    }

    #[setter(_high_water)]
    fn set_high_water(&self, py: Python<'_>, value: usize) {
        self.state.with(py, |state| state.high_water = value);
    }

    #[getter(_low_water)]
    fn get_low_water(&self, py: Python<'_>) -> usize {
        self.state.with(py, |state| state.low_water)
    }

    #[setter(_low_water)]
    fn set_low_water(&self, py: Python<'_>, value: usize) {
        self.state.with(py, |state| state.low_water = value);
    }

    #[getter(_sock_fd)]
    fn get_fd(&self, py: Python<'_>) -> RawFd {
        self.state.with(py, |state| state.fd)
    }

    #[setter(_sock_fd)]
    fn set_fd(&self, py: Python<'_>, value: RawFd) {
        self.state.with(py, |state| state.fd = value);
    }

    #[getter(_loop)]
    fn get_owner<'py>(&self, py: Python<'py>) -> Option<Bound<'py, EventLoop>> {
        self.state.object(py, |state| &state.owner)
    }

    /// With a loop, when the transport is made, comes the context of its callbacks: a copy of the present one.
    #[setter(_loop)]
    fn set_owner(&self, py: Python<'_>, owner: Option<Py<EventLoop>>) -> PyResult<()> {
        let context = owner.as_ref().map(|_| context::copy_present(py)).transpose()?.map(Bound::unbind);
        let replaced = self.state.with(py, |state| {
            (std::mem::replace(&mut state.owner, owner), std::mem::replace(&mut state.context, context))
        });
        drop(replaced);
        Ok(())
    }

    /// What the maker of the connection gave, as it can from Python 3.15 on.
    #[getter(_context)]
    fn get_context(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| {
            let given = state.context.as_ref().filter(|_| state.has_given_context);
            given.map(|context| context.clone_ref(py))
        })
    }

    /// None leaves the copy.
    #[setter(_context)]
    fn set_context(&self, py: Python<'_>, context: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        let Some(context) = context else { return Ok(()) };
        context::check(&context)?;
        let replaced = self.state.with(py, |state| {
            state.has_given_context = true;
            state.context.replace(context.unbind())
        });
        drop(replaced);
        Ok(())
    }

    #[getter(_protocol)]
    fn get_protocol_attribute<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.object(py, |state| &state.protocol)
    }

    #[setter(_protocol)]
    fn set_protocol_attribute(&self, py: Python<'_>, protocol: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        let (is_buffered, is_stream) = match &protocol {
            None => (false, false),
            Some(protocol) => {
                let buffered =
                    py.import(intern!(py, "asyncio.protocols"))?.getattr(intern!(py, "BufferedProtocol"))?;
                (protocol.is_instance(&buffered)?, StreamReaderProtocol::is_own(protocol)?)
            }
        };
        let replaced = self.state.with(py, |state| {
            (state.is_buffered, state.is_stream) = (is_buffered, is_stream);
            std::mem::replace(&mut state.protocol, protocol.map(Bound::unbind))
        });
        drop(replaced);
        Ok(())
    }

    #[getter(_empty_waiter)]
    fn get_empty_waiter<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.empty_waiter(py)
    }

    #[setter(_empty_waiter)]
    fn set_empty_waiter(&self, py: Python<'_>, waiter: Option<Py<PyAny>>) {
        self.state.put(py, |state| &mut state.empty_waiter, waiter);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.state.collected(|state| {
            visit.call(&state.owner)?;
            visit.call(&state.protocol)?;
            visit.call(&state.context)?;
            visit.call(&state.empty_waiter)?;
            visit.call(&state.sock)?;
            visit.call(&state.server)?;
            visit.call(&state.extra)?;
            visit.call(&state.given_extra)
        });
        visited.unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        let out = self.state.collected(|state| {
            (
                (state.owner.take(), state.protocol.take(), state.context.take(), state.empty_waiter.take()),
                (state.sock.take(), state.server.take(), state.extra.take(), state.given_extra.take()),
            )
        });
        drop(out);
    }
}
