//! The interpreter's `ssl`, asked without its Python layer: records of TLS, and the memory that they pass through.
//!
//! What is asked is asked of exactly the classes of `_ssl`, which read or fill the memory that they are given and keep nothing of it. So
//! they are lent memory that is no object's.

use std::os::raw::c_int;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyType};
use pyo3::{ffi, intern};

use crate::base::calls;

use super::buffer::{Access, Buffer};

unsafe extern "C" {
    /// Of the interpreter's public functions the one that PyO3 has no declaration of.
    fn _PyBytes_Resize(bytes: *mut *mut ffi::PyObject, size: ffi::Py_ssize_t) -> c_int;
}

/// The classes of `ssl`, and the errors that say that OpenSSL needs more to go on.
struct Ssl {
    object: Py<PyType>,
    session: Py<PyType>,
    memory: Py<PyType>,
    again: Py<PyAny>,
}

impl Ssl {
    fn get(py: Python<'_>) -> PyResult<&Self> {
        static SSL: PyOnceLock<Ssl> = PyOnceLock::new();
        SSL.get_or_try_init(py, || {
            let class = |module: &str, name: &str| -> PyResult<Py<PyType>> {
                Ok(py.import(module)?.getattr(name)?.cast_into::<PyType>()?.unbind())
            };
            Ok(Self {
                object: class("ssl", "SSLObject")?,
                session: class("_ssl", "_SSLSocket")?,
                memory: class("_ssl", "MemoryBIO")?,
                again: py.import("asyncio.sslproto")?.getattr("SSLAgainErrors")?.unbind(),
            })
        })
    }
}

fn is_exactly(object: &Bound<'_, PyAny>, class: &Py<PyType>) -> bool {
    object.get_type().is(class.bind(object.py()))
}

/// Memory, lent to one call as an object.
struct Lent<'py>(Bound<'py, PyAny>);

impl<'py> Lent<'py> {
    /// # Safety
    /// So many bytes from there can be read, or written if that is what they are lent for, until this is dropped.
    unsafe fn new(py: Python<'py>, start: *mut u8, len: usize, access: Access) -> PyResult<Self> {
        let flags: c_int = if access == Access::Write { ffi::PyBUF_WRITE } else { ffi::PyBUF_READ };
        let len = isize::try_from(len)?;
        // SAFETY: by the caller's promise; the result is a new reference, or null with an exception set.
        unsafe {
            let view = ffi::PyMemoryView_FromMemory(start.cast(), len, flags);
            Bound::from_owned_ptr_or_err(py, view).map(Self)
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        // Another thread may have found it, by the garbage collector's lists, while OpenSSL worked without the interpreter lock.
        // SAFETY: a live object; attached.
        if unsafe { ffi::Py_REFCNT(self.0.as_ptr()) } > 1 {
            let _ = self.0.call_method0(intern!(self.0.py(), "release"));
        }
    }
}

/// An `ssl.MemoryBIO`, or what stands in the place of one.
#[derive(Default)]
pub struct Memory {
    object: Option<Py<PyAny>>,
    is_known: bool,
}

impl Memory {
    /// # Errors
    /// What the import of `ssl` raises.
    pub fn of(object: Option<Bound<'_, PyAny>>) -> PyResult<Self> {
        let Some(object) = object else { return Ok(Self::default()) };
        let is_known = is_exactly(&object, &Ssl::get(object.py())?.memory);
        Ok(Self { object: Some(object.unbind()), is_known })
    }

    pub fn clone_ref(&self, py: Python<'_>) -> Self {
        Self { object: self.object.as_ref().map(|object| object.clone_ref(py)), is_known: self.is_known }
    }

    pub fn object(&self) -> &Option<Py<PyAny>> {
        &self.object
    }

    /// Whether it is exactly of that class.
    pub fn is_known(&self) -> bool {
        self.is_known
    }

    fn bind<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        let object = self.object.as_ref().map(|object| object.clone_ref(py));
        object.unwrap_or_else(|| py.None()).into_bound(py)
    }

    /// How many bytes are in it.
    ///
    /// # Errors
    /// AttributeError for what is no such object.
    pub fn pending(&self, py: Python<'_>) -> PyResult<usize> {
        self.bind(py).getattr(intern!(py, "pending"))?.extract()
    }

