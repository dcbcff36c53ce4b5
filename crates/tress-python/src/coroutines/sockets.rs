//! The `sock_` methods of the loop: a call that a socket cannot do at once is made again when the socket is ready.
//!
//! Who waits is told once, by a future, and makes the call in its own turn: what has been received is nobody's until then, and a task
//! that is cancelled before loses nothing of it.

use std::os::fd::RawFd;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyMemoryView, PyTuple};
use pyo3::{IntoPyObjectExt, PyTraverseError, PyVisit, ffi, intern};

use crate::base::attached::Attached;
use crate::base::calls;
use crate::base::freelist::{self, FreeList, Recycled};
use crate::error::OrRaise;

use super::accepting;
use super::buffer::{Access, Buffer};
use super::connecting;
use super::creating::Found;
use super::descriptors::{Direction, Watcher};
use super::event_loop::EventLoop;
use super::kernel;
use super::lazy::{Attempt, LazyCoroutine, Step};
use super::waiting;

pub static SOCKET: Found = Found::new("socket", "socket");

/// As much is received into the loop's own memory first, and copied; more into an object that is cut afterwards.
const LONGEST_COPY: usize = 64 * 1024;

/// What is called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Recv,
    RecvInto,
    RecvFrom,
    RecvFromInto,
    SendAll,
    SendTo,
    Accept,
    Connect,
}

impl Operation {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "recv" => Self::Recv,
            "recv_into" => Self::RecvInto,
            "recvfrom" => Self::RecvFrom,
            "recvfrom_into" => Self::RecvFromInto,
            "sendall" => Self::SendAll,
            "sendto" => Self::SendTo,
            "accept" => Self::Accept,
            "connect" => Self::Connect,
            _ => return None,
        })
    }

    /// In messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recv => "EventLoop.sock_recv",
            Self::RecvInto => "EventLoop.sock_recv_into",
            Self::RecvFrom => "EventLoop.sock_recvfrom",
            Self::RecvFromInto => "EventLoop.sock_recvfrom_into",
            Self::SendAll => "EventLoop.sock_sendall",
            Self::SendTo => "EventLoop.sock_sendto",
            Self::Accept => "EventLoop.sock_accept",
            Self::Connect => "EventLoop.sock_connect",
        }
    }

    /// The socket's method.
    const fn method(self) -> &'static str {
        match self {
            Self::Recv => "recv",
            Self::RecvInto => "recv_into",
            Self::RecvFrom => "recvfrom",
            Self::RecvFromInto => "recvfrom_into",
            Self::SendAll => "send",
            Self::SendTo => "sendto",
            Self::Accept => "accept",
            Self::Connect => "connect",
        }
    }

    const fn direction(self) -> Direction {
        match self {
            Self::SendAll | Self::SendTo | Self::Connect => Direction::Write,
            _ => Direction::Read,
        }
    }
}

/// How far it has come.
#[derive(Default)]
struct Progress {
    /// Whether connecting goes on in the background.
    is_connecting: bool,
    /// The descriptor that is waited for.
    fd: RawFd,
    sent: usize,
    /// What is sent, where it is not bytes: it keeps its place while it waits.
    view: Option<Py<PyAny>>,
}

/// A call, with its socket and arguments.
#[pyclass(module = "tress._native", frozen)]
pub struct SocketCall {
    owner: Py<EventLoop>,
    socket: Py<PyAny>,
    arguments: Py<PyTuple>,
    progress: Attached<Progress>,
}

static FREE: FreeList = FreeList::new(64);

// SAFETY: it has a `__traverse__` and no dictionary.
unsafe impl Recycled for SocketCall {
    fn list() -> &'static FreeList {
        &FREE
    }
}

/// A coroutine for an operation of the loop; None where the standard library's must do: of another kind of socket, in debug mode.
///
/// # Errors
/// MemoryError.
pub fn coroutine<'py>(
    owner: &Bound<'py, EventLoop>,
    operation: &str,
    socket: &Bound<'py, PyAny>,
    arguments: &Bound<'py, PyTuple>,
) -> PyResult<Option<Bound<'py, LazyCoroutine>>> {
    let py = owner.py();
    let Some(operation) = Operation::of(operation) else { return Ok(None) };
    if owner.get().is_debugging() || !socket.get_type().is(SOCKET.get(py)?) {
        return Ok(None);
    }
    let mut arguments = arguments.clone();
    if operation == Operation::Connect {
        let Some(resolved) = connecting::resolved(socket, &arguments.get_item(0)?)? else { return Ok(None) };
        arguments = PyTuple::new(py, [resolved])?;
    }
    let call = SocketCall {
        owner: owner.clone().unbind(),
        socket: socket.clone().unbind(),
        arguments: arguments.unbind(),
        progress: Attached::new(Progress::default()),
    };
    let call = freelist::object(py, call)?;
    LazyCoroutine::object(Attempt::Socket(operation), call.as_any(), None).map(Some)
}

