//! What is behind `multiprocessing.connection.Connection`: messages through a file descriptor.
//!
//! Each method tries first, attached; only where it would have to wait it goes out through the door. Large messages are copied
//! detached from the beginning. The descriptor is the object's, as in the standard class: closing it while another thread uses it
//! is a defect of the program that does, which the kernel answers with an error as long as nobody else has got the number.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, Ordering};

use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::{PyBufferError, PyEOFError, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyMemoryView, PySlice, PyTuple};
use pyo3::{ffi, intern};
use tress_core::base::deadline::Deadline;
use tress_core::base::spin::Estimate;
use tress_core::base::waits::{self, What};
use tress_core::processes::frames::{Body, Broken, Length, Outgoing};
use tress_core::processes::letter::Whom;
use tress_core::processes::line::{Line, Look, Place, Side};
use tress_core::processes::wire::{Kind, Ready, Several, Wire};
use tress_core::processes::word::Slept;

use crate::attach;
use crate::base::argument::Timeout;
use crate::base::waits::what;
use crate::error::{OrRaise, os_error};

use super::pickling;

const CLOSED: RawFd = -1;

/// Up to so many bytes are copied into or out of the kernel without letting others have the interpreter.
const SMALL: usize = 64 * 1024;

/// What a connection is made of: a file descriptor, and what may be done with it.
#[pyclass(module = "tress._native", frozen, subclass, weakref)]
pub struct OnFd {
    fd: AtomicI32,
    kind: AtomicU8,
    readable: AtomicBool,
    writable: AtomicBool,
    /// Where messages go instead, once both ends of a manager's connection have agreed on it.
    line: OnceLock<Line>,
    /// How long answers take.
    estimate: Estimate,
}

/// A call on a connection: what it is called in `tress.waits()`, and what it waits for.
#[derive(Clone, Copy)]
struct Call<'a> {
    what: What,
    ready: Ready,
    /// Whether to look for a moment before sleeping, and for how long.
    estimate: Option<&'a Estimate>,
}