    /// All that is in it, which it no longer has then.
    ///
    /// # Errors
    /// MemoryError.
    pub fn read<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        calls::method(&self.bind(py), intern!(py, "read"), None)
    }

    /// Puts bytes into one that is known.
    ///
    /// # Errors
    /// MemoryError.
    pub fn write(&self, py: Python<'_>, bytes: &[u8]) -> PyResult<()> {
        assert!(self.is_known, "memory is lent to the interpreter's own classes only");
        // SAFETY: the bytes are borrowed for longer than that; they are lent to be read.
        let lent = unsafe { Lent::new(py, bytes.as_ptr().cast_mut(), bytes.len(), Access::Read)? };
        calls::method(&self.bind(py), intern!(py, "write"), Some(lent.0.as_borrowed())).map(drop)
    }
}

/// The data of a record is no longer.
pub const LONGEST_RECORD: usize = 1 << 14;

/// Why reading has stopped.
pub enum Stopped {
    /// There is no more room.
    Full,
    /// Nothing is left that could be read.
    Empty,
    /// As OpenSSL says, more has to come first.
    Again,
    /// The other side has ended.
    End,
    Failed(PyErr),
}

/// What the records of one connection go through: exactly a `_ssl._SSLSocket`.
pub struct Records(Py<PyAny>);

impl Records {
    /// What an `ssl.SSLObject` passes its calls on to; None for an object of another class, which may do more.
    ///
    /// # Errors
    /// What the import of `ssl` raises.
    pub fn of(object: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        let py = object.py();
        let ssl = Ssl::get(py)?;
        if !is_exactly(object, &ssl.object) {
            return Ok(None);
        }
        let session = object.getattr(intern!(py, "_sslobj"))?;
        Ok(is_exactly(&session, &ssl.session).then(|| Self(session.unbind())))
    }

    pub fn clone_ref(&self, py: Python<'_>) -> Self {
        Self(self.0.clone_ref(py))
    }

    pub fn object(&self) -> &Py<PyAny> {
        &self.0
    }

    /// Whether an error says that OpenSSL needs more to go on.
    ///
    /// # Errors
    /// What the import of `ssl` raises.
    pub fn is_again(py: Python<'_>, error: &PyErr) -> PyResult<bool> {
        let Ok(is_again) = error.matches(py, Ssl::get(py)?.again.bind(py));
        Ok(is_again)
    }

    /// How many bytes of a record that has been decrypted are left.
    ///
    /// # Errors
    /// None that are known.
    pub fn pending(&self, py: Python<'_>) -> PyResult<usize> {
        calls::method(self.0.bind(py), intern!(py, "pending"), None)?.extract()
    }

