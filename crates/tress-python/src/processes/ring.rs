//! What is behind the queues of `multiprocessing`: items in a ring of shared memory.
//!
//! An item is a pickle, or the content of a `bytes` object that is long enough to be worth it. Each method tries first, attached;
//! only where it would have to wait, or to copy much, it goes out through the door.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyBufferError, PyEOFError, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyTuple};
use pyo3::{ffi, intern};
use tress_core::base::deadline::Deadline;
use tress_core::base::waits;
use tress_core::processes::patience::Patience;
use tress_core::processes::ring as core;
use tress_core::processes::ring::{Getting, Item, Next};
use tress_core::processes::word::Slept;

use crate::attach;
use crate::base::argument::Timeout;
use crate::base::waits::what;

use super::pickling;
use super::slot::Slot;

/// What an item is.
const PICKLE: u8 = 0;
const BYTES: u8 = 1;

/// A `bytes` object from this length on is not pickled.
const LONG: usize = 64 << 10;

/// Up to so many bytes are copied without letting others have the interpreter.
const SMALL: usize = 256 << 10;

/// How long an item waits for other writers before it is left to the thread that feeds the ring.
const TURN_NS: u64 = 2_000_000;

/// A ring that processes put objects into and take them out of.
#[pyclass(module = "tress._native", frozen, weakref)]
pub struct SharedRing {
    ring: core::Ring,
    /// Nobody in this process waits for room any more.
    is_stopped: AtomicBool,
    /// The parent with whose end the waiting for items ends, 0 for none; and a file descriptor that is ready when it has ended.
    parent: AtomicI32,
    sentinel: AtomicI32,
}

/// An object on its way in: what it is, and its bytes.
struct Payload {
    tag: u8,
    buffer: PyBuffer<u8>,
}

impl Payload {
    fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let is_long = |bytes: &Bound<'_, PyBytes>| bytes.as_bytes().len() >= LONG;
        if object.cast_exact::<PyBytes>().is_ok_and(is_long) {
            return Self::new(BYTES, object);
        }
        Self::new(PICKLE, &pickling::dumps(object)?)
    }

    fn new(tag: u8, bytes: &Bound<'_, PyAny>) -> PyResult<Self> {
        let buffer = PyBuffer::get(bytes)?;
        if buffer.is_c_contiguous() {
            return Ok(Self { tag, buffer });
        }
        Err(PyBufferError::new_err("an item's bytes must be contiguous"))
    }

    fn bytes(&self) -> &[u8] {
        if self.buffer.len_bytes() == 0 {
            return &[];
        }
        // SAFETY: the buffer is held, and contiguous; it is a bytes object's or a new pickle's, which nobody changes.
        unsafe { std::slice::from_raw_parts(self.buffer.buf_ptr().cast(), self.buffer.len_bytes()) }
    }
}

fn own(fd: RawFd) -> PyResult<OwnedFd> {
    // SAFETY: a call that only looks its argument up among the open files.
    let own = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) };
    if own == -1 {
        return Err(io::Error::last_os_error().into());
    }
    // SAFETY: made just now, for this.
    Ok(unsafe { OwnedFd::from_raw_fd(own) })
}

/// Says that an item is lost, as process `pid` ended in the middle of it: to the queue, if there is one, and to the program.
fn tell(py: Python<'_>, queue: Option<&Bound<'_, PyAny>>, pid: Option<u32>) -> PyResult<()> {
    static TELL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    if let Some(queue) = queue {
        queue.call_method0(intern!(py, "_item_lost"))?;
    }
    TELL.import(py, "tress._owner_died", "tell_lost_item")?.call1((pid,)).map(|_| ())
}

fn malformed() -> PyErr {
    PyOSError::new_err("a malformed item in the queue: a process has written over its memory")
}

/// The memory of a new `bytes` object.
///
/// # Safety
/// Nobody else has seen the object yet, and the range is used only as long as it lives.
unsafe fn memory<'a>(bytes: &Bound<'_, PyBytes>) -> &'a mut [MaybeUninit<u8>] {
    // SAFETY: a bytes object has its bytes at one place, as many as its length; the rest is the caller's promise.
    unsafe {
        let start = ffi::PyBytes_AsString(bytes.as_ptr());
        std::slice::from_raw_parts_mut(start.cast(), ffi::PyBytes_Size(bytes.as_ptr()) as usize)
    }
}

impl SharedRing {
    fn made_of(ring: core::Ring) -> Self {
        Self {
            ring,
            is_stopped: AtomicBool::new(false),
            parent: AtomicI32::new(0),
            sentinel: AtomicI32::new(-1),
        }
    }

    fn has_lost_parent(&self) -> bool {
        let parent = self.parent.load(Ordering::Relaxed);
        if parent == 0 {
            return false;
        }
        let fd = self.sentinel.load(Ordering::Relaxed);
        let mut ready = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: the first has no preconditions, and the other gets one structure that outlives the call. It passes over a
        // negative descriptor.
        unsafe {
            libc::getppid() != parent
                || libc::poll(&raw mut ready, 1, 0) == 1 && ready.revents != libc::POLLNVAL
        }
    }