/// Runs `attempt` until it does more than find that it would wait.
fn persist<T: Send>(
    py: Python<'_>,
    wire: Wire<'_>,
    call: Call<'_>,
    attached_first: bool,
    mut attempt: impl FnMut(&mut Wire<'_>) -> Result<T, Broken> + Send,
) -> PyResult<Result<T, Broken>> {
    let mut wire = wire;
    let mut just_looked = attached_first && wire.never_waits();
    if just_looked {
        match attempt(&mut wire) {
            Err(broken) if broken.is_for_now() => {}
            ended => return Ok(ended),
        }
    }
    let mut estimate = call.estimate;
    let mut asked = false;
    let mut entry = None;
    let ended = attach::wait_shared(py, None, |until| {
        let mut ended = None;
        let mut done = || match attempt(&mut wire) {
            Err(broken) if broken.is_for_now() => false,
            end => {
                ended = Some(end);
                true
            }
        };
        let nothing_yet = std::mem::replace(&mut just_looked, false) || !done();
        if let (true, Some(estimate)) = (nothing_yet, estimate.take()) {
            estimate.until_later(done);
        }
        if let Some(ended) = ended {
            return Ok(ended);
        }
        // Its user has said that nobody is to wait.
        if !std::mem::replace(&mut asked, true) && wire.is_nonblocking() {
            return Ok(Err(Broken::Io(io::Error::from_raw_os_error(libc::EAGAIN))));
        }
        entry.get_or_insert_with(|| waits::enter(call.what, None));
        match wire.wait(call.ready, until) {
            Ok(slept) => Err(slept),
            Err(error) => Ok(Err(Broken::Io(error))),
        }
    })?;
    // Without a deadline it ends in no other way.
    ended.ok_or_else(|| PyOSError::new_err("a wait without an end has ended"))
}

impl OnFd {
    fn wire(&self) -> PyResult<Wire<'_>> {
        let fd = self.fd.load(Ordering::Relaxed);
        if fd == CLOSED {
            return Err(PyOSError::new_err("handle is closed"));
        }
        let kind = match self.kind.load(Ordering::Relaxed) {
            0 => Kind::Socket,
            1 => Kind::Pipe,
            _ => Kind::Other,
        };
        Ok(Wire::new(borrow(fd), kind))
    }

    fn to_read(&self) -> PyResult<Wire<'_>> {
        let wire = self.wire()?;
        if self.readable.load(Ordering::Relaxed) {
            Ok(wire)
        } else {
            Err(PyOSError::new_err("connection is write-only"))
        }
    }

    fn to_write(&self) -> PyResult<Wire<'_>> {
        let wire = self.wire()?;
        if self.writable.load(Ordering::Relaxed) {
            Ok(wire)
        } else {
            Err(PyOSError::new_err("connection is read-only"))
        }
    }

    /// What becomes of a connection on which a message cannot be read.
    fn refuse(slf: &Bound<'_, Self>, broken: Broken) -> PyErr {
        match broken {
            Broken::Ended => PyEOFError::new_err(()),
            Broken::Torn => PyOSError::new_err("got end of file during message"),
            Broken::BadLength => Self::refuse_length(slf),
            Broken::Io(error) => os_error(slf.py(), &error),
        }
    }

    /// A message that is not read leaves a connection from which nothing more can be read.
    fn refuse_length(slf: &Bound<'_, Self>) -> PyErr {
        match slf.call_method0(intern!(slf.py(), "_bad_message_length")) {
            Ok(_) => PyOSError::new_err("bad message length"),
            Err(error) => error,
        }
    }

    fn length(slf: &Bound<'_, Self>, wire: Wire<'_>, operation: &'static str) -> PyResult<usize> {
        let mut length = Length::new();
        let call =
            Call { what: what(operation, slf), ready: Ready::Read, estimate: Some(&slf.get().estimate) };
        persist(slf.py(), wire, call, true, |wire| length.read(wire))?
            .map_err(|broken| Self::refuse(slf, broken))
    }

    fn body(
        slf: &Bound<'_, Self>,
        wire: Wire<'_>,
        operation: &'static str,
        into: &mut [MaybeUninit<u8>],
    ) -> PyResult<()> {
        let mut body = Body::new();
        let call = Call { what: what(operation, slf), ready: Ready::Read, estimate: None };
        persist(slf.py(), wire, call, into.len() <= SMALL, |wire| body.read(wire, into))?
            .map_err(|broken| Self::refuse(slf, broken))
    }

    /// One message, of at most `most` bytes.
    fn receive<'py>(
        slf: &Bound<'py, Self>,
        operation: &'static str,
        most: Option<usize>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let wire = slf.get().to_read()?;
        let len = Self::length(slf, wire, operation)?;
        if most.is_some_and(|most| len > most) {
            return Err(Self::refuse_length(slf));
        }
        Self::rest(slf, wire, operation, len)
    }

    /// The `len` bytes of a message whose length has been read.
    fn rest<'py>(
        slf: &Bound<'py, Self>,
        wire: Wire<'_>,
        operation: &'static str,
        len: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let py = slf.py();
        // The memory is reserved by this and used as the bytes come: a length alone costs nothing.
        let unwritten = match Unwritten::new(py, len) {
            Ok(unwritten) => unwritten,
            Err(no_memory) => {
                Self::refuse_length(slf);
                return Err(no_memory);
            }
        };
        unwritten.written(|into| Self::body(slf, wire, operation, into))
    }

    /// Sends through shared memory.
    fn post(slf: &Bound<'_, Self>, line: &Line, pickle: &Bound<'_, PyAny>) -> PyResult<()> {
        let buffer = PyUntypedBuffer::get(pickle)?;
        let message = held_bytes(&buffer);
        let (whom, place) = line
            .post(message)
            .ok_or_else(|| PyOSError::new_err("the message before has not been received"))?;
        match whom {
            Whom::Nobody => {}
            Whom::Sleeper => line.wake(),
            Whom::Watcher => Self::transmit(slf, "Connection.send", &[])?,
        }
        if place == Place::Stream { Self::transmit(slf, "Connection.send", message) } else { Ok(()) }
    }

    /// Receives through shared memory.
    fn take<'py>(slf: &Bound<'py, Self>, line: &Line) -> PyResult<Bound<'py, PyBytes>> {
        const OPERATION: &str = "Connection.recv";
        let py = slf.py();
        let wire = slf.get().to_read()?;
        if !line.is_there() && Self::watch(slf, line, wire)? {
            // What announces the message says nothing.
            let len = Self::length(slf, wire, OPERATION)?;
            if len != 0 || !line.is_there() {
                return Err(Self::refuse_length(slf));
            }
        }
        match line.place_of_message() {
            Some(Place::Here(len)) => Unwritten::new(py, len)?.written(|into| {
                line.take(into);
                Ok(())
            }),
            Some(Place::Stream) => {
                let message = Self::receive(slf, OPERATION, None)?;
                line.taken();
                Ok(message)
            }
            None => Err(Self::refuse_length(slf)),
        }
    }

    /// Waits for a message on the line; true if there is something in the stream first.
    fn watch(slf: &Bound<'_, Self>, line: &Line, wire: Wire<'_>) -> PyResult<bool> {
        let what = what("Connection.recv", slf);
        let mut estimate = Some(&slf.get().estimate);
        let mut watches = false;
        let mut entry = None;
        let ended = attach::wait_shared(slf.py(), None, |until| {
            if estimate.take().is_some_and(|estimate| estimate.until(|| line.is_there())) {
                return Ok(Ok(false));
            }
            entry.get_or_insert_with(|| waits::enter(what, None));
            if !watches {
                match line.look(until) {
                    Look::There => return Ok(Ok(false)),
                    Look::Watch => watches = true,
                    Look::Not(slept) => return Err(slept),
                }
            }
            match wire.wait(Ready::Read, until) {
                Ok(Slept::Woken) => Ok(Ok(true)),
                Ok(slept) => Err(slept),
                Err(error) => Ok(Err(error)),
            }
        })?;
        let ended = ended.ok_or_else(|| PyOSError::new_err("a wait without an end has ended"))?;
        ended.map_err(|error| os_error(slf.py(), &error))
    }

    fn transmit(slf: &Bound<'_, Self>, operation: &'static str, message: &[u8]) -> PyResult<()> {
        let py = slf.py();
        let wire = slf.get().to_write()?;
        let mut outgoing = Outgoing::new(message);
        let call = Call { what: what(operation, slf), ready: Ready::Write, estimate: None };
        persist(py, wire, call, message.len() <= SMALL, |wire| {
            outgoing.write(|parts| wire.write(parts)).map_err(Broken::Io)
        })?
        .map_err(|broken| Self::refuse(slf, broken))
    }

    fn transmit_part(
        slf: &Bound<'_, Self>,
        operation: &'static str,
        message: &Bound<'_, PyAny>,
        offset: isize,
        size: Option<isize>,
    ) -> PyResult<()> {
        if let Ok(bytes) = message.cast_exact::<PyBytes>() {
            let bytes = bytes.as_bytes();
            return Self::transmit(slf, operation, part(bytes, offset, size)?);
        }
        let buffer = PyUntypedBuffer::get(message)?;
        if !buffer.is_c_contiguous() {
            return Err(PyBufferError::new_err("memoryview: underlying buffer is not C-contiguous"));
        }
        Self::transmit(slf, operation, part(held_bytes(&buffer), offset, size)?)
    }
}