    /// Reads all that is in `incoming`; None where that makes no data. `size` is how much room it needs at most, if that is known, else 0.
    ///
    /// OpenSSL is asked only as long as there is something: its error that there is nothing costs more than a short record does.
    ///
    /// # Errors
    /// MemoryError.
    pub fn read<'py>(
        &self,
        py: Python<'py>,
        incoming: &Memory,
        mut size: usize,
    ) -> PyResult<(Option<Bound<'py, PyBytes>>, Stopped)> {
        let mut data: Option<Bound<'py, PyBytes>> = None;
        loop {
            if size == 0 {
                size = incoming.pending(py)?; // encrypted, the data is longer
            }
            if size == 0 {
                size = self.pending(py)?;
            }
            if size == 0 {
                return Ok((data, Stopped::Empty));
            }
            let (piece, stopped) = self.read_piece(py, incoming, size)?;
            data = match (data, piece) {
                (Some(first), Some(second)) => Some(joined(&first, &second)?),
                (first, second) => first.or(second),
            };
            if !matches!(stopped, Stopped::Full) {
                return Ok((data, stopped));
            }
            size = 0;
        }
    }

    /// Reads into one object, which is made large enough for `size` bytes and then cut.
    fn read_piece<'py>(
        &self,
        py: Python<'py>,
        incoming: &Memory,
        size: usize,
    ) -> PyResult<(Option<Bound<'py, PyBytes>>, Stopped)> {
        // SAFETY:
        // - attached; the result is a new reference to an object of so many bytes, or null with an exception set;
        // - nobody else has a reference to it, so that the bytes may be written and the object be cut. It is cut to what was written.
        unsafe {
            let made = ffi::PyBytes_FromStringAndSize(std::ptr::null(), isize::try_from(size)?);
            let made = Bound::from_owned_ptr_or_err(py, made)?;
            let start = ffi::PyBytes_AsString(made.as_ptr()).cast::<u8>();
            let (count, stopped) = self.read_to(py, incoming, start, size)?;
            if count == 0 {
                return Ok((None, stopped));
            }
            let mut made = made.into_ptr();
            if count < size && _PyBytes_Resize(&raw mut made, isize::try_from(count)?) != 0 {
                return Err(PyErr::fetch(py));
            }
            Ok((Some(Bound::from_owned_ptr(py, made).cast_into_unchecked()), stopped))
        }
    }

    /// Reads as much as there is and finds room; returns how much that is.
    ///
    /// # Errors
    /// MemoryError.
    pub fn read_into(
        &self,
        py: Python<'_>,
        incoming: &Memory,
        room: &mut [u8],
    ) -> PyResult<(usize, Stopped)> {
        // SAFETY: so many bytes, borrowed to be written to for longer than the call.
        unsafe { self.read_to(py, incoming, room.as_mut_ptr(), room.len()) }
    }

    /// # Safety
    /// So many bytes from `start` may be written to.
    unsafe fn read_to(
        &self,
        py: Python<'_>,
        incoming: &Memory,
        start: *mut u8,
        size: usize,
    ) -> PyResult<(usize, Stopped)> {
        let mut count = 0;
        loop {
            let left = size - count;
            // SAFETY: a part of the memory that the caller lets be written to.
            let lent = unsafe { Lent::new(py, start.add(count), left, Access::Write)? };
            let wanted = left.into_pyobject(py)?.into_any();
            match calls::method_with_two(self.0.bind(py), intern!(py, "read"), &wanted, &lent.0) {
                Ok(read) => match read.extract::<usize>()? {
                    0 => return Ok((count, Stopped::End)),
                    read => count += read,
                },
                Err(error) if Self::is_again(py, &error)? => return Ok((count, Stopped::Again)),
                Err(error) => return Ok((count, Stopped::Failed(error))),
            }
            if count == size {
                return Ok((count, Stopped::Full));
            }
            if incoming.pending(py)? == 0 {
                return Ok((count, Stopped::Empty));
            }
        }
    }

    /// Encrypts data, an object with memory; returns how much of it that was done with.
    ///
    /// OpenSSL takes one record at a time.
    pub fn write(&self, data: &Bound<'_, PyAny>) -> (usize, PyResult<()>) {
        let mut written = 0;
        let outcome = self.write_all(data, &mut written);
        (written, outcome)
    }

    fn write_all(&self, data: &Bound<'_, PyAny>, written: &mut usize) -> PyResult<()> {
        let py = data.py();
        let once = |data: &Bound<'_, PyAny>| -> PyResult<usize> {
            calls::method(self.0.bind(py), intern!(py, "write"), Some(data.as_borrowed()))?.extract()
        };
        *written = once(data)?;
        if *written == data.len()? {
            return Ok(());
        }
        let buffer = Buffer::of(data, Access::Read)?;
        while *written < buffer.len() {
            let rest = &buffer.bytes()[*written..];
            // SAFETY: the rest is borrowed from an object's memory for longer than that; it is lent to be read.
            let lent = unsafe { Lent::new(py, rest.as_ptr().cast_mut(), rest.len(), Access::Read)? };
            *written += once(&lent.0)?;
        }
        Ok(())
    }
}

fn joined<'py>(first: &Bound<'py, PyBytes>, second: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyBytes>> {
    // SAFETY: two live objects of bytes; attached. The result is a new reference to a third, or null with an exception set.
    unsafe {
        let made = ffi::PySequence_Concat(first.as_ptr(), second.as_ptr());
        Bound::from_owned_ptr_or_err(first.py(), made).map(|made| made.cast_into_unchecked())
    }
}
