//! What is behind the queues of `multiprocessing`: items in a ring of shared memory.
//!
//! An item is a pickle, or the content of a `bytes` object that is long enough to be worth it. Each method tries first, attached;
//! only where it would have to wait, or to copy much, it goes out through the door.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use pyo3::IntoPyObjectExt;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyBufferError, PyEOFError, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyTuple};
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
use crate::error::OrRaise;

use super::descriptor::duplicate;
use super::pickling;
use super::semlock::SemLock;
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
    /// Of which each item has a permit.
    semlock: PyOnceLock<Py<SemLock>>,
    /// Whether this process has put anything.
    has_put: AtomicBool,
}

/// An object on its way in: what it is, and its bytes.
struct Payload<'py> {
    tag: u8,
    bytes: Bytes<'py>,
}

enum Bytes<'py> {
    Object(Bound<'py, PyBytes>),
    /// Of another object, such as what a pickler has written into.
    Buffer(PyBuffer<u8>),
}

impl<'py> Payload<'py> {
    fn of(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        match object.cast_exact::<PyBytes>() {
            Ok(bytes) if bytes.as_bytes().len() >= LONG => Self::new(BYTES, object),
            _ => Self::new(PICKLE, &pickling::dumps(object)?),
        }
    }

    fn new(tag: u8, bytes: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = bytes.cast_exact::<PyBytes>() {
            return Ok(Self { tag, bytes: Bytes::Object(bytes.clone()) });
        }
        let buffer = PyBuffer::get(bytes)?;
        if buffer.is_c_contiguous() {
            return Ok(Self { tag, bytes: Bytes::Buffer(buffer) });
        }
        Err(PyBufferError::new_err("an item's bytes must be contiguous"))
    }

    fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Object(bytes) => bytes.as_bytes(),
            Bytes::Buffer(buffer) if buffer.len_bytes() == 0 => &[],
            // SAFETY: the buffer is held, and contiguous; it is a new pickle's, which nobody changes.
            Bytes::Buffer(buffer) => unsafe {
                std::slice::from_raw_parts(buffer.buf_ptr().cast(), buffer.len_bytes())
            },
        }
    }

    /// As `put()` takes it.
    fn into_prepared(self, py: Python<'py>) -> (u8, Bound<'py, PyBytes>) {
        match self.bytes {
            Bytes::Object(bytes) => (self.tag, bytes),
            Bytes::Buffer(_) => (self.tag, PyBytes::new(py, self.bytes())),
        }
    }
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
            semlock: PyOnceLock::new(),
            has_put: AtomicBool::new(false),
        }
    }

    /// Gives back the permit of an item that is not there any more.
    fn give_back(&self, py: Python<'_>) -> PyResult<()> {
        self.semlock.get(py).map_or(Ok(()), |semlock| semlock.get().release())
    }

    /// Says that an item is lost, as process `pid` ended in the middle of it: to the queue, if there is one, and to the program.
    fn tell(&self, py: Python<'_>, queue: Option<&Bound<'_, PyAny>>, pid: Option<u32>) -> PyResult<()> {
        static TELL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        if let Some(queue) = queue {
            self.give_back(py)?;
            queue.call_method0(intern!(py, "_item_lost"))?;
        }
        TELL.import(py, "tress._owner_died", "tell_lost_item")?.call1((pid,)).map(|_| ())
    }

    /// The next item: what it is, and its bytes. None when the deadline passes.
    fn next_item<'py>(
        slf: &Bound<'py, Self>,
        deadline: Option<Deadline>,
        queue: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<(u8, Bound<'py, PyBytes>)>> {
        let mut getting = slf.get().ring.get();
        loop {
            match Self::await_next(slf, &mut getting, deadline)? {
                None => return Ok(None),
                Some(Next::Malformed) => return Err(malformed()),
                Some(Next::Lost(pid)) => slf.get().tell(slf.py(), queue, pid)?,
                Some(Next::Item(item)) => {
                    if let Some(bytes) = Self::read(slf, &mut getting, item, queue)? {
                        return Ok(Some((item.tag, bytes)));
                    }
                }
            }
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
        slf: &Bound<'py, Self>,
        getting: &mut Getting<'_>,
        item: Item,
        queue: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let py = slf.py();
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
            Some(Next::Item(_)) => Ok(Some(bytes)),
            Some(Next::Lost(pid)) => {
                slf.get().tell(py, queue, pid)?;
                Ok(None)
            }
            _ => Err(malformed()),
        }
    }

    /// Puts the payload in; false when the deadline passes, or the ring is stopped.
    fn put_waiting(slf: &Bound<'_, Self>, payload: &Payload<'_>, timeout: Timeout) -> PyResult<bool> {
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
    fn put_soon(slf: &Bound<'_, Self>, payload: &Payload<'_>) -> PyResult<bool> {
        let this = slf.get();
        let (tag, parts) = (payload.tag, [payload.bytes()]);
        let len = parts[0].len();
        if len <= SMALL && this.ring.try_put(tag, &parts) {
            return Ok(true);
        }
        if !this.ring.is_open(len) {
            return Ok(false);
        }
        let deadline = Deadline::after_ns(TURN_NS);
        let put = attach::wait_shared(slf.py(), Some(deadline), |_| {
            if this.ring.try_put(tag, &parts) {
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
    #[pyo3(signature = (capacity=1048576))]
    fn new(capacity: usize) -> PyResult<Self> {
        match core::Ring::create(capacity) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput && error.raw_os_error().is_none() => {
                Err(PyValueError::new_err(error.to_string()))
            }
            made => Ok(Self::made_of(made.or_raise()?)),
        }
    }

    /// The ring of another process, which has described it by these. The file descriptors stay the caller's.
    #[staticmethod]
    fn open(slot: &Bound<'_, Slot>, fd: RawFd, capacity: usize, bell: RawFd) -> PyResult<Self> {
        Ok(Self::made_of(
            core::Ring::open(slot.get().get(), duplicate(fd)?, capacity, duplicate(bell)?).or_raise()?,
        ))
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

    /// Each item has a permit of `semlock`, which whoever takes it out by `take()` gives back. This process has put none so far.
    fn count_on(&self, semlock: Bound<'_, SemLock>) {
        self.has_put.store(false, Ordering::Relaxed);
        let _ = self.semlock.set(semlock.py(), semlock.unbind());
    }

    /// Whether this process has put anything since `count_on()`, or tried to.
    #[getter]
    fn has_put(&self) -> bool {
        self.has_put.load(Ordering::Relaxed)
    }

    /// Puts `object` in if that does not mean waiting for a reader. None if it is in; else what `put()` takes.
    fn try_put<'py>(
        slf: &Bound<'py, Self>,
        object: &Bound<'py, PyAny>,
    ) -> PyResult<Option<(u8, Bound<'py, PyBytes>)>> {
        slf.get().has_put.store(true, Ordering::Relaxed);
        let payload = Payload::of(object)?;
        let is_in = Self::put_soon(slf, &payload)?;
        Ok((!is_in).then(|| payload.into_prepared(slf.py())))
    }

    /// As `try_put()`, with a permit. False if there is none. An error gives it back.
    fn put_now<'py>(slf: &Bound<'py, Self>, object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let semlock = slf.get().semlock.get(py).map(Py::get);
        if semlock.is_some_and(|semlock| !semlock.take_now()) {
            return Ok(PyBool::new(py, false).to_owned().into_any());
        }
        match Self::try_put(slf, object) {
            Ok(left) => left.into_bound_py_any(py),
            Err(error) => {
                semlock.map_or(Ok(()), SemLock::release)?;
                Err(error)
            }
        }
    }

    /// What `put()` takes, of `object`.
    #[staticmethod]
    fn prepare<'py>(object: &Bound<'py, PyAny>) -> PyResult<(u8, Bound<'py, PyBytes>)> {
        Ok(Payload::of(object)?.into_prepared(object.py()))
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
    /// there is none. EOFError if there is none and `end_with_parent()` has said so.
    #[pyo3(signature = (timeout=None))]
    fn get<'py>(
        slf: &Bound<'py, Self>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let deadline = Timeout::optional(timeout)?.deadline();
        let item = Self::next_item(slf, deadline, None)?.map(|(tag, bytes)| match tag {
            BYTES => PyTuple::new(slf.py(), [bytes]).map(Bound::into_any),
            _ => Ok(bytes.into_any()),
        });
        item.transpose()
    }

    /// Takes out an item as `get()` does and returns its object, or `nothing` if there is none. Its permit is given back, as that of an
    /// item that turns out to be lost, for which `queue._item_lost()` is called.
    fn take<'py>(
        slf: &Bound<'py, Self>,
        timeout: Option<&Bound<'py, PyAny>>,
        queue: &Bound<'py, PyAny>,
        nothing: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let deadline = Timeout::optional(timeout)?.deadline();
        let Some((tag, bytes)) = Self::next_item(slf, deadline, Some(queue))? else { return Ok(nothing) };
        slf.get().give_back(slf.py())?;
        if tag == BYTES { Ok(bytes.into_any()) } else { pickling::loads(&bytes) }
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