/// A bytes object that nobody has seen, and nobody has written.
struct Unwritten<'py> {
    bytes: Bound<'py, PyBytes>,
    len: usize,
}

impl<'py> Unwritten<'py> {
    fn new(py: Python<'py>, len: usize) -> PyResult<Self> {
        // SAFETY: attached; the length is not negative, as no message is longer than an object may be; the result is a new
        // reference to a bytes object, or null with an exception set.
        let bytes = unsafe {
            let made = ffi::PyBytes_FromStringAndSize(std::ptr::null(), len as ffi::Py_ssize_t);
            Bound::from_owned_ptr_or_err(py, made)?.cast_into_unchecked()
        };
        Ok(Self { bytes, len })
    }

    /// The object, once `write` has written all of it.
    fn written(
        self,
        write: impl FnOnce(&mut [MaybeUninit<u8>]) -> PyResult<()>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        // An empty one is shared, and there is nothing to write.
        if self.len != 0 {
            // SAFETY:
            // - a bytes object has so many bytes there, and stays where it is;
            // - it was made just now, for this, and nobody else knows it until it is returned, all of it written. (One of a single
            //   byte is shared only once it is made with that byte.)
            let into = unsafe {
                let start = ffi::PyBytes_AsString(self.bytes.as_ptr()).cast::<MaybeUninit<u8>>();
                std::slice::from_raw_parts_mut(start, self.len)
            };
            write(into)?;
        }
        Ok(self.bytes)
    }
}