impl SocketCall {
    /// Makes the call, or waits until it can be made.
    pub fn begin<'py>(slf: &Bound<'py, Self>, operation: Operation) -> PyResult<Step<'py>> {
        match Self::attempt(slf, operation)? {
            Some(result) => Ok(Step::Over(result)),
            None => Self::wait(slf, operation).map(Step::Wait),
        }
    }

    pub fn give_up(slf: &Bound<'_, Self>, operation: Operation, future: &Bound<'_, PyAny>) {
        let (py, this) = (slf.py(), slf.get());
        let fd = this.progress.with(py, |progress| progress.fd);
        this.owner.get().forget_waiting(py, fd, operation.direction(), future);
    }

    fn wait<'py>(slf: &Bound<'py, Self>, operation: Operation) -> PyResult<Bound<'py, PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        let owner = this.owner.bind(py);
        let fd = this.fd(py)?;
        this.progress.with(py, |progress| progress.fd = fd);
        check_no_transport(owner, fd)?;
        let future = waiting::new_future(owner.as_any())?;
        let watcher = Watcher::Waiting(future.clone().unbind());
        EventLoop::set_watcher(owner, fd, operation.direction(), Some(watcher))?;
        Ok(future)
    }

    fn fd(&self, py: Python<'_>) -> PyResult<RawFd> {
        calls::method(self.socket.bind(py), intern!(py, "fileno"), None)?.extract()
    }

    fn argument<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.arguments.bind(py).get_item(0)
    }

    /// None where the socket is not ready.
    fn attempt<'py>(slf: &Bound<'py, Self>, operation: Operation) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (py, this) = (slf.py(), slf.get());
        match operation {
            Operation::Recv => {
                let size = this.argument(py)?.extract::<isize>().ok();
                match size.and_then(|size| usize::try_from(size).ok()).filter(|size| *size > 0) {
                    Some(size) => this.receive(py, size),
                    None => this.by_method(py, operation),
                }
            }
            Operation::RecvInto => match Buffer::of(&this.argument(py)?, Access::Write) {
                Ok(mut room) if room.len() > 0 => match kernel::receive(this.fd(py)?, room.bytes_mut()) {
                    Err(error) if kernel::is_again(&error) => Ok(None),
                    received => received.or_raise()?.into_bound_py_any(py).map(Some),
                },
                _ => this.by_method(py, operation),
            },
            Operation::SendAll => this.send(py),
            Operation::Accept => {
                accepting::accept(this.socket.bind(py)).map(|made| made.map(Bound::into_any))
            }
            Operation::Connect => this.connect(py),
            _ => this.by_method(py, operation),
        }
    }

    fn receive<'py>(&self, py: Python<'py>, size: usize) -> PyResult<Option<Bound<'py, PyAny>>> {
        let fd = self.fd(py)?;
        let received = if size <= LONGEST_COPY {
            self.owner.get().with_scratch(py, |scratch| {
                let room = &mut scratch[..size];
                kernel::receive(fd, room).map(|count| PyBytes::new(py, &room[..count]).into_any())
            })
        } else {
            match Uncut::new(py, size)?.fill(|room| kernel::receive(fd, room)) {
                Ok(received) => Ok(received?),
                Err(error) => Err(error),
            }
        };
        match received {
            Err(error) if kernel::is_again(&error) => Ok(None),
            received => received.or_raise().map(Some),
        }
    }

    fn send<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (sent, view) = self
            .progress
            .with(py, |progress| (progress.sent, progress.view.as_ref().map(|view| view.clone_ref(py))));
        let data = match view {
            Some(view) => view.into_bound(py),
            None => self.argument(py)?,
        };
        let bytes = Buffer::of(&data, Access::Read)?;
        let bytes = bytes.bytes();
        let now = match kernel::send(self.fd(py)?, &bytes[sent.min(bytes.len())..]) {
            Err(error) if kernel::is_again(&error) => 0,
            done => done.or_raise()?,
        };
        if sent + now >= bytes.len() {
            return Ok(Some(py.None().into_bound(py)));
        }
        let view =
            if data.is_exact_instance_of::<PyBytes>() { data } else { PyMemoryView::from(&data)?.into_any() };
        let replaced = self.progress.with(py, |progress| {
            progress.sent += now;
            progress.view.replace(view.unbind())
        });
        drop(replaced);
        Ok(None)
    }

    fn connect<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let was_begun =
            self.progress.with(py, |progress| std::mem::replace(&mut progress.is_connecting, true));
        let is_connected = if was_begun {
            connecting::outcome(self.fd(py)?, &self.argument(py)?)?
        } else {
            connecting::begin(self.socket.bind(py), &self.argument(py)?)?
        };
        Ok(is_connected.then(|| py.None().into_bound(py)))
    }

    fn by_method<'py>(&self, py: Python<'py>, operation: Operation) -> PyResult<Option<Bound<'py, PyAny>>> {
        let method = self.socket.bind(py).getattr(operation.method())?;
        match calls::call(&method, self.arguments.bind(py)) {
            Err(error) if kernel::is_for_later(py, &error) => Ok(None),
            made => made.map(Some),
        }
    }
}