    /// What comes next; None when the deadline passes.
    fn await_next(
        slf: &Bound<'_, Self>,
        getting: &mut Getting<'_>,
        deadline: Option<Deadline>,
    ) -> PyResult<Option<Next>> {
        if let Some(next) = getting.try_next() {
            return Ok(Some(next));
        }
        if deadline.is_some_and(Deadline::has_passed) {
            return Ok(None);
        }
        let this = slf.get();
        let _entry = waits::enter(what("Queue.get", slf), deadline);
        let next = attach::wait_shared(slf.py(), deadline, |until| match getting.next(until) {
            Ok(next) => Ok(Some(next)),
            Err(_) if this.ring.positions().is_empty() && this.has_lost_parent() => Ok(None),
            Err(slept) => Err(slept),
        })?;
        match next {
            Some(None) => Err(PyEOFError::new_err(())),
            Some(next) => Ok(next),
            None => Ok(None),
        }
    }

    /// The item that is next, as a new object; None if it turns out to be lost.
    fn read<'py>(
        py: Python<'py>,
        getting: &mut Getting<'_>,
        item: Item,
        queue: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let len = ffi::Py_ssize_t::try_from(item.len).map_err(|_| malformed())?;
        // SAFETY: attached; the call returns a new object or sets an exception.
        let bytes = unsafe {
            let made = ffi::PyBytes_FromStringAndSize(std::ptr::null(), len);
            Bound::from_owned_ptr_or_err(py, made)?.cast_into_unchecked::<PyBytes>()
        };
        // SAFETY: the object is new, and this function's until it returns it.
        let into = unsafe { memory(&bytes) };
        let mut read = |until: Option<Deadline>| getting.read(into, until);
        let next = if item.len <= SMALL {
            // It is there as a whole, or it takes the other way from its second piece on.
            match read(Some(Deadline::after_ns(0))) {
                Ok(next) => Some(next),
                Err(_) => attach::wait_shared(py, None, read)?,
            }
        } else {
            attach::wait_shared(py, None, read)?
        };
        match next {
            Some(Next::Item(_)) if item.tag == BYTES => Ok(Some(PyTuple::new(py, [bytes])?.into_any())),
            Some(Next::Item(_)) => Ok(Some(bytes.into_any())),
            Some(Next::Lost(pid)) => {
                tell(py, queue, pid)?;
                Ok(None)
            }
            _ => Err(malformed()),
        }
    }

    /// Puts the payload in; false when the deadline passes, or the ring is stopped.
    fn put_waiting(slf: &Bound<'_, Self>, payload: &Payload, timeout: Timeout) -> PyResult<bool> {
        let this = slf.get();
        let deadline = timeout.deadline();
        let parts = [payload.bytes()];
        let mut putting = this.ring.put(payload.tag, &parts);
        let _entry = waits::enter(what("Queue.put", slf), deadline);
        let put = attach::wait_shared(slf.py(), deadline, |until| {
            if this.is_stopped.load(Ordering::Relaxed) {
                return Ok(false);
            }
            putting.attempt(until).map(|()| true)
        })?;
        Ok(put.unwrap_or(false))
    }

    /// Puts the payload in if that does not mean waiting for a reader: whether it could.
    fn put_soon(slf: &Bound<'_, Self>, payload: &Payload) -> PyResult<bool> {
        let this = slf.get();
        let parts = [payload.bytes()];
        let len = parts[0].len();
        if len <= SMALL && this.ring.try_put(payload.tag, &parts) {
            return Ok(true);
        }
        if !this.ring.is_open(len) {
            return Ok(false);
        }
        let deadline = Deadline::after_ns(TURN_NS);
        let put = attach::wait_shared(slf.py(), Some(deadline), |_| {
            if this.ring.try_put(payload.tag, &parts) {
                return Ok(true);
            }
            if deadline.has_passed() || !this.ring.is_open(len) {
                return Ok(false);
            }
            std::thread::yield_now();
            Err(Slept::Woken)
        })?;
        Ok(put.unwrap_or(false))
    }
}

