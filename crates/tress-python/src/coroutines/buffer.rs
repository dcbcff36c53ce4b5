//! The memory of an object, for a while.

use pyo3::ffi;
use pyo3::prelude::*;

/// What it is wanted for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

/// The bytes of an object, in a row.
pub struct Buffer(ffi::Py_buffer);

impl Buffer {
    /// # Errors
    /// TypeError for an object without, or with no such, memory; BufferError for one whose bytes are not in a row.
    pub fn of(object: &Bound<'_, PyAny>, access: Access) -> PyResult<Self> {
        let flags = if access == Access::Write { ffi::PyBUF_WRITABLE } else { ffi::PyBUF_SIMPLE };
        // SAFETY: the structure is filled in by the interpreter, which reads nothing of it; released in `drop`.
        unsafe {
            let mut view = std::mem::zeroed();
            if ffi::PyObject_GetBuffer(object.as_ptr(), &raw mut view, flags) != 0 {
                return Err(PyErr::fetch(object.py()));
            }
            Ok(Self(view))
        }
    }

    pub fn len(&self) -> usize {
        usize::try_from(self.0.len).unwrap_or(0)
    }

    pub fn bytes(&self) -> &[u8] {
        if self.len() == 0 {
            return &[];
        }
        // SAFETY: a simple buffer is so many bytes in a row, which stay where they are until it is released. Others may write to them,
        // but not while this thread holds the interpreter lock.
        unsafe { std::slice::from_raw_parts(self.0.buf.cast(), self.len()) }
    }

    /// Of one that was got to be written to.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        if self.len() == 0 || self.0.readonly != 0 {
            return &mut [];
        }
        // SAFETY: as above, and it may be written to.
        unsafe { std::slice::from_raw_parts_mut(self.0.buf.cast(), self.len()) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: it was got in `of`; this thread is attached, as buffers do not leave the functions that make them.
        unsafe { ffi::PyBuffer_Release(&raw mut self.0) };
    }
}