unsafe extern "C" {
    /// The interpreter's; PyO3 does not declare it.
    fn _PyBytes_Resize(object: *mut *mut ffi::PyObject, size: ffi::Py_ssize_t) -> std::ffi::c_int;
}

/// A bytes object that is not filled yet.
struct Uncut<'py> {
    object: *mut ffi::PyObject,
    py: Python<'py>,
    size: usize,
}

impl<'py> Uncut<'py> {
    fn new(py: Python<'py>, size: usize) -> PyResult<Self> {
        let len = isize::try_from(size).unwrap_or(isize::MAX);
        // SAFETY: attached; the result is a new reference to an object that nobody else knows, or null with an exception set.
        let object = unsafe { ffi::PyBytes_FromStringAndSize(std::ptr::null(), len) };
        if object.is_null() { Err(PyErr::fetch(py)) } else { Ok(Self { object, py, size }) }
    }

    /// Cuts it to what `f` has filled.
    fn fill(
        mut self,
        f: impl FnOnce(&mut [u8]) -> std::io::Result<usize>,
    ) -> std::io::Result<PyResult<Bound<'py, PyAny>>> {
        // SAFETY:
        // - a bytes object has room for as many bytes as it was made with, and nobody else knows this one;
        // - the bytes are not initialised: `f` passes them to the kernel, which writes and does not read.
        let filled = unsafe {
            let bytes = ffi::PyBytes_AsString(self.object).cast::<u8>();
            f(std::slice::from_raw_parts_mut(bytes, self.size))
        }?;
        let len = isize::try_from(filled.min(self.size)).unwrap_or(isize::MAX);
        // SAFETY: ours alone, as the function wants it; it replaces the object, by null with an exception set if it fails.
        Ok(unsafe {
            _PyBytes_Resize(&raw mut self.object, len);
            let object = std::mem::replace(&mut self.object, std::ptr::null_mut());
            Bound::from_owned_ptr_or_err(self.py, object)
        })
    }
}

impl Drop for Uncut<'_> {
    fn drop(&mut self) {
        // SAFETY: attached; null, or a reference of ours.
        unsafe { ffi::Py_XDECREF(self.object) };
    }
}

/// A descriptor that a connection reads from is not for others.
fn check_no_transport(owner: &Bound<'_, EventLoop>, fd: RawFd) -> PyResult<()> {
    let py = owner.py();
    let transports = owner.getattr(intern!(py, "_transports"))?.getattr(intern!(py, "data"))?;
    if transports.cast::<PyDict>()?.contains(fd)? {
        owner.call_method1(intern!(py, "_ensure_fd_no_transport"), (fd,))?;
    }
    Ok(())
}

#[pymethods]
impl SocketCall {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.owner)?;
        visit.call(&self.socket)?;
        visit.call(&self.arguments)?;
        self.progress.collected(|progress| visit.call(&progress.view)).unwrap_or(Ok(()))
    }
}