#[pymethods]
impl SharedRing {
    /// A new one of `capacity` bytes, which all its processes share.
    #[new]
    #[pyo3(signature = (capacity=core::CAPACITY))]
    fn new(capacity: usize) -> PyResult<Self> {
        let ring = core::Ring::create(capacity).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput => PyValueError::new_err(error.to_string()),
            _ => error.into(),
        })?;
        Ok(Self::made_of(ring))
    }

    /// The ring of another process, which has described it by these. The file descriptors stay the caller's.
    #[staticmethod]
    fn open(slot: &Bound<'_, Slot>, fd: RawFd, capacity: usize, bell: RawFd) -> PyResult<Self> {
        Ok(Self::made_of(core::Ring::open(slot.get().get(), own(fd)?, capacity, own(bell)?)?))
    }

    /// Where its small parts are.
    #[getter]
    fn slot(&self) -> Slot {
        Slot::of(self.ring.slot())
    }

    /// The file descriptor of the memory of its items.
    #[getter]
    fn fd(&self) -> RawFd {
        self.ring.segment().fd().as_raw_fd()
    }

    /// The file descriptor that tells whether there is an item, once `watch()` has been called in some process.
    #[getter]
    fn bell(&self) -> RawFd {
        self.ring.bell().as_raw_fd()
    }

    /// How many bytes it has.
    #[getter]
    fn capacity(&self) -> usize {
        self.ring.segment().len()
    }

    /// How many bytes of items are in it.
    #[getter]
    fn used(&self) -> u64 {
        let positions = self.ring.positions();
        let head = positions.head();
        positions.tail().wrapping_sub(head).min(positions.capacity())
    }

    /// A file descriptor that is ready to be read as long as there is an item.
    fn watch(&self) -> RawFd {
        self.ring.watch().as_raw_fd()
    }

    /// Whether there is no item.
    fn is_empty(&self) -> bool {
        self.ring.positions().is_empty()
    }

    /// Waits until there is an item, for `timeout` seconds at most; whether there is.
    #[pyo3(signature = (timeout=None))]
    fn poll(slf: &Bound<'_, Self>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        let positions = slf.get().ring.positions();
        if !positions.is_empty() {
            return Ok(true);
        }
        let timeout = Timeout::optional(timeout)?;
        if timeout == Timeout::Now {
            return Ok(false);
        }
        let (deadline, mut patience) = (timeout.deadline(), Patience::new());
        let _entry = waits::enter(what("Queue.get", slf), deadline);
        let attempt = |until| positions.await_data(&mut patience, until);
        Ok(attach::wait_shared(slf.py(), deadline, attempt)?.is_some())
    }

    /// Puts `object` in if that does not mean waiting for a reader. None if it is in; else what `put()` takes.
    fn try_put<'py>(
        slf: &Bound<'py, Self>,
        object: &Bound<'py, PyAny>,
    ) -> PyResult<Option<(u8, Bound<'py, PyAny>)>> {
        let payload = Payload::of(object)?;
        if Self::put_soon(slf, &payload)? { Ok(None) } else { Self::dump(object, payload) }
    }

    /// What `put()` takes, of `object`.
    #[staticmethod]
    fn prepare<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<(u8, Bound<'py, PyAny>)>> {
        Self::dump(object, Payload::of(object)?)
    }

    /// Puts in what was prepared, waiting for readers to make room, for `timeout` seconds at most. False if that passed, or
    /// the ring was stopped in this process.
    #[pyo3(signature = (prepared, timeout=None))]
    fn put(
        slf: &Bound<'_, Self>,
        prepared: (u8, Bound<'_, PyAny>),
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let timeout = Timeout::optional(timeout)?;
        let payload = Payload::new(prepared.0, &prepared.1)?;
        if Self::put_soon(slf, &payload)? {
            return Ok(true);
        }
        if timeout == Timeout::Now { Ok(false) } else { Self::put_waiting(slf, &payload, timeout) }
    }

    /// Takes out an item, waiting for one for `timeout` seconds at most: a pickle, or a tuple with a `bytes` object. None if
    /// there is none. EOFError if there is none and `end_with_parent()` has said so. For an item that turns out to be lost,
    /// `queue._item_lost()` is called.
    #[pyo3(signature = (timeout=None, queue=None))]
    fn get<'py>(
        slf: &Bound<'py, Self>,
        timeout: Option<&Bound<'py, PyAny>>,
        queue: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let deadline = Timeout::optional(timeout)?.deadline();
        let mut getting = slf.get().ring.get();
        loop {
            match Self::await_next(slf, &mut getting, deadline)? {
                None => return Ok(None),
                Some(Next::Malformed) => return Err(malformed()),
                Some(Next::Lost(pid)) => tell(slf.py(), queue, pid)?,
                Some(Next::Item(item)) => {
                    if let Some(object) = Self::read(slf.py(), &mut getting, item, queue)? {
                        return Ok(Some(object));
                    }
                }
            }
        }
    }

    /// Nobody in this process waits for room any more, or will.
    fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    /// From now on a `get()` of this process ends when the process's parent has, and nothing is left to take. `sentinel` is a
    /// file descriptor that is ready to be read when that is so, for a parent that is not the kernel's; or -1.
    fn end_with_parent(&self, sentinel: RawFd) {
        self.sentinel.store(sentinel, Ordering::Relaxed);
        // SAFETY: it has no preconditions.
        self.parent.store(unsafe { libc::getppid() }, Ordering::Relaxed);
    }
}

impl SharedRing {
    /// The payload as Python keeps it.
    fn dump<'py>(object: &Bound<'py, PyAny>, payload: Payload) -> PyResult<Option<(u8, Bound<'py, PyAny>)>> {
        if payload.tag == BYTES {
            return Ok(Some((BYTES, object.clone())));
        }
        let bytes = PyBytes::new(object.py(), payload.bytes());
        Ok(Some((PICKLE, bytes.into_any())))
    }
}