/// The descriptor for a call.
fn borrow<'a>(fd: RawFd) -> BorrowedFd<'a> {
    // SAFETY:
    // - it is not -1: callers have checked;
    // - it is open as long as its owner, the object that the call is on, does not close it meanwhile. A program that does that
    //   from another thread is served by the kernel as it would be by the standard class: nothing here relies on what is behind.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// The bytes of a contiguous buffer.
fn held_bytes(buffer: &PyUntypedBuffer) -> &[u8] {
    if buffer.len_bytes() == 0 {
        return &[];
    }
    // SAFETY:
    // - the buffer is held, so its memory stays where it is, and contiguous, so it is so many bytes;
    // - another thread of Python's may write into it while the kernel copies: what is sent is then of before or after, byte by
    //   byte, as for anybody who writes from a buffer. Nothing here looks into it.
    unsafe { std::slice::from_raw_parts(buffer.buf_ptr().cast(), buffer.len_bytes()) }
}

fn part(bytes: &[u8], offset: isize, size: Option<isize>) -> PyResult<&[u8]> {
    let offset = usize::try_from(offset).map_err(|_| PyValueError::new_err("offset is negative"))?;
    let rest = bytes.get(offset..).ok_or_else(|| PyValueError::new_err("buffer length < offset"))?;
    let Some(size) = size else { return Ok(rest) };
    let size = usize::try_from(size).map_err(|_| PyValueError::new_err("size is negative"))?;
    rest.get(..size).ok_or_else(|| PyValueError::new_err("buffer length < offset + size"))
}

#[pymethods]
impl OnFd {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self {
            fd: AtomicI32::new(CLOSED),
            kind: AtomicU8::new(2),
            readable: AtomicBool::new(false),
            writable: AtomicBool::new(false),
            line: OnceLock::new(),
            estimate: Estimate::default(),
        }
    }

    /// Makes shared memory for a conversation in which this side asks, and returns its file descriptor, to be passed to the other
    /// side and then closed. `_lay` begins to use it.
    #[staticmethod]
    fn _new_line() -> PyResult<RawFd> {
        Ok(Line::create().or_raise()?.fd().try_clone_to_owned().or_raise()?.into_raw_fd())
    }

    /// From here on `send` and `recv` go through the memory behind `fd`, which this closes; `asks` is whether this side asks and
    /// the other answers, message by message. Both sides do so between the same two messages.
    fn _lay(&self, fd: RawFd, asks: bool) -> PyResult<()> {
        if fd < 0 {
            return Err(PyValueError::new_err("invalid handle"));
        }
        // SAFETY: the caller gives it up.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let line = Line::open(fd, if asks { Side::Asking } else { Side::Answering }).or_raise()?;
        self.line.set(line).map_err(|_| PyValueError::new_err("there is a line already"))
    }

    /// The file descriptor; None when it is closed.
    #[getter(_handle)]
    fn get_handle(&self) -> Option<RawFd> {
        Some(self.fd.load(Ordering::Relaxed)).filter(|fd| *fd != CLOSED)
    }

    #[setter(_handle)]
    fn set_handle(&self, fd: Option<RawFd>) -> PyResult<()> {
        if fd.is_some_and(|fd| fd < 0) {
            return Err(PyValueError::new_err("invalid handle"));
        }
        if let Some(fd) = fd {
            let kind = match Kind::of(borrow(fd)) {
                Kind::Socket => 0,
                Kind::Pipe => 1,
                Kind::Other => 2,
            };
            self.kind.store(kind, Ordering::Relaxed);
        }
        self.fd.store(fd.unwrap_or(CLOSED), Ordering::Relaxed);
        Ok(())
    }

    #[getter(_readable)]
    fn get_readable(&self) -> bool {
        self.readable.load(Ordering::Relaxed)
    }

    #[setter(_readable)]
    fn set_readable(&self, readable: &Bound<'_, PyAny>) -> PyResult<()> {
        self.readable.store(readable.is_truthy()?, Ordering::Relaxed);
        Ok(())
    }

    #[getter(_writable)]
    fn get_writable(&self) -> bool {
        self.writable.load(Ordering::Relaxed)
    }

    #[setter(_writable)]
    fn set_writable(&self, writable: &Bound<'_, PyAny>) -> PyResult<()> {
        self.writable.store(writable.is_truthy()?, Ordering::Relaxed);
        Ok(())
    }

    /// Sends an object that can be pickled.
    fn send(slf: &Bound<'_, Self>, obj: &Bound<'_, PyAny>) -> PyResult<()> {
        slf.get().to_write()?;
        let pickle = pickling::dumps(obj)?;
        if let Some(line) = slf.get().line.get() {
            return Self::post(slf, line, &pickle);
        }
        Self::transmit_part(slf, "Connection.send", &pickle, 0, None)
    }

    /// Waits for an object, and returns it. EOFError when there is nothing left and the other end is closed.
    fn recv<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let pickle = match slf.get().line.get() {
            Some(line) => Self::take(slf, line)?,
            None => Self::receive(slf, "Connection.recv", None)?,
        };
        pickling::loads(pickle.as_any())
    }

    /// Sends the bytes of `buf` from `offset` on, `size` of them or all, as one message.
    #[pyo3(signature = (buf, offset=0, size=None))]
    fn send_bytes(
        slf: &Bound<'_, Self>,
        buf: &Bound<'_, PyAny>,
        offset: isize,
        size: Option<isize>,
    ) -> PyResult<()> {
        slf.get().to_write()?;
        Self::transmit_part(slf, "Connection.send_bytes", buf, offset, size)
    }

    /// Sends the bytes of `buf` as one message.
    fn _send_bytes(slf: &Bound<'_, Self>, buf: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::transmit_part(slf, "Connection.send_bytes", buf, 0, None)
    }

    /// Waits for a message, and returns its bytes. OSError for one of more than `maxlength` bytes, after which nothing can be read.
    #[pyo3(signature = (maxlength=None))]
    fn recv_bytes<'py>(
        slf: &Bound<'py, Self>,
        maxlength: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        slf.get().to_read()?;
        let most = match maxlength {
            Some(most) if most.lt(0)? => return Err(PyValueError::new_err("negative maxlength")),
            // More than any message has.
            Some(most) => Some(most.extract().unwrap_or(usize::MAX)),
            None => None,
        };
        Self::receive(slf, "Connection.recv_bytes", most)
    }

    /// Waits for a message, and writes its bytes into `buf` from `offset` on; how many. BufferTooShort, with the message, if it
    /// does not fit.
    #[pyo3(signature = (buf, offset=0))]
    fn recv_bytes_into(slf: &Bound<'_, Self>, buf: &Bound<'_, PyAny>, offset: isize) -> PyResult<usize> {
        let py = slf.py();
        let wire = slf.get().to_read()?;
        let view = PyMemoryView::from(buf)?;
        let buffer = PyUntypedBuffer::get(&view)?;
        let item = buffer.item_size();
        let room = item * view.len()?;
        let offset = usize::try_from(offset).map_err(|_| PyValueError::new_err("negative offset"))?;
        if offset > room {
            return Err(PyValueError::new_err("offset too large"));
        }
        let is_plain =
            item == 1 && buffer.dimensions() == 1 && buffer.is_c_contiguous() && !buffer.readonly();
        if is_plain {
            let len = Self::length(slf, wire, "Connection.recv_bytes_into")?;
            if len <= room - offset {
                if len != 0 {
                    // SAFETY:
                    // - the buffer is held, writable, and so many bytes in a row, `offset + len` of which there are;
                    // - another thread of Python's may look there while the kernel writes, as for anybody who reads into a
                    //   buffer. Nothing here reads it.
                    let into = unsafe {
                        let start = buffer.buf_ptr().cast::<MaybeUninit<u8>>().add(offset);
                        std::slice::from_raw_parts_mut(start, len)
                    };
                    Self::body(slf, wire, "Connection.recv_bytes_into", into)?;
                }
                return Ok(len);
            }
            let message = Self::rest(slf, wire, "Connection.recv_bytes_into", len)?;
            return Err(too_short(py, message));
        }
        let message = Self::receive(slf, "Connection.recv_bytes_into", None)?;
        let len = message.len()?;
        if room < offset + len {
            return Err(too_short(py, message));
        }
        // As whole items, as the standard class does.
        let place = PySlice::new(py, (offset / item) as isize, ((offset + len) / item) as isize, 1);
        PyModule::import(py, "io")?
            .getattr("BytesIO")?
            .call1((message,))?
            .call_method1("readinto", (view.get_item(place)?,))?;
        Ok(len)
    }

    /// Whether there is something to read, after waiting for it for at most `timeout` seconds, or for ever with None.
    #[pyo3(signature = (timeout=Patience(Timeout::Now)), text_signature = "($self, timeout=0.0)")]
    fn poll(slf: &Bound<'_, Self>, timeout: Patience) -> PyResult<bool> {
        slf.get().to_read()?;
        Self::_poll(slf, timeout)
    }

    /// As `poll`, whether or not the connection is one to read from.
    fn _poll(slf: &Bound<'_, Self>, timeout: Patience) -> PyResult<bool> {
        slf.get().wire()?;
        let fds = [slf.get().fd.load(Ordering::Relaxed)];
        let ready = ready_within(slf.py(), &fds, timeout.0, what("Connection.poll", slf))?;
        Ok(!ready.is_empty())
    }
}

