//! A pickle and the large buffers that go beside it (pickle protocol 5), as the bytes of one task or answer.
//!
//! Little-endian double words: the number of buffers, and if there are any the length of the pickle and of each buffer; then
//! the pickle; then each buffer, aligned.

use std::cell::Cell;
use std::ffi::c_int;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyBufferError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyMemoryView, PySlice, PyTuple};
use pyo3::{ffi, intern};
use tress_core::processes::arena::Block;
use tress_core::processes::pool::Payload;

/// What buffers are aligned to, as the blocks themselves are.
const ALIGN: usize = 64;
const PADDING: [u8; ALIGN] = [0; ALIGN];

/// A pickle and its buffers, on their way out.
pub struct Outgoing {
    header: Vec<u8>,
    pickle: Vec<PyBuffer<u8>>,
    buffers: Vec<PyBuffer<u8>>,
}

impl Outgoing {
    /// Of the pieces of a pickle, and the buffers that go beside it.
    ///
    /// # Errors
    /// TypeError or BufferError if these are no contiguous buffers.
    pub fn new(pickle: &Bound<'_, PyList>, buffers: Option<&Bound<'_, PyList>>) -> PyResult<Self> {
        let pickle: Vec<PyBuffer<u8>> =
            pickle.iter().map(|piece| bytes_of(&piece)).collect::<PyResult<_>>()?;
        let buffers = buffers.map_or(Ok(Vec::new()), |buffers| {
            buffers
                .iter()
                .map(|buffer| bytes_of(&buffer.call_method0(intern!(buffer.py(), "raw"))?))
                .collect()
        });
        let buffers: Vec<PyBuffer<u8>> = buffers?;
        let mut header = Vec::with_capacity(8);
        header.extend((buffers.len() as u64).to_le_bytes());
        if !buffers.is_empty() {
            let len: usize = pickle.iter().map(|piece| piece.len_bytes()).sum();
            header.extend((len as u64).to_le_bytes());
            for buffer in &buffers {
                header.extend((buffer.len_bytes() as u64).to_le_bytes());
            }
        }
        Ok(Self { header, pickle, buffers })
    }

    /// What to copy, piece after piece.
    pub fn parts(&self) -> Vec<&[u8]> {
        let mut parts: Vec<&[u8]> = vec![&self.header];
        parts.extend(self.pickle.iter().map(slice));
        let mut len = parts.iter().map(|part| part.len()).sum::<usize>();
        for buffer in &self.buffers {
            let padded = len.next_multiple_of(ALIGN);
            parts.push(&PADDING[..padded - len]);
            parts.push(slice(buffer));
            len = padded + buffer.len_bytes();
        }
        parts
    }
}

fn bytes_of(object: &Bound<'_, PyAny>) -> PyResult<PyBuffer<u8>> {
    let buffer = PyBuffer::get(object)?;
    if buffer.is_c_contiguous() { Ok(buffer) } else { Err(PyBufferError::new_err("not contiguous")) }
}

/// The bytes of a contiguous buffer.
fn slice(buffer: &PyBuffer<u8>) -> &[u8] {
    if buffer.len_bytes() == 0 {
        return &[];
    }
    // SAFETY:
    // - the buffer is held, so its memory stays where it is, and contiguous, so it is so many bytes;
    // - another thread of Python's may write into it while it is copied: the copy is then of what was there before or after,
    //   byte by byte, as for anybody who reads a buffer without a lock.
    unsafe { std::slice::from_raw_parts(buffer.buf_ptr().cast(), buffer.len_bytes()) }
}

/// A block of shared memory that was lent to this process. It goes back when the last view of it is dropped.
#[pyclass(module = "tress._native", frozen)]
pub struct SharedBlock {
    block: Block,
}

#[pymethods]
impl SharedBlock {
    fn __len__(&self) -> usize {
        self.block.len()
    }

    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let (start, len) = (slf.get().block.as_ptr(), slf.get().block.len());
        // SAFETY:
        // - the interpreter passes a view to be filled;
        // - the memory stays as long as the block, which the view's reference to `slf` keeps.
        let filled = unsafe {
            ffi::PyBuffer_FillInfo(view, slf.as_ptr(), start.cast(), len as ffi::Py_ssize_t, 0, flags)
        };
        if filled == -1 { Err(PyErr::fetch(slf.py())) } else { Ok(()) }
    }
}

/// The pickle and the buffers in `payload`: what `pickle.loads` takes.
///
/// # Errors
/// ValueError if the bytes make no sense.
pub fn open<'py>(
    py: Python<'py>,
    payload: Payload,
) -> PyResult<(Bound<'py, PyAny>, Option<Bound<'py, PyTuple>>)> {
    let (whole, head): (Bound<'py, PyAny>, Vec<u8>) = match payload {
        Payload::Bytes(bytes) => {
            if bytes.len() >= 8 && bytes[..8] == [0; 8] {
                return Ok((PyBytes::new(py, &bytes[8..]).into_any(), None));
            }
            (PyBytes::new(py, &bytes).into_any(), bytes)
        }
        Payload::Block(block) => {
            let shared = Bound::new(py, SharedBlock { block })?;
            let whole = PyMemoryView::from(shared.as_any())?.into_any();
            let buffer = PyBuffer::<u8>::get(&whole)?;
            // All numbers come first: at most so many of them are looked at.
            let head = slice(&buffer)[..buffer.len_bytes().min(MOST_HEADER)].to_vec();
            drop(buffer);
            (whole, head)
        }
    };
    let malformed = || PyValueError::new_err("a malformed message from another process");
    let len = whole.len()?;
    let at = Cell::new(0);
    let next = || -> PyResult<usize> {
        let from = at.get();
        let bytes = head.get(from..from + 8).ok_or_else(malformed)?;
        at.set(from + 8);
        Ok(u64::from_le_bytes(bytes.try_into().map_err(|_| malformed())?) as usize)
    };
    let view = |from: usize, length: usize| -> PyResult<Bound<'py, PyAny>> {
        let to = from.checked_add(length).filter(|to| *to <= len).ok_or_else(malformed)?;
        let view = PyMemoryView::from(&whole)?;
        view.get_item(PySlice::new(py, from as isize, to as isize, 1))
    };
    let count = next()?;
    if count == 0 {
        return Ok((view(8, len - 8)?, None));
    }
    if count > MOST_HEADER / 8 {
        return Err(malformed());
    }
    let pickle_len = next()?;
    let lengths = (0..count).map(|_| next()).collect::<PyResult<Vec<usize>>>()?;
    let pickle = view(at.get(), pickle_len)?;
    let mut from = at.get() + pickle_len;
    let mut buffers = Vec::with_capacity(count);
    for length in lengths {
        from = from.next_multiple_of(ALIGN);
        buffers.push(view(from, length)?);
        from = from.checked_add(length).ok_or_else(malformed)?;
    }
    Ok((pickle, Some(PyTuple::new(py, buffers)?)))
}

/// The longest header: with more buffers than fit, they stay in the pickle.
const MOST_HEADER: usize = 4096;