/// How long `poll` waits.
struct Patience(Timeout);

impl<'a, 'py> FromPyObject<'a, 'py> for Patience {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        Timeout::optional(Some(&object)).map(Self)
    }
}

fn too_short(py: Python<'_>, message: Bound<'_, PyBytes>) -> PyErr {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    match CLASS.import(py, "multiprocessing", "BufferTooShort").and_then(|class| class.call1((message,))) {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}

/// Which of `fds` are ready to be read, waiting until one is.
fn ready_within(py: Python<'_>, fds: &[RawFd], timeout: Timeout, what: What) -> PyResult<Vec<usize>> {
    let mut several = Several::new(fds.iter().map(|fd| borrow(*fd)));
    let now = several.wait(Some(Deadline::at_ns(0))).map_err(|error| os_error(py, &error))?;
    if now != Slept::Woken && timeout != Timeout::Now {
        let deadline = timeout.deadline();
        let _entry = waits::enter(what, deadline);
        let ended = attach::wait_shared(py, deadline, |until| match several.wait(until) {
            Ok(Slept::Woken) => Ok(Ok(())),
            Ok(slept) => Err(slept),
            Err(error) => Ok(Err(error)),
        })?;
        ended.transpose().map_err(|error| os_error(py, &error))?;
    }
    Ok(several.ready())
}

/// The places in `fds` of those that are ready to be read, waiting until one is or `timeout` seconds have passed.
#[pyfunction]
#[pyo3(signature = (fds, timeout=None))]
pub fn wait_readable(
    py: Python<'_>,
    fds: Vec<RawFd>,
    timeout: Option<&Bound<'_, PyAny>>,
) -> PyResult<Vec<usize>> {
    if let Some(fd) = fds.iter().find(|fd| **fd < 0) {
        return Err(PyValueError::new_err(format!("Invalid file descriptor: {fd}")));
    }
    ready_within(py, &fds, Timeout::optional(timeout)?, What { operation: "connection.wait", object: 0 })
}
